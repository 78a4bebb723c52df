"""Rows of the tables "levels" and "thresholds" of one cell."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any

import torch
from torch import Tensor

from benchmarks.run.levels.allowed import Allowed, allowed_gaps
from benchmarks.run.levels.choice import Choice, Variant
from benchmarks.run.levels.explained import Explained, with_reasons
from benchmarks.run.levels.out_of_fold import OutOfFold, out_of_fold
from benchmarks.run.levels.part import GAP, UTILITY, Part
from benchmarks.run.levels.plain import plain
from benchmarks.run.levels.thresholded import thresholded
from benchmarks.run.levels.trained import Trained
from tasks.task import Task


def level_tables(
    chosen_validation: Tensor,
    chosen_test: Tensor,
    trained: Trained | None,
    task: Task,
    unmitigated: float | None,
    *,
    bag: OutOfFold | None = None,
    further: Iterable[Variant] = (),
    explained: Explained | None = None,
) -> dict[str, list[dict[str, Any]]]:
    """Rows of the tables "levels" and "thresholds" of one cell (see ``reports.table.FURTHER``).

    Parameters
    ----------
    chosen_validation, chosen_test : [n] float
        Probabilities of the method's chosen model on validation and test rows, in the order of the split.
    trained : Trained or None
        Its other trained configurations; None where there are none.
    task : Task
        With the labels of its test rows: they are used for values only, never to choose.
    unmitigated : float or None
        See :func:`benchmarks.run.levels.allowed.allowed_gaps`.
    bag : OutOfFold or None
        Its chosen configuration on folds; None where it cannot be refitted.
    further : iterable of Variant
        Ways of its own to keep levels.
    explained : Explained or None
        Reasons of its chosen model; None where they are not known.

    Returns
    -------
    dict of list of dict
        "levels": variant, gap, level, procedural, metric, estimate (test rows), validation (the rows that chose),
        status, trial. Where nothing keeps the limit, the constant predictor stands in, with the status "imputed".
        "thresholds": variant, gap, level, procedural, group, cut, shares, where thresholds move what answers. Both are
        empty where the validation rows cannot give any prediction a utility or a gap: nothing is known of who keeps a
        level then.
    """
    allowed = allowed_gaps(unmitigated)
    part, test = Part.of(task, task.split.validation), Part.of(task, task.split.test)
    rate = float(task.labels[task.split.train].to(torch.float64).mean())
    if any(bool(value.isnan()) for value in part.values(part.same(rate)[None], (UTILITY, GAP)).values()):
        return {"levels": [], "thresholds": []}
    chosen = Choice(chosen_validation, chosen_test)
    variants = [plain(chosen, trained, part, allowed), thresholded(chosen, part, test, allowed)]
    if bag is not None:
        variants += out_of_fold(bag, Part.of(task, bag.rows), test, allowed)
    if explained is not None:
        known = ("thresholds", "oof") if bag is not None and bag.own else ("thresholds",)
        variants = [with_reasons(variant, explained) if variant.name in known else variant for variant in variants]
    variants += further
    return {
        "levels": [row for variant in variants for row in _rows(variant, test, rate)],
        "thresholds": [row for variant in variants for row in _threshold_rows(variant, task.group_names)],
    }


def _head(variant: Variant, demand: Allowed) -> dict[str, Any]:
    procedural = "" if demand.bound is None else demand.bound.name
    return {"variant": variant.name, "gap": demand.gap, "level": demand.level, "procedural": procedural}


def _threshold_rows(variant: Variant, groups: Sequence[str]) -> list[dict[str, Any]]:
    """A row per level and group, where thresholds were found."""
    return [
        {**_head(variant, demand), "group": group, "cut": cut, "shares": _shares(choice)}
        for demand, choice in variant.found.items()
        if choice is not None and choice.cuts is not None
        for group, cut in zip(groups, choice.cuts.cuts.tolist(), strict=True)
    ]


def _shares(choice: Choice) -> str:
    """Shares of members as JSON; empty where one model answers."""
    return "" if choice.shares is None else json.dumps(choice.shares.tolist())


def _rows(variant: Variant, test: Part, rate: float) -> list[dict[str, Any]]:
    """All levels of a variant; ``rate`` is the constant predictor's answer: the share of positive training rows."""
    stand_in = Choice(variant.part.same(rate), test.same(rate))
    shown = [choice or stand_in for choice in variant.found.values()]
    values, kept = (
        _values([c.test for c in shown], test, variant),
        _values([c.seen for c in shown], variant.part, variant),
    )
    rows: list[dict[str, Any]] = []
    for place, (demand, choice) in enumerate(variant.found.items()):
        bound = demand.bound
        numbers = {metric: (values[metric][place], kept[metric][place]) for metric in variant.reported}
        numbers["limit"] = (demand.limit, demand.limit)
        numbers |= {} if choice is None else choice.reasons
        numbers |= {} if bound is None else {"bound": (bound.limit, bound.limit)}
        trial = "" if choice is None or choice.trial is None else str(choice.trial)
        told = {"status": "imputed" if choice is None else "ok", "trial": trial}
        rows += [
            {**_head(variant, demand), "metric": metric, "estimate": estimate, "validation": seen, **told}
            for metric, (estimate, seen) in numbers.items()
        ]
    return rows


def _values(probabilities: list[Tensor], part: Part, variant: Variant) -> dict[str, list[float]]:
    """Metric → value of each prediction; equal predictions are looked at once."""
    first: dict[int, int] = {}
    place = [first.setdefault(id(p), len(first)) for p in probabilities]
    distinct = list({id(p): p for p in probabilities}.values())
    found = part.values(torch.stack([p.to(torch.float64) for p in distinct]), variant.reported)
    return {metric: [float(column[k]) for k in place] for metric, column in found.items()}
