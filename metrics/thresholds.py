"""Relaxed group thresholds: how fair any model becomes, and what that costs, by moving nothing but its cut-offs.

One threshold per group on top of a fixed score is the simplest fairness method there is (Hardt, Price & Srebro,
"Equality of Opportunity in Supervised Learning", NeurIPS 2016). Demanding a gap of at most a level instead of none at
all puts models side by side at the same fairness (Cruz & Hardt, "Unprocessing Seven Years of Algorithmic Fairness",
ICLR 2024). So a method that trains for fairness has to show what it adds to thresholds.

Thresholds are deterministic here: every row gets one answer. They are chosen from a pool. For each of a grid of common
thresholds there are three corners: the common threshold itself, the group thresholds that give every group the same
selection rate, and those that give every group the same true positive rate; between the corners selection rates are
mixed on a triangular grid. Within a group everything follows from how many of its rows are selected, so the count
tables of the whole pool are look-ups in cumulative sums; only AUC, which moves because groups move against each
other, looks at rows.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from metrics.auc import auc
from metrics.composites import utility
from metrics.counts.tables import cell_totals
from metrics.points import DEGENERATE_SHARE, count_values

RATES = 36
"""Common thresholds of the pool, at evenly spaced selection rates (beside the model's own, 0.5)."""

STEPS = 4
"""Subdivisions of an edge of the triangle between the three corners."""

FARTHEST = 30.0
"""Margins are held within ± this; probabilities beyond it are 0 or 1 for every purpose."""

BEYOND = 1.0
"""How far (in margins) a threshold that selects nobody, or everybody, lies beyond a group's last row."""


@dataclass(frozen=True)
class Thresholds:
    """One threshold per group.

    Attributes
    ----------
    cuts : [g] float64
        Margins (logits); a row is predicted 1 iff its margin exceeds the cut of its group. 0 is the model's own cut.
    disparity : float
        ``fair_res@1`` on the rows that chose them.
    """

    cuts: Tensor
    disparity: float

    def apply(self, probability: Tensor, groups: Tensor) -> Tensor:
        """[n] float64 probabilities whose cut at 0.5 is the group's threshold; order within a group is kept.

        Parameters
        ----------
        probability : [n] float
            Probabilities of class 1.
        groups : [n] int64 in 0..g-1
        """
        return torch.sigmoid(_margins(probability) - self.cuts[groups])


def fit_thresholds(
    probability: Tensor,
    labels: Tensor,
    groups: Tensor,
    n_groups: int,
    limits: Sequence[float],
) -> list[Thresholds | None]:
    """Group thresholds of the highest utility whose result gap stays within each limit.

    Parameters
    ----------
    probability : [n] float
        Probabilities of class 1 on the rows that may choose: validation rows.
    labels, groups : [n] int64
        Labels in {0, 1}; group ids in 0..n_groups-1. A group without rows gets the common threshold.
    limits : sequence of float
        Largest ``fair_res@1`` allowed.

    Returns
    -------
    list of Thresholds or None
        One per limit: the highest ``utility@1`` in the pool (the first of equals; the model's own cut comes first).
        None where nothing in the pool keeps the limit without being nearly constant
        (:data:`metrics.points.DEGENERATE_SHARE`), or where utility or the gap are not estimable.
    """
    if bool(torch.isnan(probability).any()):
        return [None] * len(limits)
    margins = _margins(probability)
    cuts, tables = _pool(margins, labels, groups, n_groups)
    values = count_values(tables)
    share = tables[..., 1].sum((-2, -1)) / labels.numel()
    told_apart = torch.minimum(share, 1 - share) >= DEGENERATE_SHARE
    gaps = torch.where(told_apart, values["fair_res@1"], torch.nan)
    largest = max((limit for limit in limits if not math.isnan(limit)), default=math.nan)
    reach = torch.nonzero(gaps <= largest).flatten()
    if not len(reach):
        return [None] * len(limits)
    # single precision may tie rows that are almost equal: good enough to choose by, and twice as fast
    moved = margins.to(torch.float32) - cuts[reach].to(torch.float32)[:, groups]
    area = auc(moved.sigmoid_(), labels)
    worth = utility(values["acc@1"][reach], values["f1@1"][reach], area)
    return [_best(cuts[reach], worth, gaps[reach], limit) for limit in limits]


def _best(cuts: Tensor, worth: Tensor, gaps: Tensor, limit: float) -> Thresholds | None:
    allowed = torch.where((gaps <= limit) & ~torch.isnan(worth), worth, -torch.inf)
    best = int(allowed.argmax())
    if math.isinf(float(allowed[best])):
        return None
    return Thresholds(cuts[best], float(gaps[best]))


def _margins(probability: Tensor) -> Tensor:
    return torch.logit(probability.to(torch.float64)).clamp(-FARTHEST, FARTHEST)


@dataclass(frozen=True)
class _Ranking:
    """Rows in descending order of their margins: what selecting the first k of them means.

    ``ends`` are the k at which no tie is cut; ``hits[k]`` is the number of positives among the first k.
    """

    margins: Tensor
    ends: Tensor
    hits: Tensor

    @classmethod
    def of(cls, margins: Tensor, labels: Tensor) -> _Ranking:
        ordered, order = margins.sort(descending=True, stable=True)
        n = len(ordered)
        inner = torch.nonzero(ordered[:-1] > ordered[1:]).flatten() + 1
        ends = torch.cat((torch.tensor([0]), inner, torch.tensor([n]))) if n else torch.tensor([0])
        hits = torch.cat((torch.zeros(1, dtype=torch.int64), labels[order].cumsum(0)))
        return cls(ordered, ends, hits)

    def nearest(self, k: Tensor) -> Tensor:
        """Numbers of rows, moved to the nearest at which no tie is cut."""
        above = torch.searchsorted(self.ends, k.contiguous()).clamp(max=len(self.ends) - 1)
        below = (above - 1).clamp(min=0)
        closer = (k - self.ends[below]) < (self.ends[above] - k)
        return torch.where(closer, self.ends[below], self.ends[above])

    def cut(self, k: Tensor) -> Tensor:
        """Margins half-way between the k-th row and the next."""
        n = len(self.margins)
        if n == 0:
            return torch.zeros(k.shape, dtype=torch.float64)
        padded = torch.cat((self.margins[:1] + 2 * BEYOND, self.margins, self.margins[-1:] - 2 * BEYOND))
        return (padded[k] + padded[k + 1]) / 2

    def above(self, cut: Tensor) -> Tensor:
        """Rows whose margin exceeds each cut."""
        return len(self.margins) - torch.searchsorted(self.margins.flip(0).contiguous(), cut, right=True)

    def reaching(self, share: Tensor) -> Tensor:
        """Fewest rows that hold at least a share of the positives."""
        wanted = (share * float(self.hits[-1])).to(torch.float64)
        return torch.searchsorted(self.hits.to(torch.float64), wanted - 1e-9)


def _pool(margins: Tensor, labels: Tensor, groups: Tensor, n_groups: int) -> tuple[Tensor, Tensor]:
    """Cuts [K, g] float64 and count tables [K, g, 2, 2] float64 of the pool; the first is the model's own cut."""
    totals = cell_totals(labels, groups, n_groups)
    every = _Ranking.of(margins, labels)
    common = _common_cuts(every)
    selected = every.above(common)
    rate, tpr = selected / len(margins), every.hits[selected] / every.hits[-1].clamp(min=1)
    counts, cuts, hits = [], [], []
    for group in range(n_groups):
        own = _Ranking.of(margins[groups == group], labels[groups == group])
        k = _counts(own, common, rate, tpr)
        counts.append(k)
        # where as many rows are selected as by the common threshold, it is the common threshold
        cuts.append(torch.where(k == k[:, :1], common[:, None], own.cut(k)).flatten())
        hits.append(own.hits[k].flatten())
    chosen = torch.stack([k.flatten() for k in counts], -1)
    first = _first_of_equals(chosen)
    true = torch.stack(hits, -1)[first].to(torch.float64)
    positive = torch.stack((chosen[first] - true, true), -1)
    return torch.stack(cuts, -1)[first], torch.stack((totals - positive, positive), -1)


def _common_cuts(every: _Ranking) -> Tensor:
    """[R + 1] margins: the model's own cut, then cuts at evenly spaced selection rates."""
    n = len(every.margins)
    wanted = ((torch.arange(RATES, dtype=torch.float64) + 0.5) / RATES * n).round().to(torch.int64)
    return torch.cat((torch.zeros(1, dtype=torch.float64), every.cut(every.nearest(wanted))))


def _counts(own: _Ranking, common: Tensor, rate: Tensor, tpr: Tensor) -> Tensor:
    """[R + 1, C] rows of one group that each member of the pool selects; column 0 is the common threshold."""
    size = len(own.margins)
    plain = own.above(common)
    same_rate = rate * size
    same_tpr = own.reaching(tpr) if int(own.hits[-1]) else plain
    corners = torch.stack((plain.to(torch.float64), same_rate, same_tpr.to(torch.float64)), -1)
    return own.nearest((corners @ _triangle().T).round().to(torch.int64))


def _triangle() -> Tensor:
    """[C, 3] weights of the three corners on a triangular grid; the first row is the first corner."""
    points = [
        (STEPS - i - j, i, j) for i in range(STEPS + 1) for j in range(STEPS + 1 - i)
    ]  # (4, 0, 0), (3, 0, 1), … (0, 4, 0)
    return torch.tensor(points, dtype=torch.float64) / STEPS


def _first_of_equals(rows: Tensor) -> Tensor:
    """[K'] places of the first of each set of equal rows, in their order."""
    _, member = torch.unique(rows, dim=0, return_inverse=True)
    first = torch.full((int(member.max()) + 1,), len(rows)).scatter_reduce(0, member, torch.arange(len(rows)), "amin")
    return first.sort().values
