"""Who is recommended: chosen on validation or out-of-fold rows alone."""

from __future__ import annotations

import math

from reports.answer.arrays import Arrays


def ways(arrays: Arrays) -> dict[str, int]:
    """Method → row of the way in which it stands in the table: its own best on the rows that choose.

    A way that is on more tasks comes first, then one that keeps the level on most splits, then the higher utility;
    equal ones go to the plainer way.
    """
    best: dict[str, int] = {}
    for row, contender in enumerate(arrays.contenders):
        held = best.get(contender.method.id)
        if held is None or _key(arrays, row) > _key(arrays, held):
            best[contender.method.id] = row
    return best


def _key(arrays: Arrays, row: int) -> tuple[int, bool, float]:
    worth = float(arrays.worth[row])
    return int(arrays.covered[row]), bool(arrays.feasible[row]), -math.inf if math.isnan(worth) else worth


def recommended(arrays: Arrays, rows: list[int]) -> list[int]:
    """Rows that may be recommended, the best on the rows that choose first; equal ones stay in their order.

    Those that are on every task that any is on, and that keep the level on more than half of the splits.
    """
    able = [r for r in rows if arrays.complete[r] and arrays.feasible[r] and not math.isnan(arrays.worth[r])]
    return sorted(able, key=lambda r: -float(arrays.worth[r]))
