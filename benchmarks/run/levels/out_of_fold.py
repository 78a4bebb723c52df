"""The variants "oof": group thresholds from rows that the model has not seen, with calibrated labels and a margin."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from benchmarks.run.levels.allowed import Allowed
from benchmarks.run.levels.choice import Choice, Variant
from benchmarks.run.levels.part import GAP, REPORTED, UTILITY, Part
from experts.bagging import Bag, bag_rows
from experts.expert import Expert
from metrics.expected_labels import expected_labels
from metrics.thresholds import FINE_RATES, FINE_STEPS, fit_thresholds
from tasks.task import TaskView

MARGINS = {"oof": 1.0, "oof80": 0.8, "oof60": 0.6}
"""Variant → κ: on the rows that choose, the gap may be κ times what is allowed."""

FEW = (UTILITY, "dp@1", GAP)
"""Metrics of variants with a margin κ < 1."""


@dataclass(frozen=True)
class OutOfFold:
    """A method's chosen configuration, refitted on folds of training and validation rows.

    Attributes
    ----------
    rows : [n] int64
        Row ids: training rows, then validation rows.
    margins : [n] float32
        Of these rows, each by the model that has not seen it.
    test : [n_test] float32
        Mean margins of the fold models on test rows.
    own : bool
        Whether the method's own model is this bag, so that its reasons are the bag's.
    fold : [n] int64 or None
        The fold that each of these rows was held out in.
    expert : Expert or None
        The mean of the fold models: what answered for test rows.
    """

    rows: Tensor
    margins: Tensor
    test: Tensor
    own: bool = False
    fold: Tensor | None = None
    expert: Expert | None = None

    @classmethod
    def of(cls, view: TaskView, bag: Bag, fold: Tensor, *, own: bool = False) -> OutOfFold:
        """What a bag says of the rows that it was made of, and of test rows."""
        test = view.split.test
        said = bag.expert.logits(view, test).detach() if len(test) else torch.empty(0)  # a refit has no test rows
        return cls(bag_rows(view), bag.oof, said, own, fold, bag.expert)


def out_of_fold(bag: OutOfFold, part: Part, test: Part, allowed: Sequence[Allowed]) -> list[Variant]:
    """One variant per κ; a margin does nothing where nothing is bounded, so that level is left out for κ < 1.

    Parameters
    ----------
    bag : OutOfFold
    part : Part
        Its rows.
    test : Part
    allowed : sequence of Allowed
    """
    chosen = Choice(torch.sigmoid(bag.margins.to(torch.float64)), torch.sigmoid(bag.test.to(torch.float64)))
    expected = expected_labels(bag.margins.to(torch.float64), part.labels, part.groups, part.n_groups)
    found: dict[str, dict[Allowed, Choice | None]] = {name: {} for name in MARGINS}
    for gap in dict.fromkeys(demand.gap for demand in allowed):
        asked = [(n, d) for n, kappa in MARGINS.items() for d in allowed if d.gap == gap and _bounds(d, kappa)]
        fitted = fit_thresholds(
            chosen.seen, part.labels, part.groups, part.n_groups, [MARGINS[n] * d.limit for n, d in asked],
            gap=gap, expected=expected, rates=FINE_RATES, steps=FINE_STEPS,
        )  # fmt: skip
        for (name, demand), cuts in zip(asked, fitted, strict=True):
            found[name][demand] = None
            if cuts is not None:
                applied = cuts.apply(chosen.seen, part.groups), cuts.apply(chosen.test, test.groups)
                found[name][demand] = Choice(*applied, cuts)
    return [Variant(n, part, own, REPORTED if MARGINS[n] == 1 else FEW) for n, own in found.items()]


def _bounds(demand: Allowed, kappa: float) -> bool:
    return kappa == 1 or not math.isinf(demand.limit)
