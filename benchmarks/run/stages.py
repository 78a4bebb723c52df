"""The staged harness on one job: tune → gate → fine-tune → score.

Stages are pure functions of task, settings and seed, so an interrupted stage is simply run again; the long one,
tuning, also keeps its finished batches of trials. What is finished for good is a *cell*: a folder that appears
whole, by a rename, or not at all.
"""

from __future__ import annotations

import math
from dataclasses import asdict
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import torch

from benchmarks.methods.baseline_stage import Baselines
from benchmarks.methods.networks import TUNING_SHARE, Network, Tunings, network_name
from benchmarks.plan.environment import reset_peak_memory
from benchmarks.plan.job import Job
from benchmarks.plan.suite import GRAPH_KINDS, LLM_METHODS, METHODS
from benchmarks.run.cell import Cell
from benchmarks.run.executor import Notify
from benchmarks.run.failure import Failure
from benchmarks.run.ledger import Ledger
from benchmarks.run.levels import Trained
from benchmarks.run.scoring import Maker, recorded, write_cells
from benchmarks.run.time_limit import time_limit
from benchmarks.tracking.servable import save_servable
from experts.evidence import collect_evidence
from experts.expert import ROLES, Expert, Role
from experts.tuning.tuned import Tuned as TunedRole
from foundation.files import write_json
from foundation.seeding import derive_seed
from gates.candidates import GateFit
from gates.fitting import fit_gate
from gates.gate import ProjectedGate
from metrics.procedural import procedural_points
from moe.finetune import FineTuning, fine_tune
from moe.mixture import Mixture
from tasks.load import load_task
from tasks.task import TaskView

if TYPE_CHECKING:
    from torch import Tensor

METHODS_SHARE = 0.4  # of a job's time, roughly; only the progress bar looks at it

TABULAR, GRAPH = "tabular", "graph"
"""Pools of experts that gates mix: the tabular ones, or these and the graph experts of the suite."""

GATES: dict[str, tuple[str, str]] = {
    "gate_dense": (TABULAR, "dense"), "gate_top2": (TABULAR, "topk"), "static_simplex": (TABULAR, "static_simplex"),
    "uniform": (TABULAR, "uniform"), "best_single": (TABULAR, "best_single"),
    "graph_gate_dense": (GRAPH, "dense"), "graph_static_simplex": (GRAPH, "static_simplex"),
    "graph_uniform": (GRAPH, "uniform"), "graph_best_single": (GRAPH, "best_single"),
}  # fmt: skip
"""Methods that mix frozen experts: their pool and the kind of their gate."""

TUNED: dict[str, Network] = {
    **{role: (role, "mlp") for role in ROLES},
    "combined_mlp": ("combined", "mlp"),
    **{network_name(role, kind): (role, kind) for kind in GRAPH_KINDS for role in ROLES},
}
"""Methods that are one tuned network: its role and family."""

TWINS: dict[str, Network] = {f"{name}_lambda0": TUNED[name] for name in TUNED if TUNED[name][0] in ROLES[1:]}
"""The same without the fairness terms."""

EXPLAINED_ROWS = 1500
"""Validation rows on which the end-to-end procedural score of a candidate gate is measured."""


def run_job(job: Job, folder: Path, notify: Notify) -> list[Failure]:
    """Compute the job's missing cells; a method that fails does not stop the others.

    Parameters
    ----------
    job : Job
    folder : Path
        The job gets a sub-folder here: ``tune/`` with trials and weights, ``cells/<key>/`` for finished cells.
    notify : callable
        Called with (job name, stage, share done).

    Returns
    -------
    list of Failure
        Cells that are still missing. What all methods stand on (data, tuning) raises instead.
    """
    home = folder / job.folder
    pending = [cell for cell in job.cells() if not job.cell_folder(folder, *cell).is_dir()]
    if not pending:
        return []
    reset_peak_memory()
    notify(job.name, "load", 0.0)
    task = load_task(
        job.task, protocol=job.protocol, split=job.split, seed=job.suite_seed, use_sensitive=job.use_sensitive,
        with_edges=job.needs_edges(method for method, _ in pending),
    )  # fmt: skip
    view, ledger = task.view(), Ledger(home / "timing.json")
    tunings = Tunings(job, view, home / "tune", ledger, notify)
    networks = networks_of(job, [method for method, _ in pending])
    tunings.plan(networks)
    if set(pool_networks(job, TABULAR)) <= set(networks):
        tunings.summarise()
    baselines = Baselines(job, view, home / "baselines", tunings, notify)
    failures: list[Failure] = []
    for repeat in range(job.seeds):
        methods = [method for method, r in pending if r == repeat]
        system = System(job, view, tunings, baselines, repeat, ledger)
        makers: list[tuple[Maker, list[str]]] = [(system, [m for m in methods if m not in LLM_METHODS])]
        if job.llm is not None:
            from benchmarks.methods.text import LLMSystem  # heavy libraries: only where rows are read as text

            text = LLMSystem(job, job.llm, system, home / "llm", notify)
            makers.append((text, [m for m in methods if m in LLM_METHODS]))
        for maker, own in makers:
            experts: dict[str, Expert] = {}
            for index, method in enumerate(own):
                notify(job.name, method, TUNING_SHARE + METHODS_SHARE * (repeat + index / len(own)) / job.seeds)
                with recorded(failures, method, repeat), time_limit(job.method_seconds):
                    experts[method] = maker.method(method)
            # Everything is chosen by now: only here are test rows looked at, once.
            failures += write_cells(job, task, maker, repeat, experts, folder, notify)
    return failures


def networks_of(job: Job, methods: list[str]) -> list[Network]:
    """Networks that methods are, or are made of."""
    found: list[Network] = [("utility", "mlp")]  # the floor of every fairness method
    for method in methods:
        if method in TUNED or method in TWINS:
            found.append(TUNED.get(method) or TWINS[method])
        elif method in GATES:
            found += pool_networks(job, GATES[method][0])
        elif method == "mixture" or method in LLM_METHODS:
            found += pool_networks(job, TABULAR)
    return list(dict.fromkeys(found))


def pool_networks(job: Job, pool: str) -> list[Network]:
    """Networks that a pool's gates mix."""
    families = ("mlp", *job.graph_kinds) if pool == GRAPH else ("mlp",)
    return [(role, family) for family in families for role in ROLES]


class System:
    """The experts of one seed and everything that is built on them, each part made once, when it is asked for."""

    def __init__(
        self, job: Job, view: TaskView, tunings: Tunings, baselines: Baselines, repeat: int, ledger: Ledger
    ) -> None:
        self.job, self.view, self.repeat, self.ledger = job, view, repeat, ledger
        self.seed = job.seed_of(repeat)
        self._tunings, self._baselines = tunings, baselines
        self._gates: dict[tuple[str, str], GateFit] = {}
        self._outputs: dict[str, tuple[Tensor, Tensor, Tensor]] = {}

    def tuning(self, role: Role, family: str = "mlp") -> TunedRole:
        """A tuned network of this seed."""
        return self._tunings.of(role, self.repeat, family)

    @property
    def floor(self) -> float:
        """Validation utility that every fair choice must reach."""
        return self._tunings.floor()

    @property
    def unmitigated(self) -> float | None:
        """Validation gap fair_res@1 of the tuned utility expert, the same for every seed; None if not estimable."""
        return self._tunings.of("utility", 0).best_metrics["fair_res@1"]

    @cached_property
    def experts(self) -> tuple[Expert, ...]:
        """The three tuned experts, with the weights they had when they were chosen."""
        return self.pool(TABULAR)

    def pool(self, name: str) -> tuple[Expert, ...]:
        """The experts that a pool's gates mix."""
        return tuple(self.tuning(role, family).expert for role, family in pool_networks(self.job, name))

    def method(self, name: str) -> Expert:
        """The fitted model of a method."""
        with self.ledger.clock(f"method {name}"):
            return self._make(name)

    def _make(self, name: str) -> Expert:
        if name in TUNED:
            return self.tuning(*TUNED[name]).expert
        if name in TWINS:
            role, family = TWINS[name]
            return self._tunings.twin(role, self.repeat, family)
        if name in GATES:
            pool, kind = GATES[name]
            return Mixture(self.pool(pool), self.gate(kind, pool).gate)
        if name == "mixture":
            return self.fine_tuning.mixture
        if name in self._baselines.names:
            return self._baselines.of(name, self.repeat).expert
        raise ValueError(f"There is no method {name!r}; known are {', '.join((*METHODS, *self._baselines.names))}.")

    def logits_oof(self, pool: str = TABULAR) -> Tensor:
        """[n_train, m] what experts say about training rows that they have not seen: what gates learn from."""
        found = [self._tunings.logits_oof("mlp")]
        if pool == GRAPH:
            found += [self._tunings.logits_oof(kind) for kind in self.job.graph_kinds]
        return torch.cat(found, dim=1)

    def _expert_outputs(self, pool: str) -> tuple[Tensor, Tensor, Tensor]:
        """Logits of validation rows [n, m]; attributions of training and of validation rows [n, m, columns]."""
        if pool not in self._outputs:
            train, validation = self.view.split.train, self.view.split.validation
            experts = self.pool(pool)
            logits = torch.stack([e.logits(self.view, validation) for e in experts], 1)
            reasons = [torch.stack([e.attributions(self.view, r) for e in experts], 1) for r in (train, validation)]
            self._outputs[pool] = logits, reasons[0], reasons[1]
        return self._outputs[pool]

    def gate(self, kind: str, pool: str = TABULAR) -> GateFit:
        """Stage 2: a gate on the frozen experts of a pool, chosen on validation rows."""
        if (pool, kind) not in self._gates:
            logits_oof = self.logits_oof(pool)
            logits_validation, attributions_train, attributions_validation = self._expert_outputs(pool)
            with self.ledger.clock(gate_entry(pool, kind)):
                self._gates[pool, kind] = fit_gate(
                    self.view,
                    logits_oof,
                    kind,
                    seed=derive_seed(self.seed, "gate"),
                    utility_floor=self.floor,
                    logits_validation=logits_validation,
                    attributions_train=attributions_train,
                    attributions_validation=attributions_validation,
                    # mixtures with graph experts are explained by asking, too slow to do at every checkpoint
                    procedural=self._procedural if pool == TABULAR else None,
                )
        return self._gates[pool, kind]

    @cached_property
    def fine_tuning(self) -> FineTuning:
        """Stage 3: experts and gate together, kept only if the validation rows say so."""
        gate = self.gate("dense")
        with self.ledger.clock("fine-tune"):
            return fine_tune(
                self.view, Mixture(self.experts, gate.gate), seed=derive_seed(self.seed, "fine-tune"),
                utility_floor=self.floor, procedural=self.end_to_end,
            )  # fmt: skip

    def _procedural(self, gate: ProjectedGate) -> float:
        return self.end_to_end(Mixture(self.experts, gate))

    def end_to_end(self, expert: Expert) -> float:
        """fair_proc@1 of a whole model on validation rows."""
        rows = self.view.split.validation[:EXPLAINED_ROWS]
        evidence = collect_evidence(expert, self.view, rows)
        assert evidence.masked is not None and evidence.attributions is not None
        points = procedural_points(
            evidence.probability[None], evidence.masked[None], evidence.attributions[None], self.view.groups[rows],
            len(self.view.group_names), self.view.labels[rows],
        )  # fmt: skip
        return float(points["fair_proc@1"][0])

    def trained(self, method: str) -> Trained | None:
        """Probabilities of every trained configuration of a tuned method; None where there is only the chosen one."""
        if self.repeat:
            return None
        parts = (self.view.split.validation, self.view.split.test)
        if method in TUNED:
            role, family = TUNED[method]
            return Trained(*(self._tunings.trial_probabilities(role, rows, family) for rows in parts))
        if method in self._baselines.names:
            return self._baselines.trained(method)
        pool, kind = _gate_of(method)
        gates = self.gate(kind, pool).finalists if kind else ()
        if not gates:
            return None
        mixtures = [Mixture(self.pool(pool), gate) for gate in gates]
        return Trained(*(torch.stack([torch.sigmoid(m.logits(self.view, r)) for m in mixtures]) for r in parts))

    def parts_of(self, method: str) -> tuple[str, ...]:
        """Ledger entries that a method's model is made of."""
        first = "tune" if self.repeat == 0 else "repeat"
        if method in TUNED:
            return (f"{first} {network_name(*TUNED[method])}",)
        if method in TWINS:
            return (f"{first} {network_name(*TWINS[method])}", f"method {method}")
        pool, kind = _gate_of(method)
        if not pool:
            return (f"method {method}",)
        tuning = tuple(f"{first} {network_name(*network)}" for network in pool_networks(self.job, pool))
        folds = tuple(f"out of fold {f}" for f in ("mlp", *(self.job.graph_kinds if pool == GRAPH else ())))
        return (*tuning, *folds, gate_entry(pool, kind), *(("fine-tune",) if method == "mixture" else ()))

    def params(self, method: str) -> dict[str, Any]:
        """What was chosen, for the tracker's parameter table."""
        job = self.job
        shared = {
            "trials": job.trials, "batch": job.batch, "space": job.space, "epsilon": job.epsilon, "folds": job.folds,
            "suite_seed": job.suite_seed, **{f"budget.{k}": v for k, v in job.budget},
        }  # fmt: skip
        network = TUNED.get(method) or TWINS.get(method)
        if network is not None:
            tuning = self.tuning(*network)
            lambdas = {
                k: (0.0 if method in TWINS and k.startswith("lambda_") else v) for k, v in tuning.best_params.items()
            }
            return {**shared, **lambdas, "best_trial": tuning.best_trial, "feasible": tuning.feasible}
        if method in GATES:
            pool, kind = GATES[method]
            config = self.gate(kind, pool).config
            return {**shared, **({} if config is None else {f"gate.{k}": v for k, v in asdict(config).items()})}
        if method == "mixture":
            return {**shared, "fine_tuning_kept": self.fine_tuning.kept}
        if method in self._baselines.names:
            found = self._baselines.of(method, self.repeat)
            return {**shared, **found.params, "best_trial": found.best_trial, "feasible": found.feasible}
        return shared

    def curves(self, method: str) -> dict[str, list[tuple[int, float]]]:
        """Curves by stage: metric name → (step, value); trials are steps of the tuning stage."""
        curves: dict[str, list[tuple[int, float]]] = {}
        tuned = pool_networks(self.job, TABULAR) if method == "mixture" else [TUNED[method]] if method in TUNED else []
        for network in tuned if self.repeat == 0 else ():
            curves |= tuning_curves(self.tuning(*network))
        pool, kind = _gate_of(method)
        if kind:
            best_per_step(curves, "gate", self.gate(kind, pool).history)
        if method == "mixture":
            best_per_step(curves, "finetune", self.fine_tuning.history)
        return curves

    def _trials(self, method: str) -> Tuned | None:
        """The record of a method's trials, in the repetition that was tuned."""
        if self.repeat:
            return None
        if method in TUNED:
            return self.tuning(*TUNED[method])
        if method in self._baselines.names:
            found = self._baselines.of(method, 0)
            return found if found.trials else None
        return None

    def role(self, method: str, expert: Expert) -> str:
        """The role under which a method is listed: a twin's is that of the expert it belongs to."""
        return TWINS[method][0] if method in TWINS else expert.role

    def prepare(self, experts: dict[str, Expert], rows: Tensor) -> None:
        """Nothing: tabular models answer at once."""

    def cost(self, method: str, expert: Expert) -> dict[str, Any]:  # noqa: ARG002
        """Nothing that only text experts cost."""
        return {"adapter_kib": math.nan, "tokens_per_s": math.nan}

    def extras(self, cell: Cell, folder: Path, method: str, expert: Expert) -> None:  # noqa: ARG002
        """The trials of a tuned method as a table; the fitted mixture with what it takes to serve it."""
        trials = self._trials(method)
        if trials is not None:
            write_json(folder / "trials.json", trial_columns(trials))
        if method == "mixture" and self.repeat == 0:  # one model to serve, not one per seed
            save_servable(expert, self.view, folder / "model")


def _gate_of(method: str) -> tuple[str, str]:
    """Pool and kind of the gate in a method, empty for one without a gate; the mixture starts from the dense one."""
    return (TABULAR, "dense") if method == "mixture" else GATES.get(method, ("", ""))


def gate_entry(pool: str, kind: str) -> str:
    """Ledger entry of a gate."""
    return f"gate {kind}" if pool == TABULAR else f"gate {pool} {kind}"


class Tuned(Protocol):
    """A tuned role of any family."""

    @property
    def role(self) -> Role:
        """What was tuned."""
        ...

    @property
    def trials(self) -> list[dict[str, Any]]:
        """One record per trial."""
        ...


def tuning_curves(tuning: Tuned) -> dict[str, list[tuple[int, float]]]:
    """Objective and utility of every trial of a role; trials are steps."""
    rows = [row for row in tuning.trials if row["objective"] is not None]
    return {
        f"tune/{tuning.role}.objective": [(row["number"], row["objective"]) for row in rows],
        f"tune/{tuning.role}.utility": [(row["number"], row["metrics"]["utility@1"]) for row in rows],
    }


def best_per_step(curves: dict[str, list[tuple[int, float]]], stage: str, history: list[dict[str, Any]]) -> None:
    """Highest utility and lowest disparity of any lane at each checkpoint."""
    for name, best in (("utility", max), ("fair_res", min)):
        by_step: dict[int, list[float]] = {}
        for row in history:
            by_step.setdefault(int(row["step"]), []).append(float(row[name]))
        if by_step:
            curves[f"{stage}/{name}"] = [(step, best(values)) for step, values in sorted(by_step.items())]


def trial_columns(tuning: Tuned) -> dict[str, list[Any]]:
    """Trials as one list per column."""
    last = ("objective", "feasible", "state", "reason", "step")
    flat = [{"number": t["number"], **t["params"], **t["metrics"], **{k: t[k] for k in last}} for t in tuning.trials]
    names = list(dict.fromkeys(name for row in flat for name in row))
    return {name: [row.get(name) for row in flat] for name in names}
