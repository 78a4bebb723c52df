"""What rows lack for a metric, in words: which groups have too few of the rows that are compared."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import torch

from metrics.counts.group_rates import rates_of_counts
from metrics.counts.rates import SELECTION_RATE, Rate
from metrics.counts.tables import cell_totals, count_table
from metrics.procedural.fidelity import ONE_IN
from metrics.registry import COUNTS

if TYPE_CHECKING:
    from torch import Tensor

EXPLAINED = ("ref@1", "vef@1", "fair_proc@1")
"""Metrics that look at the fifth of a group's rows whose reasons matter most."""

WORDS = {(0, 1): "rows", (1,): "positives", (0,): "negatives"}
"""What the rows that a rate speaks of are called after a number, by their labels."""


def scarcity(metric: str, labels: Tensor, groups: Tensor, names: Sequence[str]) -> str:
    """Why rows cannot give a metric, such as "B has 0 positives"; empty if groups and classes are there.

    Parameters
    ----------
    metric : str
        Id of the registry. A gap needs two groups with enough relevant rows, what else is measured on rows both
        classes.
    labels, groups : [n] int64
    names : sequence of str
        Of the groups.
    """
    sizes = cell_totals(labels, groups, len(names))
    missing = [word for word, column in (("negatives", 0), ("positives", 1)) if not sizes[:, column].sum()]
    if missing:
        return f"there are 0 {missing[0]}"
    for rate, known in _known(metric, labels, groups, len(names)):
        if int(known.sum()) < 2:
            counts = sizes[:, list(rate.labels)].sum(-1)
            few = [(name, int(n)) for name, n, enough in zip(names, counts, known, strict=True) if not enough]
            return ", ".join(f"{name} has {count} {_word(rate, count)}" for name, count in few)
    return ""


def _known(metric: str, labels: Tensor, groups: Tensor, n_groups: int) -> Iterator[tuple[Rate, Tensor]]:
    """The rates that a metric compares, and [g] bool: the groups that have them."""
    table = count_table(torch.ones(1, len(labels)), labels, groups, n_groups)[0]
    if metric in EXPLAINED:
        yield SELECTION_RATE, table.sum((-2, -1)) >= ONE_IN
    elif metric in COUNTS and COUNTS[metric].statistic.by_group:
        rates = rates_of_counts(table)
        for rate in COUNTS[metric].statistic.rates:
            yield rate, ~rates[rate].isnan()


def _word(rate: Rate, count: int) -> str:
    word = WORDS[rate.labels]
    return word.removesuffix("s") if count == 1 else word
