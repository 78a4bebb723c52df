"""The pool that group thresholds are chosen from: cut-offs of every group, and the count tables that follow from them.

For each of a grid of common thresholds there are three corners: the common threshold itself, and the group thresholds
that give every group the same value of one rate, such as the same selection rate or the same true positive rate;
between the corners numbers of selected rows are mixed on a triangular grid. Within a group everything follows from how
many of its rows are selected, so the count tables of the whole pool are look-ups in cumulative sums.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from metrics.counts.rates import FALSE_POSITIVE_RATE, SELECTION_RATE, TRUE_POSITIVE_RATE, Rate
from metrics.counts.tables import cell_totals

BEYOND = 1.0
"""How far (in margins) a threshold that selects nobody, or everybody, lies beyond a group's last row."""

Corners = tuple[Rate, Rate]
"""The two rates that groups share in the corners beside the common threshold."""

PARITY: Corners = (SELECTION_RATE, TRUE_POSITIVE_RATE)
ODDS: Corners = (TRUE_POSITIVE_RATE, FALSE_POSITIVE_RATE)


def corners_for(rates: tuple[Rate, ...]) -> Corners:
    """The corners for a gap of these rates: those of equalised odds where false positives count, else of parity."""
    return ODDS if FALSE_POSITIVE_RATE in rates else PARITY


@dataclass(frozen=True)
class Pool:
    """Candidates, the model's own cut first.

    Attributes
    ----------
    cuts : [K, g] float64
        Margins of each group's threshold.
    tables : [K, g, 2, 2] float64
        Rows per (group, label, prediction); sums of expected labels where these stand for labels.
    sizes : [g, 2] float64
        Rows per (group, label): which groups count.
    """

    cuts: Tensor
    tables: Tensor
    sizes: Tensor


@dataclass(frozen=True)
class Ranking:
    """Rows in descending order of their margins: what selecting the first k of them means.

    ``ends`` are the k at which no tie is cut; ``hits[k]`` is the number of positives among the first k: whole, or a sum
    of expected labels.
    """

    margins: Tensor
    ends: Tensor
    hits: Tensor

    @classmethod
    def of(cls, margins: Tensor, labels: Tensor) -> Ranking:
        """Of margins [n] and what is counted of the rows [n]: labels or expected labels."""
        ordered, order = margins.sort(descending=True, stable=True)
        n = len(ordered)
        inner = torch.nonzero(ordered[:-1] > ordered[1:]).flatten() + 1
        ends = torch.cat((torch.tensor([0]), inner, torch.tensor([n]))) if n else torch.tensor([0])
        hits = torch.cat((torch.zeros(1, dtype=labels.dtype), labels[order].cumsum(0)))
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
        return self._fewest(self.hits, share)

    def reaching_misses(self, share: Tensor) -> Tensor:
        """Fewest rows that hold at least a share of the negatives."""
        return self._fewest(self.misses, share)

    @property
    def misses(self) -> Tensor:
        """[n + 1] negatives among the first k."""
        return torch.arange(len(self.hits)) - self.hits

    def _fewest(self, sums: Tensor, share: Tensor) -> Tensor:
        wanted = (share * float(sums[-1])).to(torch.float64)
        return torch.searchsorted(sums.to(torch.float64), wanted - 1e-9)


def pool_of(
    margins: Tensor,
    labels: Tensor,
    groups: Tensor,
    n_groups: int,
    *,
    rates: int,
    steps: int,
    corners: Corners = PARITY,
    expected: Tensor | None = None,
) -> Pool:
    """All candidates, the first of each set that selects the same rows.

    Parameters
    ----------
    margins : [n] float64
    labels, groups : [n] int64
        Labels in {0, 1}; group ids in 0..n_groups-1.
    rates : int
        Common thresholds, at evenly spaced selection rates (beside the model's own, 0).
    steps : int
        Subdivisions of an edge of the triangle between the corners.
    corners : (Rate, Rate)
    expected : [n] float64 in [0, 1], optional
        What is counted instead of labels.
    """
    sizes = cell_totals(labels, groups, n_groups)
    counted = labels if expected is None else expected
    every = Ranking.of(margins, counted)
    common = _common_cuts(every, rates)
    shared = _Shared.of(every, common, corners)
    triangle = _triangle(steps)
    counts, cuts, hits, totals = [], [], [], []
    for group in range(n_groups):
        own = Ranking.of(margins[groups == group], counted[groups == group])
        k = _counts(own, shared, triangle)
        counts.append(k.flatten())
        # where as many rows are selected as by the common threshold, it is the common threshold
        cuts.append(torch.where(k == k[:, :1], common[:, None], own.cut(k)).flatten())
        hits.append(own.hits[k].flatten())
        totals.append(torch.stack((own.misses[-1], own.hits[-1])).to(torch.float64))
    chosen = torch.stack(counts, -1)
    first = _first_of_equals(chosen)
    true = torch.stack(hits, -1)[first].to(torch.float64)
    positive = torch.stack((chosen[first] - true, true), -1)
    tables = torch.stack((torch.stack(totals) - positive, positive), -1)
    return Pool(torch.stack(cuts, -1)[first], tables, sizes)


@dataclass(frozen=True)
class _Shared:
    """Common thresholds [R + 1], and the rates of all rows at each, of the two corners."""

    common: Tensor
    corners: Corners
    rates: tuple[Tensor, Tensor]

    @classmethod
    def of(cls, every: Ranking, common: Tensor, corners: Corners) -> _Shared:
        selected = every.above(common)
        known = {
            SELECTION_RATE: selected / len(every.margins),
            TRUE_POSITIVE_RATE: every.hits[selected] / _at_least_one(every.hits[-1]),
            FALSE_POSITIVE_RATE: every.misses[selected] / _at_least_one(every.misses[-1]),
        }
        return cls(common, corners, (known[corners[0]], known[corners[1]]))


def _at_least_one(count: Tensor) -> Tensor:
    return count.where(count > 0, 1)


def _common_cuts(every: Ranking, rates: int) -> Tensor:
    """[R + 1] margins: the model's own cut, then cuts at evenly spaced selection rates."""
    n = len(every.margins)
    wanted = ((torch.arange(rates, dtype=torch.float64) + 0.5) / rates * n).round().to(torch.int64)
    return torch.cat((torch.zeros(1, dtype=torch.float64), every.cut(every.nearest(wanted))))


def _counts(own: Ranking, shared: _Shared, triangle: Tensor) -> Tensor:
    """[R + 1, C] rows of one group that each member of the pool selects; column 0 is the common threshold."""
    plain = own.above(shared.common)
    alike = [_alike(own, rate, value, plain) for rate, value in zip(shared.corners, shared.rates, strict=True)]
    corners = torch.stack((plain.to(torch.float64), *alike), -1)
    return own.nearest((corners @ triangle.T).round().to(torch.int64))


def _alike(own: Ranking, rate: Rate, value: Tensor, plain: Tensor) -> Tensor:
    """[R + 1] float64 rows of a group at which its rate is that of all rows; the common threshold's if it has none."""
    if rate == SELECTION_RATE:
        return (value * len(own.margins)).to(torch.float64)
    sums = own.hits if rate == TRUE_POSITIVE_RATE else own.misses
    if float(sums[-1]) <= 0:
        return plain.to(torch.float64)
    found = own.reaching(value) if rate == TRUE_POSITIVE_RATE else own.reaching_misses(value)
    return found.clamp(max=len(own.margins)).to(torch.float64)


def _triangle(steps: int) -> Tensor:
    """[C, 3] weights of the three corners on a triangular grid; the first row is the first corner."""
    points = [(steps - i - j, i, j) for i in range(steps + 1) for j in range(steps + 1 - i)]
    return torch.tensor(points, dtype=torch.float64) / steps  # (1, 0, 0), (.75, 0, .25), … (0, 1, 0) at four steps


def _first_of_equals(rows: Tensor) -> Tensor:
    """[K'] places of the first of each set of equal rows, in their order."""
    _, member = torch.unique(rows, dim=0, return_inverse=True)
    first = torch.full((int(member.max()) + 1,), len(rows)).scatter_reduce(0, member, torch.arange(len(rows)), "amin")
    return first.sort().values
