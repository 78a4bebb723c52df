"""Mixtures of text experts as methods: gates on outputs and in the layers, dispatch, search, joint fine-tuning."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from benchmarks.cells.cell import Cell
from benchmarks.methods.method import CROSS, Method
from benchmarks.run.stages.curves import Curves, best_per_step
from benchmarks.run.stages.recipe import Recipe
from benchmarks.run.stages.text import FAMILIES, TextSystem
from benchmarks.run.stages.text_tables import front_rows
from experts.expert import ROLES, Expert
from foundation.seeding import derive_seed
from gates.candidates import GateFit
from gates.selection import ValidationScore, validation_scores
from llm_experts.mixtures.dispatch import BayesDispatcher
from llm_experts.mixtures.dispatch_models import responsibilities
from llm_experts.mixtures.finetune import FineTuning, fine_tune
from llm_experts.mixtures.routers import DispatchRouter, GateRouter
from llm_experts.mixtures.row_mixture import RowMixture, calibrate_mixture
from llm_experts.mixtures.svf_mixtures import SVFMixtures, mixed_adapter
from llm_experts.reading.expert import LLMExpert, calibrate, probe
from llm_experts.reading.origin import joined
from llm_experts.search import Objective, SearchResult, SearchRows, SearchSettings, search_mixtures
from moe.mixture import Mixture
from tasks.thinning import thinned_rows

if TYPE_CHECKING:
    from torch import Tensor

    from gates.gate import ProjectedGate
    from tasks.task import TaskView

SEARCH = {
    "generations": 40, "population": 50, "objectives": (Objective("utility@1"), Objective("dp@1")),
    "refuse_constant": False,
}  # fmt: skip
"""Mixture search of the suite; its settings override these. Half of the validation rows is too few for gaps among the
positives of small groups. Constants may lie on the front, where tables flag them; the other half accepts none."""


class Gated(Recipe[TextSystem]):
    """Frozen experts of a pool, weighed by one gate on their outputs."""

    def make(self, system: TextSystem, method: Method) -> Expert:
        """The members and the chosen gate."""
        return Mixture(system.pool(method.pool), self._gate(system, method).gate)

    def entries(self, system: TextSystem, method: Method) -> tuple[str, ...]:
        """Members, their out-of-fold outputs, the gate."""
        others = system.tabular.pool_entries(system.other_pool) if method.pool == CROSS else ()
        return (*others, *system.main_entries(), f"gate {FAMILIES[method.pool]} {method.gate}")

    def chosen(self, system: TextSystem, method: Method) -> dict[str, Any]:
        """The gate's configuration."""
        config = self._gate(system, method).config
        return {} if config is None else {f"gate.{k}": v for k, v in vars(config).items()}

    def curves(self, system: TextSystem, method: Method) -> Curves:
        """Of the gate's training."""
        return best_per_step("gate", self._gate(system, method).history)

    @staticmethod
    def _gate(system: TextSystem, method: Method) -> GateFit:
        return system.gate(method.gate, method.pool)


class Bank(Gated):
    """The gate's weights, used inside the layers instead of on the outputs."""

    def make(self, system: TextSystem, method: Method) -> Expert:
        """Adapters mixed row by row."""
        router = GateRouter(system.experts, self._gate(system, method).gate)
        return calibrate_mixture(RowMixture(system.experts, router), system.view, system.view.split.validation)

    def entries(self, system: TextSystem, method: Method) -> tuple[str, ...]:
        """Those of the gate, and the calibration."""
        return (*super().entries(system, method), f"method {method.id}")


class Dispatched(Recipe[TextSystem]):
    """Weights by Bayes' rule from the base's hidden state and the row's categories."""

    def make(self, system: TextSystem, method: Method) -> Expert:  # noqa: ARG002
        """Adapters and the base, mixed row by row."""
        view, (train, validation) = system.view, (system.view.split.train, system.view.split.validation)
        router = DispatchRouter(BayesDispatcher(), system.reader)
        losses = log_losses(system.logits_oof, view.labels[train])
        asked = log_losses(system.asked_base.logits(view, train)[:, None], view.labels[train])[:, 0]
        router.dispatcher.fit(*router.evidence(view, train), responsibilities(losses, asked), ROLES)
        experts = (system.asked_base, *system.experts)
        held = log_losses(torch.stack([e.logits(view, validation) for e in experts], 1), view.labels[validation])
        router.dispatcher.calibrate(*router.evidence(view, validation), responsibilities(held[:, 1:], held[:, 0]))
        return calibrate_mixture(RowMixture(experts, router), view, validation)

    def entries(self, system: TextSystem, method: Method) -> tuple[str, ...]:
        """Members, the gate that is trained beside, the dispatcher."""
        return (*system.main_entries(), "gate text dense", f"method {method.id}")


class Searched(Recipe[TextSystem]):
    """One adapter made of the three SVF experts, their shares found by search."""

    def make(self, system: TextSystem, method: Method) -> Expert:
        """The winner as an expert."""
        winner, experts = self._search(system, method).winner, self._experts(system, method)
        alpha = torch.tensor([winner.alphas[role] for role in ROLES], dtype=torch.float64)
        adapter = mixed_adapter([e.adapter for e in experts if e.adapter is not None], alpha)
        origins = joined(origin for expert in experts for origin in expert.origins)
        mixed = LLMExpert("mixture", system.texts(method.adapter).reader, adapter, origins=origins)
        return calibrate([mixed], system.view, system.view.split.validation)[0]

    def entries(self, system: TextSystem, method: Method) -> tuple[str, ...]:  # noqa: ARG002
        """Its members' studies, and the search."""
        return (*(f"tune text {role} {method.adapter}" for role in ROLES), "mixture search")

    def chosen(self, system: TextSystem, method: Method) -> dict[str, Any]:
        """The winner's shares, and whether the other half of the validation rows accepted it."""
        winner = self._search(system, method).winner
        return {**{f"alpha.{k}": v for k, v in winner.alphas.items()}, "accepted": winner.accepted}

    def curves(self, system: TextSystem, method: Method) -> Curves:
        """Hypervolume by generation."""
        points = [(i, g.hypervolume) for i, g in enumerate(self._search(system, method).curve)]
        return {"search/hypervolume": points}

    def keep(self, system: TextSystem, method: Method, expert: Expert, cell: Cell, folder: Path) -> None:  # noqa: ARG002
        """The search with its fronts."""
        search = self._search(system, method)
        search.save(folder / "search")
        cell.add_table("fronts", front_rows(search))

    @staticmethod
    def _experts(system: TextSystem, method: Method) -> tuple[LLMExpert, ...]:
        return tuple(system.tuned(role, method.adapter).expert for role in ROLES)

    def _search(self, system: TextSystem, method: Method) -> SearchResult:
        return system.once(method.id, lambda: _searched(system, self._experts(system, method)))


class FineTuned(Gated):
    """Adapters and gate after joint fine-tuning, kept only if the validation rows say so."""

    def make(self, system: TextSystem, method: Method) -> Expert:
        """The whole system."""
        tuned = self._tuned(system, method)
        return Mixture(tuned.experts, tuned.gate)

    def entries(self, system: TextSystem, method: Method) -> tuple[str, ...]:
        """Those of the gate that it starts from, and its own."""
        return (*super().entries(system, method), "fine-tune text")

    def chosen(self, system: TextSystem, method: Method) -> dict[str, Any]:
        """Whether fine-tuning was kept."""
        return {"fine_tuning_kept": self._tuned(system, method).kept}

    def curves(self, system: TextSystem, method: Method) -> Curves:
        """Of the gate's training, then of fine-tuning."""
        points = [{"step": step, **vars(score)} for _, step, score in self._tuned(system, method).history]
        return super().curves(system, method) | best_per_step("finetune", points)

    def _tuned(self, system: TextSystem, method: Method) -> FineTuning[ValidationScore]:
        return system.once(method.id, lambda: _fine_tuned(system, self._gate(system, method).gate))


def _searched(system: TextSystem, experts: tuple[LLMExpert, ...]) -> SearchResult:
    """Search for α of SVF experts on one half of the validation rows; the other half may reject."""
    half, other = (SVFMixtures(experts, system.view, rows) for rows in halves(system.view, system.seed))
    own = {**SEARCH, "epsilon": system.job.epsilon}
    settings = SearchSettings(**{**own, **system.settings.search, "seed": derive_seed(system.seed, "search")})
    with system.ledger.clock("mixture search"):
        return search_mixtures(
            half, _search_rows(system.view, half.rows), settings,
            held_out=(other, _search_rows(system.view, other.rows)), folder=system.folder / "search",
        )  # fmt: skip


def _search_rows(view: TaskView, rows: Tensor) -> SearchRows:
    return SearchRows(view.labels[rows], view.groups[rows], view.group_names)


def _fine_tuned(system: TextSystem, gate: ProjectedGate) -> FineTuning[ValidationScore]:
    """Stage 3: adapters and gate together; snapshots are judged by outcomes, the last one by its reasons too."""

    def better(one: ValidationScore, other: ValidationScore) -> bool:
        return one.better_than(other, system.floor)

    def judged(experts: tuple[LLMExpert, ...], gate: ProjectedGate) -> ValidationScore:
        return _judged(system, experts, gate)

    with system.ledger.clock("fine-tune text"):
        tuned = fine_tune(
            system.texts(system.settings.kind), system.experts, gate, seed=derive_seed(system.seed, "fine-tune"),
            judge=judged, better=better,
        )  # fmt: skip
        if not tuned.kept:
            return tuned
        probe(tuned.experts, system.view, system.view.split.validation)
        before, after = (_judged(system, *parts, reasons=True) for parts in (
            (system.experts, gate), (tuned.experts, tuned.gate),
        ))  # fmt: skip
    if better(after, before):
        return dataclasses.replace(tuned, before=before, after=after)
    return dataclasses.replace(tuned, experts=system.experts, gate=gate, kept=False, before=before, after=before)


def _judged(
    system: TextSystem, experts: tuple[LLMExpert, ...], gate: ProjectedGate, reasons: bool = False
) -> ValidationScore:
    """What the rule sees of a system on validation rows."""
    view, mixture, rows = system.view, Mixture(experts, gate), system.view.split.validation
    fair_proc = torch.tensor([system.tabular.end_to_end(mixture)]) if reasons else None
    margins = mixture.logits(view, rows)[None]
    return validation_scores(margins, view.labels[rows], view.groups[rows], len(view.group_names), fair_proc)[0]


def halves(view: TaskView, seed: int) -> tuple[Tensor, Tensor]:
    """Validation rows, cut in two by chance: one half to search on, one to accept or reject the winner.

    Both hold every cell of label × group in proportion.
    """
    rows = view.split.validation
    first = thinned_rows(view, rows, len(rows) // 2, seed, "halves of the validation rows")
    return first, rows[~torch.isin(rows, first)]


def log_losses(logits: Tensor, labels: Tensor) -> Tensor:
    """[n, m] negative log-likelihood of each row's label under each expert's margin."""
    signs = 2.0 * labels.to(logits.dtype)[:, None] - 1.0
    return torch.nn.functional.softplus(-signs * logits)


GATED, FINE_TUNED = Gated(), FineTuned()
BANK, SEARCHED, DISPATCHED = Bank(), Searched(), Dispatched()
