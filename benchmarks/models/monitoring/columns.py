"""Columns of new rows against those of the promise: more empty cells, more categories that no training row had."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from scipy import stats

from metrics.holm import holm

LEVEL = 0.05


@dataclass(frozen=True)
class ColumnNow:
    """A column, then and now.

    Attributes
    ----------
    name : str
    missing_then, missing_now : float
        Share of rows without a value.
    unknown_then, unknown_now : float
        Share of rows with a category that no training row had.
    p : float
        Of equal shares of both (Fisher's exact tests, the smaller of two), Holm-corrected over the columns.
    """

    name: str
    missing_then: float
    missing_now: float
    unknown_then: float
    unknown_now: float
    p: float

    @property
    def changed(self) -> bool:
        """Whether it is worth a look."""
        return self.p < LEVEL


def columns_now(
    then: Mapping[str, tuple[int, int]], rows_then: int, now: Mapping[str, tuple[int, int]], rows_now: int
) -> list[ColumnNow]:
    """Every column of both, in the order of the model.

    Parameters
    ----------
    then, now : mapping of column -> (int, int)
        Empty cells and cells of an unknown category, of ``rows_then`` promised and ``rows_now`` new rows.
    """
    names = [name for name in now if name in then]
    adjusted = holm([_p(then[name], rows_then, now[name], rows_now) for name in names])
    return [
        ColumnNow(
            name, then[name][0] / rows_then, now[name][0] / rows_now, then[name][1] / rows_then,
            now[name][1] / rows_now, p,
        )
        for name, p in zip(names, adjusted, strict=True)
    ]  # fmt: skip


def _p(before: tuple[int, int], rows_before: int, after: tuple[int, int], rows_after: int) -> float:
    """Twice the smaller of both p-values (Bonferroni)."""
    found = [
        float(stats.fisher_exact([[a, rows_before - a], [b, rows_after - b]]).pvalue)
        for a, b in zip(before, after, strict=True)
    ]
    return min(2 * min(found), 1.0)
