"""AUC of scores whose groups are moved against each other: one look-up for each of thousands of shifts.

Moving a group's margins leaves the order within the group alone. Of the pairs (positive, negative) that AUC counts,
only those of two groups change, and they change with the difference of the two groups' shifts alone. So for every
ordered pair of groups one function of one number says everything: how much of the pairs' weight has margins that differ
by more than it. It is the tail of the cross-correlation of two densities, which one fast Fourier transform gives for
all differences at once.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

BINS = 4096
"""Places of the grid of margins; a difference is known to half the width of one."""


@dataclass(frozen=True)
class GroupAUC:
    """Pairs of a positive and a negative by the difference of their margins, for every two groups.

    Attributes
    ----------
    won : [g, g, 2 BINS + 1] float64
        ``won[a, b, i]``: weight of the pairs of a positive of group a and a negative of group b whose margins differ
        by more than ``i - BINS`` places of the grid; ties count half.
    width : float
        Width of a place.
    pairs : float
        Weight of all pairs; 0: one class is missing.
    """

    won: Tensor
    width: float
    pairs: float

    @classmethod
    def of(cls, margins: Tensor, positive: Tensor, groups: Tensor, n_groups: int) -> GroupAUC:
        """From margins [n], the weight of each row as a positive [n] in [0, 1], and group ids [n]."""
        low, high = float(margins.min()), float(margins.max())
        width = max(high - low, 1e-9) / (BINS - 1)
        place = ((margins - low) / width).round().to(torch.int64)
        cell = groups * BINS + place
        weight = positive.to(torch.float64)
        ones = torch.bincount(cell, weight, n_groups * BINS).view(n_groups, BINS)
        zeros = torch.bincount(cell, 1 - weight, n_groups * BINS).view(n_groups, BINS)
        spectrum = torch.fft.rfft(ones, 2 * BINS)[:, None] * torch.fft.rfft(zeros, 2 * BINS)[None].conj()
        # differences 0, 1, … BINS - 1, -BINS, … -1 in the order of the transform; rolled to -BINS, … BINS - 1
        differ = (
            torch.fft.irfft(spectrum, 2 * BINS).roll(BINS, -1).round(decimals=6).clamp(min=0)
        )  # whole where labels are
        tail = differ.flip(-1).cumsum(-1).flip(-1)
        beyond = torch.zeros(n_groups, n_groups, 1, dtype=torch.float64)
        return cls(torch.cat((tail - differ / 2, beyond), -1), width, float(weight.sum() * (1 - weight).sum()))

    def of_cuts(self, cuts: Tensor) -> Tensor:
        """[K] float64 AUC when the groups' cuts [K, g] are taken from their margins; nan without both classes."""
        if self.pairs <= 0:
            return torch.full((len(cuts),), torch.nan, dtype=torch.float64)
        total = torch.zeros(len(cuts), dtype=torch.float64)
        for a, of_positive in enumerate(self.won):
            for b, line in enumerate(of_positive):
                total += _at(line, (cuts[:, a] - cuts[:, b]) / self.width + BINS)
        return total / self.pairs


def _at(line: Tensor, place: Tensor) -> Tensor:
    """[K] values of a line [m] between its places; constant beyond its ends."""
    place = place.clamp(0, len(line) - 1)
    below = place.floor().to(torch.int64).clamp(max=len(line) - 2)
    return torch.lerp(line[below], line[below + 1], place - below)
