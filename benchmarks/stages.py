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

from benchmarks.baselines import BASELINES, baseline
from benchmarks.cell import Cell
from benchmarks.environment import reset_peak_memory
from benchmarks.executor import Notify
from benchmarks.failure import Failure
from benchmarks.job import Job
from benchmarks.ledger import Ledger
from benchmarks.model import save_servable
from benchmarks.scoring import Maker, recorded, write_cells
from benchmarks.suite import LLM_METHODS, METHODS
from experts.evidence import collect_evidence
from experts.expert import ROLES, Expert, Role
from experts.out_of_fold import out_of_fold_logits
from experts.trainer import Budget
from experts.tuning import Tuning, tune_seeds
from experts.tuning_results import write_summary
from experts.twin import twin
from gates.gate import ProjectedGate
from metrics.procedural import procedural_points
from moe.finetune import FineTuning, fine_tune
from moe.mixture import Mixture
from moe.train_gate import GateFit, train_gate
from tasks.files import write_json
from tasks.load import load_task
from tasks.seeding import derive_seed
from tasks.task import TaskView

if TYPE_CHECKING:
    from torch import Tensor

TUNING_SHARE, METHODS_SHARE = 0.55, 0.3  # of a job's time, roughly; only the progress bar looks at them

GATES = {
    "gate_dense": "dense", "gate_top2": "topk", "static_simplex": "static_simplex", "uniform": "uniform",
    "best_single": "best_single",
}  # fmt: skip
"""Methods that mix the frozen experts, and the kind of gate of each."""

TUNED: dict[str, Role] = {**{role: role for role in ROLES}, "combined_mlp": "combined"}
"""Methods that are one tuned network, and the role of each."""

TWINS: dict[str, Role] = {"result_lambda0": "result", "procedural_lambda0": "procedural"}
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
        job.task, protocol=job.protocol, split=job.split, seed=job.suite_seed, use_sensitive=job.use_sensitive
    )
    ledger = Ledger(home / "timing.json")
    tunings = tune_roles(job, task.view(), home / "tune", ledger, notify)
    failures: list[Failure] = []
    for repeat in range(job.seeds):
        methods = [method for method, r in pending if r == repeat]
        system = System(
            job, task.view(), {role: tunings[role][repeat] for role in tunings}, job.seed_of(repeat), ledger
        )
        makers: list[tuple[Maker, list[str]]] = [(system, [m for m in methods if m not in LLM_METHODS])]
        if job.llm is not None:
            from benchmarks.llm_stages import LLMSystem  # heavy libraries: only where rows are read as text

            text = LLMSystem(job, job.llm, system, home / "llm", notify)
            makers.append((text, [m for m in methods if m in LLM_METHODS]))
        for maker, own in makers:
            experts: dict[str, Expert] = {}
            for index, method in enumerate(own):
                notify(job.name, method, TUNING_SHARE + METHODS_SHARE * index / len(own))
                with recorded(failures, method, repeat):
                    experts[method] = maker.method(method)
            # Everything is chosen by now: only here are test rows looked at, once.
            failures += write_cells(job, task, maker, repeat, experts, folder, notify)
    return failures


def tune_roles(job: Job, view: TaskView, folder: Path, ledger: Ledger, notify: Notify) -> dict[Role, list[Tuning]]:
    """Stage 1: per role one Optuna study and seed; fair roles under the utility constraint.

    The combined network, which a mixture has to beat, is tuned like a role and with as many trials.

    All seeds of a role train as lanes of one program. Their common floor is the mean of the tuned utility experts'
    validation utilities minus epsilon.
    """
    folder.mkdir(parents=True, exist_ok=True)
    budget = Budget(**dict(job.budget))
    seeds = [job.seed_of(repeat) for repeat in range(job.seeds)]
    tunings: dict[Role, list[Tuning]] = {}
    floor: float | None = None
    roles: tuple[Role, ...] = (*ROLES, "combined") if "combined_mlp" in job.methods else ROLES
    for index, role in enumerate(roles):

        def progress(done: int, total: int, index: int = index, role: str = role) -> None:
            notify(job.name, f"tune {role}", TUNING_SHARE * (index + done / total) / len(roles))

        with ledger.clock(f"tune {role}"):
            tunings[role] = tune_seeds(
                view, role, seeds=seeds, folder=folder, budget=budget, trials=job.trials, batch=job.batch,
                space=job.space, utility_floor=floor, epsilon=job.epsilon, progress=progress,
            )  # fmt: skip
        if role == "utility":
            floor = sum(t.best_score for t in tunings[role]) / len(seeds) - job.epsilon
    for repeat in range(job.seeds):
        write_summary([tunings[role][repeat] for role in roles], folder)
    return tunings


class System:
    """The experts of one seed and everything that is built on them, each part made once, when it is asked for."""

    def __init__(self, job: Job, view: TaskView, tunings: dict[Role, Tuning], seed: int, ledger: Ledger) -> None:
        self.job, self.view, self.tunings, self.seed, self.ledger = job, view, tunings, seed, ledger
        self._gates: dict[str, GateFit] = {}

    @property
    def floor(self) -> float:
        """Validation utility that every fair choice must reach."""
        floor = self.tunings["result"].floor
        assert floor is not None  # fair roles are always tuned under one
        return floor

    @cached_property
    def experts(self) -> tuple[Expert, ...]:
        """The three tuned experts, with the weights they had when they were chosen."""
        return tuple(self.tunings[role].expert for role in ROLES)

    def method(self, name: str) -> Expert:
        """The fitted model of a method."""
        with self.ledger.clock(f"method {name}"):
            return self._make(name)

    def _make(self, name: str) -> Expert:
        if name in TUNED:
            return self.tunings[TUNED[name]].expert
        if name in TWINS:
            return twin(self.view, self.tunings[TWINS[name]])
        if name in GATES:
            return Mixture(self.experts, self.gate(GATES[name]).gate)
        if name in BASELINES:
            return baseline(name)(self.view, derive_seed(self.seed, name))
        if name == "mixture":
            return self.fine_tuning.mixture
        raise ValueError(f"There is no method {name!r}; known are {', '.join(METHODS)}.")

    @cached_property
    def logits_oof(self) -> Tensor:
        """[n_train, 3] what the experts say about training rows that they have not seen: what gates learn from."""
        with self.ledger.clock("out of fold"):
            return out_of_fold_logits(
                self.view,
                [self.tunings[role].recipe for role in ROLES],
                budget=self.tunings["utility"].budget,
                folds=self.job.folds,
                seed=derive_seed(self.seed, "folds"),
            )

    @cached_property
    def _expert_outputs(self) -> tuple[Tensor, Tensor, Tensor]:
        """Logits of validation rows [n, 3]; attributions of training and of validation rows [n, 3, columns]."""
        train, validation = self.view.split.train, self.view.split.validation
        logits = torch.stack([e.logits(self.view, validation) for e in self.experts], 1)
        reasons = [torch.stack([e.attributions(self.view, r) for e in self.experts], 1) for r in (train, validation)]
        return logits, reasons[0], reasons[1]

    def gate(self, kind: str) -> GateFit:
        """Stage 2: a gate on the frozen experts, chosen on validation rows."""
        if kind not in self._gates:
            logits_oof = self.logits_oof
            logits_validation, attributions_train, attributions_validation = self._expert_outputs
            with self.ledger.clock(f"gate {kind}"):
                self._gates[kind] = train_gate(
                    self.view,
                    logits_oof,
                    kind,
                    seed=derive_seed(self.seed, "gate"),
                    utility_floor=self.floor,
                    logits_validation=logits_validation,
                    attributions_train=attributions_train,
                    attributions_validation=attributions_validation,
                    procedural=self._procedural,
                )
        return self._gates[kind]

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

    def parts_of(self, method: str) -> tuple[str, ...]:
        """Ledger entries that a method's model is made of."""
        tuning = tuple(f"tune {role}" for role in ROLES)
        if method in TUNED:
            return (f"tune {TUNED[method]}",)
        if method in TWINS:
            return (f"tune {TWINS[method]}", f"method {method}")
        if method in GATES:
            return (*tuning, "out of fold", f"gate {GATES[method]}")
        if method == "mixture":
            return (*tuning, "out of fold", "gate dense", "fine-tune")
        return (f"method {method}",)

    def params(self, method: str) -> dict[str, Any]:
        """What was chosen, for the tracker's parameter table."""
        job = self.job
        shared = {
            "trials": job.trials, "batch": job.batch, "space": job.space, "epsilon": job.epsilon, "folds": job.folds,
            "suite_seed": job.suite_seed, "utility_floor": self.floor, **{f"budget.{k}": v for k, v in job.budget},
        }  # fmt: skip
        role = TUNED.get(method) or TWINS.get(method)
        if role is not None:
            tuning = self.tunings[role]
            lambdas = {
                k: (0.0 if method in TWINS and k.startswith("lambda_") else v) for k, v in tuning.best_params.items()
            }
            return {**shared, **lambdas, "best_trial": tuning.best_trial, "feasible": tuning.feasible}
        if method in GATES:
            config = self.gate(GATES[method]).config
            return {**shared, **({} if config is None else {f"gate.{k}": v for k, v in asdict(config).items()})}
        if method == "mixture":
            return {**shared, "fine_tuning_kept": self.fine_tuning.kept}
        return shared

    def curves(self, method: str) -> dict[str, list[tuple[int, float]]]:
        """Curves by stage: metric name → (step, value); trials are steps of the tuning stage."""
        roles: tuple[Role, ...] = (TUNED[method],) if method in TUNED else ROLES if method == "mixture" else ()
        curves: dict[str, list[tuple[int, float]]] = {}
        for role in roles:
            curves |= tuning_curves(self.tunings[role])
        kind = GATES.get(method, "dense" if method == "mixture" else "")
        if kind:
            best_per_step(curves, "gate", self.gate(kind).history)
        if method == "mixture":
            best_per_step(curves, "finetune", self.fine_tuning.history)
        return curves

    def role(self, method: str, expert: Expert) -> str:
        """The role under which a method is listed: a twin's is that of the expert it belongs to."""
        return TWINS.get(method, expert.role)

    def prepare(self, experts: dict[str, Expert], rows: Tensor) -> None:
        """Nothing: tabular models answer at once."""

    def cost(self, method: str, expert: Expert) -> dict[str, Any]:  # noqa: ARG002
        """Nothing that only text experts cost."""
        return {"adapter_kib": math.nan, "tokens_per_s": math.nan}

    def extras(self, cell: Cell, folder: Path, method: str, expert: Expert) -> None:  # noqa: ARG002
        """The trials of a tuned role as a table; the fitted mixture with what it takes to serve it."""
        if method in TUNED:
            write_json(folder / "trials.json", trial_columns(self.tunings[TUNED[method]]))
        if method == "mixture":
            save_servable(expert, self.view, folder / "model")


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
