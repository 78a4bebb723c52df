"""Scores of many predictions from one pass over their rows: what :mod:`metrics.score` says, without the rows.

Metrics of counts are the same numbers, draw for draw. AUC is that of a histogram of 3,840 bins: the value's reason
says how far the rows' own can lie from it, and its interval (DeLong's) is wider by as much at both ends. Brier score,
calibration gap and calibration error are exact to 2⁻³⁰ per row; their intervals are normal, as sums of many rows are.
Composites are drawn jointly. Reasons need the model: they are measured on a sample of the rows, see
:func:`metrics.tallies.reasons.with_reasons`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import torch
from torch import Tensor

from foundation.seeding import numpy_generator
from metrics import composites
from metrics.auc import ONE_CLASS, ends_of_area
from metrics.calibration import calibration_gap
from metrics.composites import combine
from metrics.count_scores import (
    ScoredGroups,
    Scores,
    constant_words,
    count_metrics,
    degenerate_words,
    drawn_tables,
    final_value,
    group_rows,
    resampled,
)
from metrics.registry import METRICS
from metrics.resample import Resampled
from metrics.spec import MIN_GROUP_ROWS
from metrics.tallies.area import BinnedArea
from metrics.tallies.calibration import CalibrationDraws
from metrics.tallies.tally import Tally
from metrics.value import Value

TALLIED = tuple(
    id for id, metric in METRICS.items() if metric.kind != "procedural" and id not in ("fair_proc@1", "final@1")
)
"""Metrics that counts give."""
DRAWS = 1000
LEAST_ROWS = 2000
"""Rows from which on the normal intervals of calibration hold; with fewer, :func:`metrics.score.score` is exact."""


@dataclass(frozen=True)
class _Tallied:
    """One prediction of a tally."""

    tally: Tally
    model: int
    rows: ScoredGroups
    table: Tensor  # [1, g, 2, 2]

    @property
    def is_constant(self) -> bool:
        return bool(self.tally.ends[self.model, 0] == self.tally.ends[self.model, 1])

    @cached_property
    def constant(self) -> str:
        """Why the prediction is degenerate; empty if it is not."""
        if self.is_constant:
            return constant_words(float(self.tally.ends[self.model, 0]))
        return degenerate_words(float(self.table[..., 1].sum() / self.table.sum()))

    @cached_property
    def area(self) -> BinnedArea | None:
        """AUC in bins; None without rows of both labels."""
        fine = self.tally.fine[self.model]
        return BinnedArea.of(fine) if fine[::2].any() and fine[1::2].any() else None

    @cached_property
    def area_value(self) -> Value:
        """AUC with DeLong's interval, which the error of binning widens."""
        area = self.area
        if area is None:
            return Value.not_estimable(ONE_CLASS)
        estimate, error = area.runs.area, 0.0 if self.is_constant else area.error
        pairs = int(min(area.runs.positives.sum(), area.runs.negatives.sum()))
        low, high = ends_of_area(estimate, area.runs.variance, pairs)
        # a power of ten, as pages name every reason once
        most = f"{10.0 ** math.ceil(math.log10(error)):g}" if error else ""
        reason = f"AUC of a histogram: at most {most} from that of the rows" if error else ""
        return Value(estimate, max(0.0, low - error), min(1.0, high + error), reason=reason)


def tally_scores(
    tally: Tally, names: Sequence[str], group_names: Sequence[str], *, seed: int, permutations: int = 500
) -> dict[str, Scores]:
    """Scores of all predictions of a tally.

    Parameters
    ----------
    tally : Tally
        Of K predictions.
    names : K names
    group_names : g names
    seed : int
        As in :func:`metrics.score.score_many`: the same seed gives the same draws.
    permutations : int
        Shuffles of groups.

    Raises
    ------
    ValueError
        If there are no rows.
    """
    if not tally.rows:
        raise ValueError("there are no rows to score; count at least one")
    rows = ScoredGroups(tuple(group_names), torch.from_numpy(tally.sizes).to(torch.float64), permutations, seed)
    tables = tally.tables()
    return {
        name: _scores(_Tallied(tally, model, rows, tables[model : model + 1]))
        for model, name in enumerate(names)
    }  # fmt: skip


def _scores(one: _Tallied) -> Scores:
    if broken := int(one.tally.broken[one.model]):
        reason = f"{broken} of {one.tally.rows} probabilities are nan"
        return Scores({id: Value.not_estimable(reason) for id in TALLIED}, [], False)
    parts = _parts(one)
    values = {id: final_value(METRICS[id], parts[id], one.rows, one.constant) for id in TALLIED}
    return Scores({**values, "auc@1": one.area_value}, group_rows(one.table[0], one.rows.names), bool(one.constant))


def _parts(one: _Tallied) -> dict[str, Resampled]:
    """Every metric with its draws and null."""
    drawn = drawn_tables(one.table, one.rows.seed)
    counts = count_metrics(one.table, drawn, one.rows, is_constant=one.is_constant)
    joint = {id: replace(counts[id], null=None, deviations=None) for id in ("acc@1", "f1@1")}
    area = _area(one, drawn)
    utility = combine(composites.utility, joint["acc@1"], joint["f1@1"], area)
    return {**counts, "auc@1": area, **_calibration(one), "utility@1": utility}


def _area(one: _Tallied, drawn: Tensor) -> Resampled:
    """AUC with draws that belong to the drawn count tables."""
    area, value = one.area, one.area_value
    if area is None:
        return Resampled(math.nan, status="not_estimable", reason=ONE_CLASS)
    generator = numpy_generator(one.rows.seed, "tallied areas")
    exact = (value.low, value.high) if value.estimate in (0.0, 1.0) else None
    return Resampled(value.estimate, area.draws(drawn, one.tally.fine[one.model], generator), exact=exact)


def _calibration(one: _Tallied) -> dict[str, Resampled]:
    """Brier score, calibration error and gap."""
    tally, model = one.tally, one.model
    draws = CalibrationDraws.of(tally, model, DRAWS, numpy_generator(one.rows.seed, "tallied calibration"))
    excess, size = torch.from_numpy(tally.excess(model)), one.rows.sizes.sum(-1)
    total, moved = excess.sum(1), torch.from_numpy(draws.excess)
    known = torch.where(size >= MIN_GROUP_ROWS, size, 0.0)
    return {
        "brier@1": Resampled(tally.brier(model), torch.from_numpy(draws.brier)),
        "ece@1": Resampled(float(excess.sum(0).abs().sum()) / tally.rows, torch.from_numpy(draws.ece)),
        "cal_gap@1": resampled(
            "cal_gap@1",
            float(calibration_gap(total, size, MIN_GROUP_ROWS)),
            calibration_gap(moved, known),
            one.rows,
            deviations=calibration_gap((moved / size - total / size) * known, known),
        ),
    }
