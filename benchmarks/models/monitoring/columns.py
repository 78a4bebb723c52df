"""Columns of new rows against those of the promise: more empty cells, categories that no training row had."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from scipy import stats

from reports.stats.statistics import holm

LEVEL = 0.05


@dataclass(frozen=True)
class ColumnNow:
    """A column whose cells are not as they were.

    Attributes
    ----------
    name : str
    missing_then, missing_now : float
        Share of rows without a value.
    unknown_now : float
        Share of rows with a category that no training row had.
    p : float
        Of an equal share of empty cells (Fisher's exact test), Holm-corrected over the columns.
    """

    name: str
    missing_then: float
    missing_now: float
    unknown_now: float
    p: float

    @property
    def changed(self) -> bool:
        """Whether it is worth a look."""
        return self.p < LEVEL or self.unknown_now > 0


def columns_now(
    then: Mapping[str, float], rows_then: int, missing: Mapping[str, int], unknown: Mapping[str, int], rows_now: int
) -> list[ColumnNow]:
    """Every column of both, in the order of the model.

    Parameters
    ----------
    then : mapping of column -> float
        Share of the ``rows_then`` promised rows without a value.
    missing, unknown : mapping of column -> int
        Cells of the ``rows_now`` new rows.
    """
    names = [name for name in missing if name in then]
    adjusted = holm([_p(round(then[name] * rows_then), rows_then, missing[name], rows_now) for name in names])
    return [
        ColumnNow(name, then[name], missing[name] / rows_now, unknown[name] / rows_now, p)
        for name, p in zip(names, adjusted, strict=True)
    ]


def _p(before: int, rows_before: int, after: int, rows_after: int) -> float:
    found = stats.fisher_exact([[before, rows_before - before], [after, rows_after - after]])
    return float(found.pvalue)
