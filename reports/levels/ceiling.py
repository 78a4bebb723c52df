"""How often a level can be kept on test rows at all: what a rule without any error of its own would reach.

The gap of a finite test part is never exactly 0, so a rule whose gap in the population is 0 still breaks small levels,
and one that is exactly at the limit breaks it about every second time. Both are simulated from the group sizes of the
test part and the mean rates of the run's methods there.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from foundation.seeding import named_generator
from metrics.spec import MIN_GROUP_ROWS
from reports.stats.scores import TaskScores
from reports.stats.statistics import Floats
from reports.table import select

DRAWS = 2000


def _range(rates: Floats) -> Floats:
    found: Floats = np.ptp(rates, axis=1) if rates.shape[1] > 1 else np.full(len(rates), np.nan)
    return found


PARTS: Mapping[str, tuple[float, float]] = {"fair_res@1": (0.5, 0.5), "dp@1": (1.0, 0.0), "eopp@1": (0.0, 1.0)}
"""Gap → weights of the ranges over groups: of the shares of selected rows, and of those of positives found."""


@dataclass(frozen=True)
class Part:
    """Groups of a test part, and the rates that methods have there on average.

    Attributes
    ----------
    count, positives : [G] int
    selection_rate, tpr : float
    """

    count: Floats
    positives: Floats
    selection_rate: float
    tpr: float

    def gaps(self, gap: str, shift: float, rng: np.random.Generator, draws: int = DRAWS) -> Floats:
        """[draws] gaps on test rows of a rule whose groups' rates are ``shift`` apart in the population."""
        place = np.linspace(-0.5, 0.5, len(self.count)) if len(self.count) > 1 else np.zeros(1)
        tpr = np.clip(self.tpr + shift * place, 0, 1)
        negatives = self.count - self.positives
        false = self.count * (self.selection_rate + shift * place) - self.positives * tpr
        fpr = np.clip(false / np.maximum(negatives, 1), 0, 1)
        size = (draws, len(self.count))
        hits = rng.binomial(self.positives.astype(np.int64), tpr, size)
        alarms = rng.binomial(negatives.astype(np.int64), fpr, size)
        large, known = self.count >= MIN_GROUP_ROWS, self.positives >= MIN_GROUP_ROWS
        selected = (hits + alarms)[:, large] / self.count[large]
        ranges = _range(selected), _range(hits[:, known] / self.positives[known])
        total: Floats = sum((w * own for w, own in zip(PARTS[gap], ranges, strict=True) if w), np.zeros(draws))
        return total


@dataclass(frozen=True)
class Ceiling:
    """Shares of test parts on which a level is kept: by a rule with no gap, and by one exactly at the limit."""

    zero: float
    limit: float


RATES = ("count", "positives", "selection_rate", "tpr")
"""Statistics of the table "groups" that a test part is made from."""

Parts = Mapping[tuple[str, int], Part]
"""(task, split) → its test part."""


def parts_of(groups: pd.DataFrame, scenarios: Sequence[TaskScores]) -> Parts:
    """The test parts of a run, from the rows of the table "groups"; those without rates are left out."""
    rows = groups[(groups["part"] == "test") & groups["statistic"].isin(RATES)]
    found: dict[tuple[str, int], Part] = {}
    for scores in scenarios:
        own = select(rows, **scores.where)
        keys = ["split", "method", "group"]
        table = own.groupby([*keys, "statistic"])["estimate"].mean().unstack("statistic").reindex(columns=list(RATES))
        found |= {(scores.name, int(split)): _part(table.loc[split]) for split in own["split"].unique().tolist()}
    return {place: part for place, part in found.items() if not np.isnan([part.selection_rate, part.tpr]).any()}


def _part(table: pd.DataFrame) -> Part:
    """The part of one split, from its table (method, group) → statistics."""
    sizes = table.groupby(level="group")[["count", "positives"]].first()
    count, positives = (sizes[name].to_numpy(dtype=np.float64) for name in ("count", "positives"))
    selected = _mean_rate(table["selection_rate"], table["count"])
    return Part(count, positives, selected, _mean_rate(table["tpr"], table["positives"]))


def _mean_rate(rates: pd.Series, weights: pd.Series) -> float:
    """Mean over methods of their rates over all groups; groups without a rate do not count."""
    known = weights.where(rates.notna(), 0.0)
    parts = (rates.fillna(0.0) * known).groupby(level="method").sum() / known.groupby(level="method").sum()
    return float(parts.mean())


def ceiling(part: Part, gap: str, limit: float, name: str) -> Ceiling:
    """The ceiling of one limit on one test part; ``name`` seeds the draws."""
    zero, at = (part.gaps(gap, shift, named_generator("ceiling", name, gap)) for shift in (0.0, limit))
    return Ceiling(*(float(np.mean(g <= limit)) if not np.isnan(g).any() else float("nan") for g in (zero, at)))
