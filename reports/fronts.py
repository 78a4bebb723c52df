"""The front of a mixture search: what each mixture does truly, and what the surrogate had said."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from reports.names import METHOD_NAMES
from reports.winners import DISPARITY, UTILITY, Method

WEIGHT = "alpha."
FLAGS = ("on_front", "winner", "rejected")


@dataclass(frozen=True)
class Member:
    """One mixture that was evaluated truly.

    Attributes
    ----------
    true, surrogate : dict
        Metric → value on the search rows, measured and as the surrogate had it (nan where it said nothing).
    weights : dict
        Expert → α.
    remarks : tuple of str
        What the search says of it, such as why held-out rows rejected it.
    """

    number: int
    true: dict[str, float]
    surrogate: dict[str, float]
    weights: dict[str, float]
    on_front: bool
    winner: bool
    rejected: bool
    remarks: tuple[str, ...]

    @property
    def word(self) -> str:
        """``winner``, ``rejected``, ``front`` or nothing."""
        return "winner" if self.winner else "rejected" if self.rejected else "front" if self.on_front else ""


@dataclass(frozen=True)
class MixtureFront:
    """What one search found on one split."""

    method: Method
    split: int
    splits: int
    metrics: tuple[str, ...]
    experts: tuple[str, ...]
    members: tuple[Member, ...]

    @property
    def named(self) -> tuple[Member, ...]:
        """Members worth a row: those on the front, the winner, the rejected ones."""
        return tuple(m for m in self.members if m.word)

    @property
    def drawable(self) -> tuple[Member, ...]:
        """Members that have both axes of the figure."""
        return tuple(
            m for m in self.members if not math.isnan(sum(m.true.get(a, math.nan) for a in (UTILITY, DISPARITY)))
        )

    def off(self, metric: str) -> float:
        """Largest |surrogate − true| over the members of which both are known, nan if there are none."""
        known = [abs(m.surrogate[metric] - m.true[metric]) for m in self.members if metric in m.surrogate]
        return max((d for d in known if not math.isnan(d)), default=math.nan)


def fronts(rows: pd.DataFrame, methods: Sequence[Method]) -> tuple[MixtureFront, ...]:
    """Fronts of one task, one per searched mixture: that of the last split and the last seed.

    Parameters
    ----------
    rows : DataFrame
        Rows of ``fronts.csv`` of one task: see :mod:`reports.table`.
    methods : sequence of Method
        Methods of the task, in order.
    """
    return tuple(_front(part, m) for m in methods if not (part := rows[rows["method"] == m.id]).empty)


def _front(rows: pd.DataFrame, method: Method) -> MixtureFront:
    split, splits = int(rows["split"].max()), int(rows["split"].nunique())
    rows = rows[rows["split"] == split]
    rows = rows[rows["seed"] == rows["seed"].max()]
    quantities = list(dict.fromkeys(rows["quantity"]))
    known = list(METHOD_NAMES)
    experts = [q.removeprefix(WEIGHT) for q in quantities if q.startswith(WEIGHT)]
    experts.sort(key=lambda e: (known.index(e) if e in known else len(known), e))
    metrics = sorted((q for q in quantities if "@" in q), key=lambda q: (q != UTILITY, q != DISPARITY, q))
    all_on_front = "on_front" not in quantities
    members = tuple(_member(n, rows[rows["member"] == n], all_on_front) for n in rows["member"].unique().tolist())
    order = sorted(members, key=lambda m: (not m.winner, not m.word, m.true.get(DISPARITY, 0.0), m.number))
    return MixtureFront(method, split, splits, tuple(metrics), tuple(experts), tuple(order))


def _member(number: int, rows: pd.DataFrame, on_front: bool) -> Member:
    true = dict(zip(rows["quantity"], rows["estimate"], strict=True))
    surrogate = dict(zip(rows["quantity"], rows["surrogate"], strict=True))
    remarks = tuple(dict.fromkeys(" ".join(s.split()) for s in rows["status"] if s not in ("", "ok")))
    flag = {name: true.get(name, 0.0) == 1.0 for name in FLAGS}
    rejected = flag["rejected"] or any(remark.startswith("rejected") for remark in remarks)
    return Member(
        number,
        true={q: v for q, v in true.items() if "@" in q},
        surrogate={q: v for q, v in surrogate.items() if "@" in q},
        weights={q.removeprefix(WEIGHT): v for q, v in true.items() if q.startswith(WEIGHT)},
        on_front=flag["on_front"] or on_front,
        winner=flag["winner"],
        rejected=rejected and not flag["winner"],
        remarks=remarks,
    )
