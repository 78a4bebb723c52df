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
from typing import TYPE_CHECKING, Any, TypeVar, cast

import torch

from benchmarks.cells.cell import Cell
from benchmarks.methods.method import CROSS, GRAPH, TABULAR, TEXT, Method
from benchmarks.methods.registry import all_methods, recipe_of, text_methods
from benchmarks.plan.job import Job
from benchmarks.plan.suite import LLMSettings
from benchmarks.run.levels import Allowed, Explained, OutOfFold, Trained, Variant
from benchmarks.run.stages.curves import Curves, trial_columns
from benchmarks.run.stages.recipe import Recipe
from benchmarks.run.stages.tabular import TabularSystem
from benchmarks.run.stages.text_tables import BiasSets, leaves_of, template_rows
from benchmarks.run.telling.ledger import SeedLedger
from benchmarks.run.telling.notify import SAME, Notify
from experts.expert import ROLES, Expert, Role
from experts.tuning.folds import fold_of_rows
from experts.tuning.tuned import unordered
from foundation.files import write_json
from foundation.seeding import derive_seed
from gates.candidates import GateFit
from gates.fitting import fit_gate
from gates.settings import DEFAULT_CONFIGS
from llm_experts.adapters.registry import kind_named
from llm_experts.bases.base import Base
from llm_experts.bases.identify import NANO, cached_commit
from llm_experts.bases.load import load_base
from llm_experts.reading.calibration import Calibration, calibration_errors
from llm_experts.reading.expert import LLMExpert, base_expert, calibrate, probe
from llm_experts.reading.reader import Reader
from llm_experts.reading.template_spread import TemplateSpread, template_spread
from llm_experts.training.out_of_fold import out_of_fold_logits
from llm_experts.training.text_blocks import TaskTexts
from llm_experts.training.trainer import Budget
from llm_experts.training.tuning import TunedAdapter, tune
from moe.mixture import Mixture
from moe.routing import Routed
from tasks.thinning import thinned_rows

if TYPE_CHECKING:
    from torch import Tensor

    from gates.gate import ProjectedGate
    from moe.decision import DecisionProblem
    from tasks.task import TaskView

CONFIGS = tuple(dict.fromkeys(dataclasses.replace(config, lambda_attention=0.0) for config in DEFAULT_CONFIGS))
"""Gate configurations: reasons of training rows would cost one reading per row and column."""

CACHE_BYTES = 1 << 29
"""Hidden states that a reader keeps (512 MiB): mixtures inside the layers read the same altered rows in turn."""

TIMED_ROWS = 64
"""Rows on which the reading speed is measured."""

FAMILIES = {TEXT: "text", CROSS: "both"}
"""Words of the pools in seeds and ledgers."""

Made = TypeVar("Made")


@lru_cache(maxsize=1)
def loaded_base(name: str, dtype: str, quantisation: str, device: str) -> Base:
    """The base of a suite, loaded once per process; of a published one the commit that its cells' keys are of."""
    commit = None if name == NANO or Path(name).expanduser().is_dir() else cached_commit(name)
    return load_base(name, dtype=dtype, quantisation=quantisation, device=device_of(device), revision=commit)


def device_of(word: str) -> str:
    """``auto`` is the GPU where there is one."""
    return ("cuda" if torch.cuda.is_available() else "cpu") if word == "auto" else word


class TextSystem:
    """The text experts of one seed and everything that is built on them, each part made once, when it is asked for."""

    def __init__(self, job: Job, settings: LLMSettings, tabular: TabularSystem, folder: Path, notify: Notify) -> None:
        self.job, self.settings, self.tabular = job, settings, tabular
        self.view: TaskView = tabular.view
        self.ledger: SeedLedger = tabular.ledger
        self.seed = derive_seed(tabular.seed, "text experts")
        self.folder, self._notify = folder / f"seed_{tabular.seed}", notify
        self._once: dict[str, Any] = {}
        self._tuned: dict[tuple[Role, str], TunedAdapter] = {}
        self._gates: dict[tuple[str, str], GateFit] = {}
        self._texts: dict[int, TaskTexts] = {}
        self._bias = BiasSets(self.view, settings.bias_items, derive_seed(job.suite_seed, "bias"))

    def once(self, what: str, make: Callable[[], Made]) -> Made:
        """What several questions about a method share, made when it is first asked for."""
        if what not in self._once:
            self._once[what] = make()
        return cast(Made, self._once[what])

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

    def tuned(self, role: Role, kind: str | None = None) -> TunedAdapter:
        """Stage 1: a role's tuned adapter of a kind; fair roles under the floor that the utility adapter sets."""
        name = kind or self.settings.kind
        if (role, name) not in self._tuned:
            floor = None if role == "utility" else self.tuned("utility", name)
            main = name == self.settings.kind
            part = f"tune text {role} {name}"

            def progress(done: int, total: int) -> None:
                self.ledger.reached(part, done / total)
                self._notify(self.job.name, part, SAME)

            with self.ledger.clock(part):
                self._tuned[role, name] = tune(
                    self.texts(name), role, seed=derive_seed(self.seed, "tune"), folder=self.folder, kind=name,
                    budget=Budget(**self.settings.budget),
                    trials=self.settings.trials if main else self.settings.kind_trials,
                    batch=self.settings.batch, utility_floor=floor, epsilon=None if floor is None else self.job.epsilon,
                    progress=progress, server=self.tabular.server,
                )  # fmt: skip
        return self._tuned[role, name]

    @cached_property
    def experts(self) -> tuple[LLMExpert, ...]:
        """The three tuned text experts."""
        return tuple(self.tuned(role).expert for role in ROLES)

    @cached_property
    def floor(self) -> float:
        """Validation utility that every fair choice among text experts must reach."""
        return self.tuned("utility").best_score - self.job.epsilon

    @cached_property
    def logits_oof(self) -> Tensor:
        """[n_train, 3] what the text experts say about training rows that they have not seen; folds as for networks."""
        folds = fold_of_rows(self.view, self.job.folds, derive_seed(self.tabular.seed, "folds"))
        recipes = [self.tuned(role).recipe for role in ROLES]
        with self.ledger.clock("text out of fold"):
            return out_of_fold_logits(
                self.texts(self.settings.kind), recipes, seed=derive_seed(self.seed, "folds"), assignment=folds
            )

    @cached_property
    def asked_base(self) -> LLMExpert:
        """The base without any adapter, calibrated on validation rows."""
        return calibrate([base_expert(self.reader, "base")], self.view, self.view.split.validation)[0]

    def pool(self, pool: str) -> tuple[Expert, ...]:
        """The text experts, behind those that read no text where the pool is that of both families."""
        return (*self.tabular.pool(self.other_pool), *self.experts) if pool == CROSS else self.experts

    def gate(self, kind: str, pool: str = TEXT) -> GateFit:
        """Stage 2: a gate on the frozen experts of a pool, chosen on validation rows."""
        if (pool, kind) not in self._gates:
            both, families, experts = pool == CROSS, FAMILIES[pool], self.pool(pool)
            others = self.tabular.logits_oof(self.other_pool) if both else self.logits_oof[:, :0]
            logits_oof = torch.cat([others, self.logits_oof], 1)
            rows = self.view.split.validation
            probe(self.experts, self.view, rows)
            with self.ledger.clock(f"gate {families} {kind}"):
                self._gates[pool, kind] = fit_gate(
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
        return self._gates[pool, kind]

    @property
    def other_pool(self) -> str:
        """Pool of the experts that read no text: with graph experts where the suite says so and the task has edges."""
        return GRAPH if self.settings.with_graph and self.view.edges is not None else TABULAR

    def _procedural(self, experts: Sequence[Expert], gate: ProjectedGate) -> float:
        return self.tabular.end_to_end(Mixture(tuple(experts), gate))

    @cached_property
    def _worded(self) -> list[Expert]:
        """Experts whose sensitivity to the template is measured: those that exist of base and roles."""
        found: list[Expert] = [self.tuned(role).expert for role in ROLES if (role, self.settings.kind) in self._tuned]
        return [*found, self.asked_base]

    @cached_property
    def _templates(self) -> list[list[TemplateSpread]]:
        experts = [expert for expert in self._worded if isinstance(expert, LLMExpert)]
        return template_spread(experts, self.view, self.view.split.validation)

    def main_entries(self) -> tuple[str, ...]:
        """Ledger entries of the three roles and their out-of-fold outputs."""
        return (*(f"tune text {role} {self.settings.kind}" for role in ROLES), "text out of fold")

    # -- methods: what scoring asks ------------------------------------------------------------------------------------

    def method(self, name: str) -> Expert:
        """The fitted model of a method."""
        with self.ledger.clock(f"method {name}"):
            method, recipe = self._known(name)
            return recipe.make(self, method)

    def _known(self, name: str) -> tuple[Method, Recipe[TextSystem]]:
        """A method of texts with its recipe."""
        if name not in text_methods():
            raise ValueError(f"There is no method {name!r}; known are {', '.join(text_methods())}.")
        method = all_methods()[name]
        return method, recipe_of(method)

    @property
    def unmitigated(self) -> float | None:
        """Validation gap of the tabular utility expert: levels relative to it are the same for every method."""
        return self.tabular.unmitigated

    def trained(self, method: str) -> Trained | None:  # noqa: ARG002
        """None: only the chosen adapter of a study answers for all rows."""
        return None

    def trial(self, method: str, number: int) -> Expert:
        """The model of a trained configuration of a method, by its number."""
        known, recipe = self._known(method)
        return recipe.trial(self, known, number)

    def decided(self, method: str) -> DecisionProblem | None:  # noqa: ARG002
        """None: text experts have no decision layer."""
        return None

    def members(self, method: str) -> list[Expert]:  # noqa: ARG002
        """None: text experts have no decision layer."""
        return []

    def out_of_fold(self, method: str, expert: Expert) -> OutOfFold | None:  # noqa: ARG002
        """None: adapters are not trained again on other rows."""
        return None

    def ways(self, method: str, allowed: Sequence[Allowed], explained: Explained | None) -> list[Variant]:
        """A method's own ways to keep allowed gaps."""
        known, recipe = self._known(method)
        return recipe.ways(self, known, allowed, explained)

    def routed(self, method: str, expert: Expert) -> Routed | None:
        """What is told of how a method routes rows to experts."""
        known, recipe = self._known(method)
        return recipe.routed(self, known, expert)

    def prepare(self, experts: dict[str, Expert], rows: Tensor) -> None:
        """Ask all text experts together: a text goes through the shared layers once."""
        leaves = {id(leaf): leaf for expert in experts.values() for leaf in leaves_of(expert)}
        probe(list(leaves.values()), self.view, rows)

    def role(self, method: str, expert: Expert) -> str:
        """A twin's role is that of the expert it belongs to; bases and other kinds stand beside, as baselines."""
        known, recipe = self._known(method)
        return recipe.role(known, expert)

    def params(self, method: str) -> dict[str, Any]:
        """What was chosen, and on which base."""
        s = self.settings
        known, recipe = self._known(method)
        shared = {
            "base": self.base.id, "base_hash": self.base.hash, "template": s.template, "start": self.reader.start,
            "trials": s.trials, "kind_trials": s.kind_trials, "epsilon": self.job.epsilon, "folds": self.job.folds,
            "suite_seed": self.job.suite_seed, **{f"budget.{k}": v for k, v in sorted(s.budget.items())},
        }  # fmt: skip
        return shared | recipe.chosen(self, known)

    def curves(self, method: str) -> Curves:
        """Curves by stage."""
        known, recipe = self._known(method)
        return recipe.curves(self, known)

    def parts_of(self, method: str) -> tuple[str, ...]:
        """Ledger entries that a method's model is made of."""
        known, recipe = self._known(method)
        return recipe.entries(self, known)

    def cost(self, method: str, expert: Expert) -> dict[str, Any]:
        """Size of the adapters as they are stored, and tokens read per second, lower layers included."""
        leaves = leaves_of(expert)
        rows = thinned_rows(self.view, self.view.split.validation, TIMED_ROWS, self.seed, "timed")
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
            "order": unordered(max([self.tabular.drivers(method), *(each.drivers for each in self._tuned.values())])),
        }

    def extras(self, cell: Cell, folder: Path, method: str, expert: Expert) -> None:
        """Trials, the adapter itself, and what else there is to say of a method."""
        if expert in self._worded:
            with cell.extra("templates"):
                cell.add_table("templates", template_rows(self._templates[self._worded.index(expert)]))
        known, recipe = self._known(method)
        with cell.extra("trials", folder / "trials.json"):
            trials = recipe.trials(self, known)
            if trials is not None:
                write_json(folder / "trials.json", trial_columns(trials))
        if isinstance(expert, LLMExpert):
            with cell.extra("reading"):
                cell.params |= self._reading(expert)
            with cell.extra("expert", folder / "expert"):
                (folder / "expert").mkdir()
                expert.save(folder / "expert")
        with cell.extra("search", folder / "search"):
            recipe.keep(self, known, expert, cell, folder)
        if self.settings.bias_items and self.job.split == 0:
            with cell.extra("bias"):
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
