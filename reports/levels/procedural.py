"""What is claimed where reasons are bounded: how often a bound can be kept, later too, and at what utility.

A scenario is one split of one task. The mixture searches for a decision that keeps the bound (rows of the table
``levels`` with a bound). A practitioner has models: in every scenario the one of the highest utility on validation rows
(with thresholds from these: the same rows for all), among the baselines whose own model keeps the bound there under its
thresholds, which are those from out-of-fold rows where it is bagged itself.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from metrics.proportions import wilson
from reports.caps import stands_back
from reports.levels.claims import lead_mixture
from reports.levels.contenders import DECISION, OOF, THRESHOLDS
from reports.levels.levels import Levels
from reports.levels.standing import differences_of
from reports.method import Method
from reports.names import DISPARITY, UTILITY
from reports.stats.contrasts import Pooled
from reports.stats.scores import TaskScores
from reports.stats.sources import numbered
from reports.stats.statistics import Floats
from reports.table import select

BOUND = "bound"
"""Metric of the table that tells the largest value of the bounded one."""


@dataclass(frozen=True)
class Side:
    """Scenarios of one side.

    Attributes
    ----------
    scenarios : int
        In which there is a bound.
    reached : int
        In which gap and bound are kept on the rows that choose.
    kept : int
        Of those, in which both hold on test rows too.
    """

    scenarios: int
    reached: int
    kept: int

    @property
    def share(self) -> float:
        """Share of the scenarios in which the bound is reached."""
        return self.reached / self.scenarios if self.scenarios else math.nan

    @property
    def interval(self) -> tuple[float, float]:
        """95 % interval of the share (Wilson)."""
        return wilson(self.reached, self.scenarios)

    @property
    def kept_share(self) -> float:
        """Share of the reached scenarios that are kept."""
        return self.kept / self.reached if self.reached else math.nan


@dataclass(frozen=True)
class ProceduralClaim:
    """The mixture beside the best practitioner's model under one bound and one allowed gap.

    Attributes
    ----------
    bound : str
        As in the table, such as "fair_proc@1<=half".
    level : str
        Allowed gap ``fair_res@1``.
    own : Method
    mixture, alone, practitioner : Side
        The mixture with members that it searches for; its weights as they are, with out-of-fold thresholds; the best
        practitioner's model.
    pooled : Pooled
        Test utility, mixture minus practitioner's model, over the scenarios in which both keep the bound on the rows
        that choose; clustered by source, Holm-corrected over bounds and levels.
    picked : dict
        Label of a practitioner's model → scenarios in which it was the best.
    """

    bound: str
    level: str
    own: Method
    mixture: Side
    alone: Side
    practitioner: Side
    pooled: Pooled
    picked: dict[str, int]


@dataclass(frozen=True)
class _Found:
    """One contender in one scenario."""

    label: str
    worth: float
    test: float
    holds: bool


def procedural_claims(
    table: pd.DataFrame, found: Levels | None, methods: Sequence[Method], scenarios: Sequence[TaskScores]
) -> tuple[ProceduralClaim, ...]:
    """All claims under bounds on reasons; none where no mixture has rows with a bound."""
    lead = None if found is None else lead_mixture(found.contenders)
    if lead is None:
        return ()
    rows = table[(table["gap"] == DISPARITY) & table["variant"].isin([THRESHOLDS, OOF, DECISION])]
    names = {s.name for s in scenarios}
    counting = [s for s in scenarios if not stands_back(s.name, names)]
    values = {s.name: _values(select(rows, **s.where)) for s in counting}
    mine = rows[(rows["method"] == lead.id) & (rows["procedural"] != "")]
    asked = list(mine[["procedural", "level"]].drop_duplicates().sort_values(["procedural", "level"]).itertuples(
        index=False, name=None
    ))  # fmt: skip
    made = [_Scenarios(bound, level, lead, _practitioners(methods, lead), counting, values) for bound, level in asked]
    pooled = differences_of([one.gains() for one in made], numbered([s.source for s in counting]))
    return tuple(one.claim(d) for one, d in zip(made, pooled, strict=True))


def _practitioners(methods: Sequence[Method], lead: Method) -> list[Method]:
    """Baselines that read what the mixture reads; scores that only encode decisions have no comparable utility."""
    return [m for m in methods if m.kind == "baseline" and m.reads == lead.reads and not m.row.scores_decisions]


Key = tuple[int, str, str, str, str]
"""(split, method, variant, level, bound)."""


@dataclass(frozen=True)
class _Value:
    """One number of the table on test rows and on the rows that chose."""

    test: float
    validation: float
    imputed: bool


Values = Mapping[Key, Mapping[str, _Value]]
"""Contender in a scenario → metric → number."""


def _values(rows: pd.DataFrame) -> Values:
    names = ("split", "method", "variant", "level", "procedural", "metric", "estimate", "validation", "status")
    found: dict[Key, dict[str, _Value]] = {}
    for *key, metric, estimate, validation, status in zip(*(rows[name].tolist() for name in names), strict=True):
        found.setdefault(tuple(key), {})[metric] = _Value(estimate, validation, status == "imputed")  # type: ignore[arg-type]
    return found


@dataclass(frozen=True)
class _Scenarios:
    """All scenarios under one bound and level."""

    bound: str
    level: str
    lead: Method
    rivals: Sequence[Method]
    tasks: Sequence[TaskScores]
    values: Mapping[str, Values]

    @property
    def metric(self) -> str:
        """The bounded metric."""
        return self.bound.split("<=")[0]

    def gains(self) -> Floats:
        """[T, J] mixture minus practitioner, nan where one of them does not keep the bound."""
        gains = np.full((len(self.tasks), max((len(s.splits) for s in self.tasks), default=0)), np.nan)
        for t, j, own, _, rival in self._each():
            if own is not None and rival is not None:
                gains[t, j] = own.test - rival.test
        return gains

    def claim(self, pooled: Pooled) -> ProceduralClaim:
        """What is told of them."""
        each = list(self._each())
        sides = [_side([scenario[2 + k] for scenario in each]) for k in range(3)]  # type: ignore[misc]
        picked = Counter(rival.label for *_, rival in each if rival is not None)
        return ProceduralClaim(self.bound, self.level, self.lead, *sides, pooled, dict(picked.most_common()))

    def _each(self) -> Iterator[tuple[int, int, _Found | None, _Found | None, _Found | None]]:
        """(task, place of the split, mixture, its weights alone, practitioner); None where it does not keep the bound.

        Scenarios without a bound are left out.
        """
        for t, scores in enumerate(self.tasks):
            known = self.values[scores.name]
            for j, split in enumerate(scores.splits):
                own = known.get((split, self.lead.id, DECISION, self.level, self.bound))
                if own is None:
                    continue
                limit = own[BOUND].validation
                mixture = self._found(own, own, limit, self.lead.label)
                alone = self._own(known, split, self.lead, (OOF,), limit)
                able = [self._own(known, split, m, (OOF, THRESHOLDS), limit) for m in self.rivals]
                best = max((one for one in able if one is not None), key=lambda one: one.worth, default=None)
                yield t, j, mixture, alone, best

    def _own(self, known: Values, split: int, method: Method, variants: Sequence[str], limit: float) -> _Found | None:
        """A method in the first of the variants whose reasons are told; None where that breaks the bound."""
        rows = [known.get((split, method.id, variant, self.level, ""), {}) for variant in variants]
        told = next((own for own in rows if self.metric in own), None)
        return None if told is None else self._found(told, rows[-1], limit, method.label)

    def _found(
        self, own: Mapping[str, _Value], ranked: Mapping[str, _Value], limit: float, label: str
    ) -> _Found | None:
        """A contender that keeps gap and bound on the rows that choose; ``ranked``: the variant that says its worth."""
        value, gap = own.get(self.metric), own[DISPARITY]
        if value is None or own[UTILITY].imputed or not value.validation <= limit:
            return None
        rank = ranked.get(UTILITY)
        worth = -math.inf if rank is None or rank.imputed else rank.validation
        holds = value.test <= limit and gap.test <= own["limit"].test
        return _Found(label, worth, own[UTILITY].test, holds)


def _side(found: Sequence[_Found | None]) -> Side:
    known = [one for one in found if one is not None]
    return Side(len(found), len(known), sum(one.holds for one in known))
