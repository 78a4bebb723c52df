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

NEIGHBOURS = 7
"""Places on each axis of a neighbourhood."""

Corners = tuple[Rate, Rate]
"""The two rates that groups share in the corners beside the common threshold."""

PARITY: Corners = (SELECTION_RATE, TRUE_POSITIVE_RATE)
ODDS: Corners = (TRUE_POSITIVE_RATE, FALSE_POSITIVE_RATE)


def corners_for(rates: tuple[Rate, ...]) -> Corners:
    """The corners for a gap of these rates: those of equalised odds where false positives count, else of parity."""
    return ODDS if FALSE_POSITIVE_RATE in rates else PARITY


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
    """All candidates of a grid, the first of each set that selects the same rows; the model's own cut comes first.

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
    own = tuple(Ranking.of(margins[groups == group], counted[groups == group]) for group in range(n_groups))
    common, triangle = _common_cuts(every, rates), _triangle(steps)
    shared = _Shared.of(every, common, corners)
    counts = [_counts(ranking, shared, triangle) for ranking in own]
    ranks = every.above(common)[:, None].expand(-1, len(triangle))
    return Pool.of(
        Source(every, own, corners, sizes),
        counts,
        common[:, None],
        ranks,
        triangle.expand(len(common), -1, -1),
        once=True,
    )


@dataclass(frozen=True)
class Source:
    """What pools of the same rows share: rankings of all rows and of each group's, corners, and rows [g, 2]."""

    every: Ranking
    own: tuple[Ranking, ...]
    corners: Corners
    sizes: Tensor


@dataclass(frozen=True)
class Pool:
    """Candidates.

    Attributes
    ----------
    source : Source
    cuts : [K, g] float64
        Margins of each group's threshold.
    tables : [K, g, 2, 2] float64
        Rows per (group, label, prediction); sums of expected labels where these stand for labels.
    ranks : [K] int64
        Rows that the common threshold of a candidate selects.
    mix : [K, 3] float64
        Weights of its corners.
    """

    source: Source
    cuts: Tensor
    tables: Tensor
    ranks: Tensor
    mix: Tensor

    @classmethod
    def of(
        cls, source: Source, counts: list[Tensor], common: Tensor, ranks: Tensor, mix: Tensor, *, once: bool
    ) -> Pool:
        """From the rows of each group that are selected, g times [R, C], where column 0 is the common threshold [R, 1].

        ``ranks`` is [R, C], ``mix`` [R, C, 3]; ``once``: the first alone of each set that selects the same rows.
        """
        # where as many rows are selected as by the common threshold, it is the common threshold
        cuts = [
            torch.where(k == k[:, :1], common, own.cut(k)).flatten() for k, own in zip(counts, source.own, strict=True)
        ]
        hits = [own.hits[k].flatten().to(torch.float64) for k, own in zip(counts, source.own, strict=True)]
        totals = [torch.stack((own.misses[-1], own.hits[-1])).to(torch.float64) for own in source.own]
        chosen = torch.stack([k.flatten() for k in counts], -1)
        first = _first_of_equals(chosen) if once else torch.arange(len(chosen))
        true = torch.stack(hits, -1)[first]
        positive = torch.stack((chosen[first] - true, true), -1)
        tables = torch.stack((torch.stack(totals) - positive, positive), -1)
        return cls(source, torch.stack(cuts, -1)[first], tables, ranks.flatten()[first], mix.flatten(0, 1)[first])

    def near(self, chosen: Tensor, rank: float, share: float) -> Pool:
        """Candidates around some of the pool: common thresholds and weights of corners a little off theirs.

        Parameters
        ----------
        chosen : [L] int64
        rank : float
            Farthest that the common threshold moves, in rows.
        share : float
            Farthest that a weight moves.
        """
        source = self.source
        steps = torch.linspace(-1, 1, NEIGHBOURS, dtype=torch.float64)
        ranks = (self.ranks[chosen, None] + rank * steps).round().to(torch.int64).flatten()
        common = source.every.cut(source.every.nearest(ranks.clamp(0, len(source.every.margins))))
        shared = _Shared.of(source.every, common, source.corners)
        moved = self.mix[chosen, None] + share * _off(steps)  # [L, C, 3]
        mix = moved.clamp(min=0) / moved.clamp(min=0).sum(-1, keepdim=True)
        mix = torch.cat((_triangle(1)[:1].expand(len(mix), 1, 3), mix), 1).repeat_interleave(NEIGHBOURS, 0)
        counts = [_mixed_counts(own, shared, mix) for own in source.own]
        ranks = source.every.above(common)[:, None].expand(mix.shape[:2])
        return Pool.of(source, counts, common[:, None], ranks, mix, once=False)


def merged(pools: list[Pool]) -> Pool:
    """One pool of several of the same rows."""
    parts = [(pool.cuts, pool.tables, pool.ranks, pool.mix) for pool in pools]
    return Pool(pools[0].source, *(torch.cat(column) for column in zip(*parts, strict=True)))


def _off(steps: Tensor) -> Tensor:
    """[C, 3] changes of the weights that sum to 0."""
    pairs = torch.cartesian_prod(steps, steps)
    return torch.cat((-pairs.sum(1, keepdim=True), pairs), 1)


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
    corners = _corner_counts(own, shared)
    return own.nearest((corners @ triangle.T).round().to(torch.int64))


def _corner_counts(own: Ranking, shared: _Shared) -> Tensor:
    """[R, 3] float64 rows of one group that are selected in each corner."""
    plain = own.above(shared.common)
    alike = [_alike(own, rate, value, plain) for rate, value in zip(shared.corners, shared.rates, strict=True)]
    return torch.stack((plain.to(torch.float64), *alike), -1)


def _mixed_counts(own: Ranking, shared: _Shared, mix: Tensor) -> Tensor:
    """[R, C] the same for weights [R, C, 3] of each common threshold."""
    return own.nearest(torch.einsum("rk,rck->rc", _corner_counts(own, shared), mix).round().to(torch.int64))


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
