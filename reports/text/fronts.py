"""The front of a mixture search: what each mixture does truly, and what the surrogate had said."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pandas as pd

from reports.method import Method, in_order
from reports.methods import MethodRow
from reports.names import DISPARITY, UTILITY

WEIGHT = "alpha."
WORDS = ("winner", "front", "rejected")


@dataclass(frozen=True)
class Member:
    """One mixture that was evaluated truly.

    Attributes
    ----------
    true, surrogate : dict
        Metric → value on the search rows, measured and as the surrogate had it (nan where it said nothing).
    weights : dict
        Expert → α.
    word : str
        "winner", "front", "rejected" (by held-out rows), or nothing for one that is only there to compare.
    remark : str
        What else the search says of it, such as why held-out rows rejected it.
    """

    number: int
    true: dict[str, float]
    surrogate: dict[str, float]
    weights: dict[str, float]
    word: str
    remark: str

    def at(self, metric: str) -> float:
        """True value of a metric, nan where there is none."""
        return self.true.get(metric, math.nan)

    def off(self, metric: str) -> float:
        """|surrogate − true|, nan where one of them is unknown."""
        return abs(self.surrogate.get(metric, math.nan) - self.at(metric))


@dataclass(frozen=True)
class MixtureFront:
    """What one search found on one split; winner first, then by result gap."""

    method: Method
    split: int
    splits: int
    metrics: tuple[str, ...]
    experts: tuple[str, ...]
    members: tuple[Member, ...]

    @property
    def named(self) -> tuple[Member, ...]:
        """Members worth a row: the winner, those on the front, the rejected ones."""
        return tuple(m for m in self.members if m.word)

    @property
    def drawable(self) -> tuple[Member, ...]:
        """Members that have both axes of the figure."""
        return tuple(m for m in self.members if not math.isnan(m.at(UTILITY) + m.at(DISPARITY)))

    def off(self, metric: str) -> float:
        """Largest |surrogate − true| over the members of which both are known, nan if there are none."""
        return max((d for m in self.members if not math.isnan(d := m.off(metric))), default=math.nan)


def fronts(table: pd.DataFrame, methods: Sequence[Method], rows: Mapping[str, MethodRow]) -> tuple[MixtureFront, ...]:
    """Fronts of one task, one per searched mixture: that of the last split and the last seed.

    Parameters
    ----------
    table : DataFrame
        Rows of ``fronts.csv`` of one task: see ``reports.table.FURTHER``.
    methods : sequence of Method
        Methods of the task, in order.
    rows : mapping
        Records of the experts, for their order.
    """
    return tuple(_front(part, m, rows) for m in methods if not (part := table[table["method"] == m.id]).empty)


def _front(rows: pd.DataFrame, method: Method, records: Mapping[str, MethodRow]) -> MixtureFront:
    split, splits = int(rows["split"].max()), int(rows["split"].nunique())
    rows = rows[rows["split"] == split]
    rows = rows[rows["seed"] == rows["seed"].max()]
    quantities = list(dict.fromkeys(rows["quantity"]))
    metrics = [q for q in quantities if not q.startswith(WEIGHT)]
    metrics.sort(key=lambda q: (q != UTILITY, q != DISPARITY, q))
    experts = in_order((q.removeprefix(WEIGHT) for q in quantities if q.startswith(WEIGHT)), records)
    members = [_member(n, rows[rows["member"] == n]) for n in rows["member"].unique().tolist()]
    members.sort(key=lambda m: (m.word != "winner", not m.word, m.at(DISPARITY), m.number))
    return MixtureFront(method, split, splits, tuple(metrics), experts, tuple(members))


def _member(number: int, rows: pd.DataFrame) -> Member:
    true = dict(zip(rows["quantity"], rows["estimate"].tolist(), strict=True))
    said = dict(zip(rows["quantity"], rows["surrogate"].tolist(), strict=True))
    status = next((" ".join(s.split()) for s in rows["status"] if s), "")
    word, _, remark = status.partition(": ")
    return Member(
        number,
        true={q: v for q, v in true.items() if not q.startswith(WEIGHT)},
        surrogate={q: v for q, v in said.items() if not q.startswith(WEIGHT)},
        weights={q.removeprefix(WEIGHT): v for q, v in true.items() if q.startswith(WEIGHT)},
        word=word if word in WORDS else "",
        remark=remark if word in WORDS else status,
    )
