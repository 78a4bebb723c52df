"""The text experts of a job: the same stages as for networks, on the same rows, and mixtures of both families.

Adapters are tuned, gates learn from out-of-fold outputs, experts and gate are fine-tuned together, everything is scored
once. What is special to text: margins are dear, so all models that will be scored are asked together.
"""

from __future__ import annotations

import dataclasses
import math
import time
from collections.abc import Callable, Sequence
from functools import cached_property, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from benchmarks.methods.text_tables import BiasSets, front_rows, leaves_of, template_rows
from benchmarks.plan.job import Job
from benchmarks.plan.suite import LLM_METHODS, LLMSettings
from benchmarks.run.cell import Cell
from benchmarks.run.executor import Notify
from benchmarks.run.levels import Trained
from benchmarks.run.stages import (
    GRAPH,
    TABULAR,
    System,
    best_per_step,
    trial_columns,
    tuning_curves,
)
from experts.expert import ROLES, Expert, Role
from experts.tuning.folds import fold_of_rows
from foundation.files import write_json
from foundation.seeding import derive_seed, torch_generator
from gates.candidates import GateFit
from gates.fitting import fit_gate
from gates.selection import ValidationScore, validation_scores
from gates.settings import DEFAULT_CONFIGS
from llm_experts.adapters.registry import kind_named
from llm_experts.bases.base import Base
from llm_experts.bases.load import load_base
from llm_experts.mixtures.dispatch import BayesDispatcher
from llm_experts.mixtures.dispatch_models import responsibilities
from llm_experts.mixtures.finetune import FineTuning, fine_tune
from llm_experts.mixtures.routers import DispatchRouter, GateRouter
from llm_experts.mixtures.row_mixture import RowMixture, calibrate_mixture
from llm_experts.mixtures.svf_mixtures import SVFMixtures, mixed_adapter
from llm_experts.reading.calibration import Calibration, calibration_errors
from llm_experts.reading.expert import LLMExpert, base_expert, calibrate, probe
from llm_experts.reading.reader import Reader
from llm_experts.reading.template_spread import TemplateSpread, template_spread
from llm_experts.search import Objective, SearchResult, SearchRows, SearchSettings, search_mixtures
from llm_experts.training.out_of_fold import out_of_fold_logits
from llm_experts.training.text_blocks import TaskTexts
from llm_experts.training.trainer import Budget
from llm_experts.training.tuning import TunedAdapter, tune
from llm_experts.training.twin import twin
from moe.mixture import Mixture

if TYPE_CHECKING:
    from torch import Tensor

    from gates.gate import ProjectedGate
    from tasks.task import TaskView

TUNED: dict[str, Role] = {f"llm_{role}": role for role in ROLES}
TWINS: dict[str, Role] = {"llm_result_lambda0": "result", "llm_procedural_lambda0": "procedural"}
KINDS = {f"llm_{kind}": kind for kind in ("rslora", "dora", "lora_fa", "ia3", "svf", "prefix", "soft_prompt")}
"""Utility experts that are other kinds of adapters."""

GATES = {
    "llm_gate_dense": "dense", "llm_static_simplex": "static_simplex", "llm_uniform": "uniform",
    "llm_best_single": "best_single",
}  # fmt: skip
CROSS = {name.replace("llm_", "cross_"): kind for name, kind in GATES.items()}
"""Output mixtures of text experts, and of both families; and the kind of gate of each."""

CONFIGS = tuple(dict.fromkeys(dataclasses.replace(config, lambda_attention=0.0) for config in DEFAULT_CONFIGS))
"""Gate configurations: reasons of training rows would cost one reading per row and column."""

CACHE_BYTES = 1 << 29
"""Hidden states that a reader keeps (512 MiB): mixtures inside the layers read the same altered rows in turn."""

TIMED_ROWS = 64
"""Rows on which the reading speed is measured."""

SEARCH = {
    "generations": 40, "population": 50, "objectives": (Objective("utility@1"), Objective("dp@1")),
    "refuse_constant": False,
}  # fmt: skip
"""Mixture search of the suite; its settings override these. Half of the validation rows is too few for gaps among the
positives of small groups. A nearly constant winner is not hidden: tables flag it."""


@lru_cache(maxsize=1)
def loaded_base(name: str, dtype: str, quantisation: str, device: str) -> Base:
    """The base of a suite, loaded once per process."""
    return load_base(name, dtype=dtype, quantisation=quantisation, device=device_of(device))


def device_of(word: str) -> str:
    """``auto`` is the GPU where there is one."""
    return ("cuda" if torch.cuda.is_available() else "cpu") if word == "auto" else word


class LLMSystem:
    """The text experts of one seed and everything that is built on them, each part made once, when it is asked for."""

    def __init__(self, job: Job, settings: LLMSettings, tabular: System, folder: Path, notify: Notify) -> None:
        self.job, self.settings, self.tabular = job, settings, tabular
        self.view: TaskView = tabular.view
        self.ledger = tabular.ledger
        self.seed = derive_seed(tabular.seed, "text experts")
        self._folder, self._notify = folder / f"seed_{tabular.seed}", notify
        self._tunings: dict[tuple[Role, str], TunedAdapter] = {}
        self._gates: dict[tuple[str, str], GateFit] = {}
        self._texts: dict[int, TaskTexts] = {}
        self._bias = BiasSets(self.view, settings.bias_items, derive_seed(job.suite_seed, "bias"))

    # -- what all methods stand on -------------------------------------------------------------------------------------

    @cached_property
    def base(self) -> Base:
        """The frozen base model."""
        s = self.settings
        return loaded_base(s.base, s.dtype, s.quantisation, s.device)

    def texts(self, kind: str) -> TaskTexts:
        """The task's rows as texts, for a kind of adapter: virtual tokens are seen by every layer."""
        start = 0 if kind_named(kind).needs_full_model else self.settings.start % self.base.n_layers
        if start not in self._texts:
            reader = Reader(self.base, self.settings.template, start, cache_bytes=CACHE_BYTES)
            self._texts[start] = TaskTexts(self.view, reader)
        return self._texts[start]

    @property
    def reader(self) -> Reader:
        """Reader of the three roles."""
        return self.texts(self.settings.kind).reader

    def tuning(self, role: Role, kind: str | None = None) -> TunedAdapter:
        """Stage 1: a role's tuned adapter of a kind; fair roles under the floor that the utility adapter sets."""
        name = kind or self.settings.kind
        if (role, name) not in self._tunings:
            floor = None if role == "utility" else self.tuning("utility", name)
            main = name == self.settings.kind
            part = f"tune text {role} {name}"

            def progress(done: int, total: int) -> None:
                self._notify(self.job.name, part, 0.6 + 0.1 * done / total)

            with self.ledger.clock(part):
                self._tunings[role, name] = tune(
                    self.texts(name), role, seed=derive_seed(self.seed, "tune"), folder=self._folder, kind=name,
                    budget=Budget(**self.settings.budget),
                    trials=self.settings.trials if main else self.settings.kind_trials,
                    batch=self.settings.batch, utility_floor=floor, epsilon=None if floor is None else self.job.epsilon,
                    progress=progress,
                )  # fmt: skip
        return self._tunings[role, name]

    @cached_property
    def experts(self) -> tuple[LLMExpert, ...]:
        """The three tuned text experts."""
        return tuple(self.tuning(role).expert for role in ROLES)

    @cached_property
    def floor(self) -> float:
        """Validation utility that every fair choice among text experts must reach."""
        return self.tuning("utility").best_score - self.job.epsilon

    @cached_property
    def logits_oof(self) -> Tensor:
        """[n_train, 3] what the text experts say about training rows that they have not seen; folds as for networks."""
        folds = fold_of_rows(self.view, self.job.folds, derive_seed(self.tabular.seed, "folds"))
        recipes = [self.tuning(role).recipe for role in ROLES]
        with self.ledger.clock("text out of fold"):
            return out_of_fold_logits(
                self.texts(self.settings.kind), recipes, seed=derive_seed(self.seed, "folds"), assignment=folds
            )

    @cached_property
    def asked_base(self) -> LLMExpert:
        """The base without any adapter, calibrated on validation rows."""
        return calibrate([base_expert(self.reader, "base")], self.view, self.view.split.validation)[0]

    # -- methods -------------------------------------------------------------------------------------------------------

    def method(self, name: str) -> Expert:
        """The fitted model of a method."""
        with self.ledger.clock(f"method {name}"):
            return self._make(name)

    def _make(self, name: str) -> Expert:
        if name in TUNED:
            return self.tuning(TUNED[name]).expert
        if name in TWINS:
            return twin(self.texts(self.settings.kind), self.tuning(TWINS[name]))
        if name in KINDS:
            return self.tuning("utility", KINDS[name]).expert
        if name in GATES:
            return Mixture(self.experts, self.gate("text", GATES[name]).gate)
        if name in CROSS:
            return Mixture((*self._others, *self.experts), self.gate("both", CROSS[name]).gate)
        special: dict[str, Callable[[], Expert]] = {
            "llm_base": lambda: self.asked_base,
            "llm_mixture": self._fine_tuned,
            "llm_bank": self._bank,
            "llm_dispatch": self._dispatch,
            "llm_svf_search": self._searched,
        }
        if name not in special:
            raise ValueError(f"There is no method {name!r}; known are {', '.join(LLM_METHODS)}.")
        return special[name]()

    def gate(self, families: str, kind: str) -> GateFit:
        """Stage 2: a gate on frozen experts, ``text`` alone or ``both`` families, chosen on validation rows."""
        if (families, kind) not in self._gates:
            both = families == "both"
            experts = (*self._others, *self.experts) if both else self.experts
            others = self.tabular.logits_oof(self._other_pool) if both else self.logits_oof[:, :0]
            logits_oof = torch.cat([others, self.logits_oof], 1)
            rows = self.view.split.validation
            probe(self.experts, self.view, rows)
            with self.ledger.clock(f"gate {families} {kind}"):
                self._gates[families, kind] = fit_gate(
                    self.view,
                    logits_oof,
                    kind,
                    CONFIGS,
                    seed=derive_seed(self.seed, "gate", families),
                    utility_floor=max(self.floor, self.tabular.floor) if both else self.floor,
                    logits_validation=torch.stack([e.logits(self.view, rows) for e in experts], 1),
                    attributions_validation=torch.stack([e.attributions(self.view, rows) for e in experts], 1),
                    procedural=lambda gate: self._procedural(experts, gate),
                )
        return self._gates[families, kind]

    @property
    def _other_pool(self) -> str:
        """Pool of the experts that read no text: with graph experts where the suite says so and the task has edges."""
        return GRAPH if self.settings.with_graph and self.view.edges is not None else TABULAR

    @property
    def _others(self) -> tuple[Expert, ...]:
        return self.tabular.pool(self._other_pool)

    def _procedural(self, experts: Sequence[Expert], gate: ProjectedGate) -> float:
        return self.tabular.end_to_end(Mixture(tuple(experts), gate))

    def _bank(self) -> Expert:
        """The dense gate's weights, used inside the layers instead of on the outputs."""
        router = GateRouter(self.experts, self.gate("text", "dense").gate)
        return calibrate_mixture(RowMixture(self.experts, router), self.view, self.view.split.validation)

    def _dispatch(self) -> Expert:
        """Weights by Bayes' rule from the base's hidden state and the row's categories."""
        view, (train, validation) = self.view, (self.view.split.train, self.view.split.validation)
        router = DispatchRouter(BayesDispatcher(), self.reader)
        losses = log_losses(self.logits_oof, view.labels[train])
        asked = log_losses(self.asked_base.logits(view, train)[:, None], view.labels[train])[:, 0]
        router.dispatcher.fit(*router.evidence(view, train), responsibilities(losses, asked), ROLES)
        experts = (self.asked_base, *self.experts)
        held = log_losses(torch.stack([e.logits(view, validation) for e in experts], 1), view.labels[validation])
        router.dispatcher.calibrate(*router.evidence(view, validation), responsibilities(held[:, 1:], held[:, 0]))
        return calibrate_mixture(RowMixture(experts, router), view, validation)

    @cached_property
    def search(self) -> SearchResult:
        """Search for α of the three SVF experts on one half of the validation rows; the other half may reject."""
        experts = tuple(self.tuning(role, "svf").expert for role in ROLES)
        half, other = (SVFMixtures(experts, self.view, rows) for rows in halves(self.view, self.seed))
        settings = SearchSettings(**{**SEARCH, **self.settings.search, "seed": derive_seed(self.seed, "search")})
        with self.ledger.clock("mixture search"):
            return search_mixtures(
                half, self._search_rows(half.rows), settings,
                held_out=(other, self._search_rows(other.rows)), folder=self._folder / "search",
            )  # fmt: skip

    def _search_rows(self, rows: Tensor) -> SearchRows:
        return SearchRows(self.view.labels[rows], self.view.groups[rows], self.view.group_names)

    def _searched(self) -> Expert:
        winner, experts = self.search.winner, [self.tuning(role, "svf").expert for role in ROLES]
        alpha = torch.tensor([winner.alphas[role] for role in ROLES], dtype=torch.float64)
        adapter = mixed_adapter([e.adapter for e in experts if e.adapter is not None], alpha)
        mixed = LLMExpert("mixture", self.texts("svf").reader, adapter)
        return calibrate([mixed], self.view, self.view.split.validation)[0]

    @cached_property
    def fine_tuning(self) -> FineTuning[ValidationScore]:
        """Stage 3: adapters and gate together; snapshots are judged by outcomes, the last one by its reasons too."""
        gate = self.gate("text", "dense").gate

        def better(one: ValidationScore, other: ValidationScore) -> bool:
            return one.better_than(other, self.floor)

        with self.ledger.clock("fine-tune text"):
            tuned = fine_tune(
                self.texts(self.settings.kind), self.experts, gate, seed=derive_seed(self.seed, "fine-tune"),
                judge=self._judged, better=better,
            )  # fmt: skip
            if not tuned.kept:
                return tuned
            probe(tuned.experts, self.view, self.view.split.validation)
            before, after = (self._judged(*system, reasons=True) for system in (
                (self.experts, gate), (tuned.experts, tuned.gate),
            ))  # fmt: skip
        if better(after, before):
            return dataclasses.replace(tuned, before=before, after=after)
        return dataclasses.replace(tuned, experts=self.experts, gate=gate, kept=False, before=before, after=before)

    def _judged(self, experts: tuple[LLMExpert, ...], gate: ProjectedGate, reasons: bool = False) -> ValidationScore:
        """What the rule sees of a system on validation rows."""
        mixture, rows = Mixture(experts, gate), self.view.split.validation
        fair_proc = torch.tensor([self.tabular.end_to_end(mixture)]) if reasons else None
        margins = mixture.logits(self.view, rows)[None]
        groups = (self.view.groups[rows], len(self.view.group_names))
        return validation_scores(margins, self.view.labels[rows], *groups, fair_proc)[0]

    def _fine_tuned(self) -> Expert:
        return Mixture(self.fine_tuning.experts, self.fine_tuning.gate)

    @cached_property
    def _worded(self) -> list[Expert]:
        """Experts whose sensitivity to the template is measured: those that exist of base and roles."""
        found: list[Expert] = [
            self.tuning(role).expert for role in ROLES if (role, self.settings.kind) in self._tunings
        ]
        return [*found, self.asked_base]

    @cached_property
    def _templates(self) -> list[list[TemplateSpread]]:
        experts = [expert for expert in self._worded if isinstance(expert, LLMExpert)]
        return template_spread(experts, self.view, self.view.split.validation)

    # -- what is said of a method in its cell --------------------------------------------------------------------------

    @property
    def unmitigated(self) -> float | None:
        """Validation gap of the tabular utility expert: levels relative to it are the same for every method."""
        return self.tabular.unmitigated

    def trained(self, method: str) -> Trained | None:  # noqa: ARG002
        """None: only the chosen adapter of a study answers for all rows."""
        return None

    def prepare(self, experts: dict[str, Expert], rows: Tensor) -> None:
        """Ask all text experts together: a text goes through the shared layers once."""
        leaves = {id(leaf): leaf for expert in experts.values() for leaf in leaves_of(expert)}
        probe(list(leaves.values()), self.view, rows)

    def role(self, method: str, expert: Expert) -> str:
        """A twin's role is that of the expert it belongs to; bases and other kinds stand beside, as baselines."""
        return "baseline" if method in KINDS or method == "llm_base" else TWINS.get(method, expert.role)

    def params(self, method: str) -> dict[str, Any]:
        """What was chosen, and on which base."""
        s = self.settings
        shared = {
            "base": self.base.id, "base_hash": self.base.hash, "template": s.template, "start": self.reader.start,
            "trials": s.trials, "kind_trials": s.kind_trials, "epsilon": self.job.epsilon, "folds": self.job.folds,
            "suite_seed": self.job.suite_seed, **{f"budget.{k}": v for k, v in sorted(s.budget.items())},
        }  # fmt: skip
        return {**shared, **self._chosen(method)}

    def _chosen(self, method: str) -> dict[str, Any]:
        """What validation rows chose for a method."""
        tuning = self._tuning_of(method)
        if tuning is not None:
            twin_of = method in TWINS
            chosen = {k: 0.0 if twin_of and k.startswith("lambda_") else v for k, v in tuning.best_params.items()}
            return {**chosen, "kind": tuning.kind, "best_trial": tuning.best_trial, "feasible": tuning.feasible}
        if method == "llm_svf_search":
            winner = self.search.winner
            return {**{f"alpha.{k}": v for k, v in winner.alphas.items()}, "accepted": winner.accepted}
        if method == "llm_mixture":
            return {"fine_tuning_kept": self.fine_tuning.kept}
        fit = self._gate_of(method)
        return {} if fit is None or fit.config is None else {f"gate.{k}": v for k, v in vars(fit.config).items()}

    def _gate_of(self, method: str) -> GateFit | None:
        """The gate that a mixture's weights come from."""
        if method in CROSS:
            return self.gate("both", CROSS[method])
        if method in GATES:
            return self.gate("text", GATES[method])
        return self.gate("text", "dense") if method in ("llm_bank", "llm_mixture") else None

    def _tuning_of(self, method: str) -> TunedAdapter | None:
        if method in KINDS:
            return self.tuning("utility", KINDS[method])
        role = TUNED.get(method) or TWINS.get(method)
        return None if role is None else self.tuning(role)

    def curves(self, method: str) -> dict[str, list[tuple[int, float]]]:
        """Curves by stage."""
        curves: dict[str, list[tuple[int, float]]] = {}
        tuning = self._tuning_of(method)
        if tuning is not None and method not in TWINS:
            curves |= tuning_curves(tuning)
        fit = self._gate_of(method)
        if fit is not None:
            best_per_step(curves, "gate", fit.history)
        if method == "llm_mixture":
            points = [{"step": step, **vars(score)} for _, step, score in self.fine_tuning.history]
            best_per_step(curves, "finetune", points)
        if method == "llm_svf_search":
            curves["search/hypervolume"] = [(i, g.hypervolume) for i, g in enumerate(self.search.curve)]
        return curves

    def parts_of(self, method: str) -> tuple[str, ...]:
        """Ledger entries that a method's model is made of."""
        main = tuple(f"tune text {role} {self.settings.kind}" for role in ROLES)
        if method in KINDS:
            return (f"tune text utility {KINDS[method]}",)
        if method in TUNED or method in TWINS:
            tuned = f"tune text {TUNED.get(method) or TWINS[method]} {self.settings.kind}"
            return (tuned, f"method {method}") if method in TWINS else (tuned,)
        if method in GATES:
            return (*main, "text out of fold", f"gate text {GATES[method]}")
        if method in CROSS:
            others = self.tabular.parts_of("graph_gate_dense" if self._other_pool == GRAPH else "gate_dense")[:-1]
            return (*others, *main, "text out of fold", f"gate both {CROSS[method]}")
        if method == "llm_svf_search":
            return (*(f"tune text {role} svf" for role in ROLES), "mixture search")
        if method == "llm_base":
            return ("method llm_base",)
        if method == "llm_mixture":
            return (*main, "text out of fold", "gate text dense", "fine-tune text")
        return (*main, "text out of fold", "gate text dense", f"method {method}")

    def cost(self, method: str, expert: Expert) -> dict[str, Any]:  # noqa: ARG002
        """Size of the adapters as they are stored, and tokens read per second, lower layers included."""
        leaves = leaves_of(expert)
        rows = self.view.split.validation[:TIMED_ROWS]
        seconds, tokens = 0.0, 0
        for leaf in leaves:
            leaf.reader.forget()
            start = time.perf_counter()
            leaf.reader.margins([leaf.adapter], self.view, rows)
            seconds += time.perf_counter() - start
            tokens = int((leaf.reader.pack(self.view, rows).segment >= 0).sum())
        return {
            "adapter_kib": sum(leaf.adapter_bytes for leaf in leaves) / 1024,
            "tokens_per_s": tokens / seconds if seconds else math.nan,
        }

    def extras(self, cell: Cell, folder: Path, method: str, expert: Expert) -> None:
        """Trials, the adapter itself, and what else there is to say of a method."""
        if expert in self._worded:
            cell.add_table("templates", template_rows(self._templates[self._worded.index(expert)]))
        tuning = self._tuning_of(method)
        if tuning is not None and method not in TWINS:
            write_json(folder / "trials.json", trial_columns(tuning))
        if isinstance(expert, LLMExpert):
            cell.params |= self._reading(expert)
            (folder / "expert").mkdir()
            expert.save(folder / "expert")
        if method == "llm_svf_search":
            self.search.save(folder / "search")
            cell.add_table("fronts", front_rows(self.search))
        if self.settings.bias_items and self.job.split == 0:
            cell.add_table("bias", self._bias.rows(expert))

    def _reading(self, expert: LLMExpert) -> dict[str, float]:
        """How trustworthy the answers are on validation rows: answer mass, and calibration error before and after."""
        rows = self.view.split.validation
        mass = expert.answer_mass(self.view, rows)
        calibration = Calibration(torch.tensor([expert.temperature]), torch.tensor([expert.bias]))
        before, after = calibration_errors(expert.margins(self.view, rows)[None], self.view.labels[rows], calibration)
        return {
            "answer_mass": mass.mean, "answer_mass_low": mass.low, "temperature": expert.temperature,
            "bias": expert.bias, "ece_before": float(before[0]), "ece_after": float(after[0]),
        }  # fmt: skip


def halves(view: TaskView, seed: int) -> tuple[Tensor, Tensor]:
    """Validation rows, cut in two by chance: one half to search on, one to accept or reject the winner."""
    rows = view.split.validation
    order = torch.randperm(len(rows), generator=torch_generator(seed, "halves of the validation rows"))
    return rows[order[: len(rows) // 2].sort().values], rows[order[len(rows) // 2 :].sort().values]


def log_losses(logits: Tensor, labels: Tensor) -> Tensor:
    """[n, m] negative log-likelihood of each row's label under each expert's margin."""
    signs = 2.0 * labels.to(logits.dtype)[:, None] - 1.0
    return torch.nn.functional.softplus(-signs * logits)
