"""Decisions of a library's mixture whose reasons are bounded too: other members are searched that keep the bound."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from benchmarks.run.levels import BOUNDED, Allowed, Explained, Variant
from benchmarks.run.levels.choice import Choice
from benchmarks.run.levels.part import Part
from benchmarks.run.stages.library_stage import LibraryStage
from experts.bagging import HonestBag
from experts.evidence import collect_evidence
from experts.expert import Expert
from metrics.evidence import Evidence
from metrics.procedural import procedural_points
from metrics.thresholds import Thresholds
from moe.decision import (
    Decision,
    DecisionProblem,
    Demand,
    ExplainedRows,
    MaskedColumns,
    ProceduralBound,
    Reasons,
    fit_decisions,
)
from tasks.task import TaskView

KAPPA = 1.0
"""Margin on the gap, as where reasons are not bounded."""


def reasons_at_own_cut(expert: Expert, view: TaskView, explained: Tensor | None) -> dict[str, float]:
    """Procedural metrics of a model on explained validation rows, as it is: what bounds are shares of.

    Parameters
    ----------
    expert : Expert
    view : TaskView
    explained : [e] int64 or None
        Positions among validation rows; None: all.
    """
    rows = _rows(view.split.validation, explained)
    found = collect_evidence(expert, view, rows)
    assert found.masked is not None and found.attributions is not None  # collect_evidence gives both
    parts = found.probability[None], found.masked[None], found.attributions[None]
    values = procedural_points(*parts, view.groups[rows], len(view.group_names))
    return {metric: float(value[0]) for metric, value in values.items()}


def bounded_variant(
    stage: LibraryStage, others: Sequence[HonestBag], explained: Explained, allowed: Sequence[Allowed], seed: int
) -> Variant:
    """The mixture's decisions for allowed gaps with a bound on reasons.

    Candidates are mixtures of the mixture with one of the fair members or of ``others``. Validation rows that are
    explained for every method are explained here too, by the models that have not seen them; test rows are only looked
    up for what was chosen.

    Parameters
    ----------
    stage : LibraryStage
    others : sequence of HonestBag
        Members that may have simpler reasons than the mixture, though they are not fair ones.
    explained : Explained
        Reasons of the mixture.
    allowed : sequence of Allowed
        Each with a bound.
    seed : int
    """
    view = stage.view
    models: tuple[Expert, ...] = (stage.mixture, *stage.fair, *others)
    seen = _Members(view, models, _rows(view.split.validation, explained.validation.explained))
    test = _Members(view, models, _rows(view.split.test, explained.test.explained))
    problem = _problem(stage, others, seen, explained, seed)
    asked = [_demand(demand) for demand in allowed]
    found = dict(zip(allowed, fit_decisions(problem, asked), strict=True))
    ready = {a: None if one is None else _choice(problem, one, test, explained, a) for a, one in found.items()}
    return Variant("decision", Part(problem.labels, problem.groups, problem.n_groups), ready, BOUNDED)


def _demand(allowed: Allowed) -> Demand:
    assert allowed.bound is not None  # bounded_gaps has given one
    bound = ProceduralBound(allowed.bound.metric, allowed.bound.limit)
    return Demand(allowed.gap, allowed.limit, KAPPA, procedural=bound)


def _rows(part: Tensor, explained: Tensor | None) -> Tensor:
    return part if explained is None else part[explained]


@dataclass(eq=False)
class _Members:
    """Models on explained rows [e] of a part: each is explained when it is first looked at."""

    view: TaskView
    models: Sequence[Expert]
    rows: Tensor
    _known: dict[int, Evidence] = field(default_factory=dict)

    def reasons(self, member: int) -> Evidence:
        """Probabilities and attributions of a member."""
        if member not in self._known:
            model = self.models[member]
            probability = torch.sigmoid(model.logits(self.view, self.rows).detach())
            self._known[member] = Evidence(probability, model.attributions(self.view, self.rows).detach())
        return self._known[member]

    def ask(self, member: int, positions: Tensor, columns: Tensor) -> Tensor:
        """[q] probabilities of rows, each with one column unknown."""
        keep = torch.ones(len(positions), len(self.view.columns), dtype=torch.bool)
        keep[torch.arange(len(positions)), columns] = False
        return torch.sigmoid(self.models[member].logits(self.view, self.rows[positions], keep).detach())


def _of_mixture(evidence: Evidence) -> Evidence:
    return Evidence(evidence.of_explained(evidence.probability), evidence.attributions)


def _problem(
    stage: LibraryStage, others: Sequence[HonestBag], seen: _Members, explained: Explained, seed: int
) -> DecisionProblem:
    plain, view = stage.problem(seed), stage.view
    positions = explained.validation.explained
    places = torch.arange(len(view.split.validation)) if positions is None else positions
    reasons = [_of_mixture(explained.validation), *(seen.reasons(k) for k in range(1, len(seen.models)))]
    return dataclasses.replace(
        plain,
        members=torch.cat((plain.members, *(bag.bag.oof[None] for bag in others))),
        roles=(*plain.roles, *(bag.role for bag in others)),
        explained=ExplainedRows(len(view.split.train) + places, reasons, seen.ask),
    )


def _choice(problem: DecisionProblem, one: Decision, test: _Members, explained: Explained, allowed: Allowed) -> Choice:
    """A decision on all rows that chose and on test rows, with the bounded metric on explained ones."""
    assert allowed.bound is not None and isinstance(one.rule, Thresholds)  # the mode is "aware"
    view, metric = test.view, allowed.bound.metric
    rows = view.split.test
    margins = torch.full((len(problem.roles), len(rows)), torch.nan)
    for k in one.members:
        margins[k] = test.models[k].logits(view, rows).detach()
    reasons = {k: test.reasons(k) if k else _of_mixture(explained.test) for k in one.members}
    value = _reasons(reasons, test, problem).value(one.shares, one.rule, metric)
    decided = one.apply(problem.members, problem.groups), one.apply(margins, view.groups[rows])
    return Choice(*decided, one.rule, shares=one.shares, reasons={metric: (value, one.procedural)})


def _reasons(known: Mapping[int, Evidence], test: _Members, problem: DecisionProblem) -> Reasons:
    members = [known.get(k) for k in range(len(test.models))]
    return Reasons(members, test.view.groups[test.rows], problem.n_groups, MaskedColumns(test.ask))
