"""What rows lack for a metric, in words: which groups have too few of the rows that are compared."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from metrics.counts.tables import cell_totals
from metrics.procedural.fidelity import ONE_IN
from metrics.registry import METRICS
from metrics.spec import Condition

if TYPE_CHECKING:
    from torch import Tensor

WORDS: dict[Condition, str] = {"all": "rows", "positive": "positives", "negative": "negatives"}
"""What rows of a condition are called after a number."""

EXPLAINED = ("ref@1", "vef@1", "fair_proc@1")
"""Metrics that look at the fifth of a group's rows whose reasons matter most."""


def scarcity(metric: str, labels: Tensor, groups: Tensor, names: Sequence[str], min_rows: int = 1) -> str:
    """Why rows cannot give a metric, such as "B has 0 positives"; empty if groups and classes are there.

    Parameters
    ----------
    metric : str
        Id of the registry. A gap needs two groups with enough relevant rows, what else is measured on rows both
        classes.
    labels, groups : [n] int64
    names : sequence of str
        Of the groups.
    min_rows : int
        A group with fewer relevant rows takes no part in gaps.
    """
    sizes = cell_totals(labels, groups, len(names))
    missing = [word for word, column in (("negatives", 0), ("positives", 1)) if not sizes[:, column].sum()]
    if missing:
        return f"there are 0 {missing[0]}"
    needed: tuple[tuple[Condition, int], ...] = tuple((condition, min_rows) for condition in METRICS[metric].conditions)
    if metric in EXPLAINED:
        needed = (("all", ONE_IN),)
    for condition, least in needed:
        counts = sizes.sum(-1) if condition == "all" else sizes[:, int(condition == "positive")]
        few = [(name, int(count)) for name, count in zip(names, counts, strict=True) if count < least]
        if len(names) - len(few) < 2:
            return ", ".join(f"{name} has {count} {_word(condition, count)}" for name, count in few)
    return ""


def _word(condition: Condition, count: int) -> str:
    return WORDS[condition].removesuffix("s") if count == 1 else WORDS[condition]
