"""Mean attribution profile of each group for all lanes, with a hand-written gradient.

The chain pre-activations → path slopes → integrated gradients → sums by source column → |·| / Σ|·| → group means
has a dozen element-wise steps; automatic differentiation walks each of them three times. Here every tensor is
touched as rarely as possible. Automatic differentiation of the same chain is the tests' reference.

With φ the share of the path from c to t on which a unit is positive (see
:mod:`experts.networks.integrated_gradients`), both ∂φ/∂t = |c| / (t − c)² and ∂φ/∂c = |t| / (t − c)² hold where the
signs of t and c differ, and both are 0 elsewhere. Where the signs differ |t| + |c| = |t − c|, so one follows from the
other.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from experts.networks.lanes import SLOPE

TINY = 1e-12


@dataclass(frozen=True)
class ProfileRows:
    """The rows that are explained, shared by the lanes.

    Attributes
    ----------
    features : [d, n]
        Transposed and contiguous.
    members : [n, g]
        Columns average over the rows of a group.
    weights : [K, n] or None
        Row weights of each lane.
    indicator : [c, d] or None
        1 where a feature belongs to a source column; None when every feature is its own column.
    """

    features: Tensor
    members: Tensor
    weights: Tensor | None
    indicator: Tensor | None

    def by_column(self, values: Tensor) -> Tensor:
        """[K, c, n] sums of [K, d, n] over the features of a column."""
        return values if self.indicator is None else self.indicator @ values

    def by_feature(self, values: Tensor) -> Tensor:
        """[K, d, n] value of each feature's column (a product is faster than an index)."""
        return values if self.indicator is None else self.indicator.T @ values


def indicator_or_none(owner: Tensor, n_columns: int) -> Tensor | None:
    """[c, d] float32 membership of features (``owner`` [d]) in columns; None when feature i is column i."""
    if len(owner) == n_columns and torch.equal(owner, torch.arange(n_columns)):
        return None
    return torch.nn.functional.one_hot(owner, n_columns).T.to(torch.float32).contiguous()


class _GroupProfiles(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, ends: Tensor, first: Tensor, second: Tensor, rows: ProfileRows) -> Tensor:
        starts = first[..., -1:]
        inverse = (ends - starts).abs_().clamp_min_(TINY).reciprocal_()
        ratio = torch.maximum(ends, starts).mul_(inverse)
        share = ratio.clamp(0.0, 1.0)
        factor = second[..., None]
        weighted = torch.addcmul(factor * SLOPE, share, factor * (1 - SLOPE))
        by_feature = torch.bmm(first[..., :-1].mT, weighted).mul_(rows.features)
        signed = rows.by_column(by_feature)
        profiles = signed.abs()
        scale = profiles.sum(1, keepdim=True).clamp_min_(TINY).reciprocal_()
        profiles.mul_(scale)
        ctx.save_for_backward(first, second)
        ctx.kept = (inverse, ratio, share, weighted, signed, profiles, scale, rows)
        return (profiles if rows.weights is None else profiles * rows.weights[:, None]) @ rows.members

    @staticmethod
    def backward(ctx: Any, *upstream: Tensor) -> tuple[Tensor | None, ...]:
        first, second = ctx.saved_tensors
        inverse, ratio, share, weighted, signed, profiles, scale, rows = ctx.kept
        flow = upstream[0] @ rows.members.mT  # [K, c, n], with respect to the profiles
        inner = (flow * profiles).sum(1, keepdim=True)
        flow.sub_(inner).mul_(signed.sgn()).mul_(scale if rows.weights is None else scale * rows.weights[:, None])
        at_features = rows.by_feature(flow).mul_(rows.features)
        units = torch.bmm(first[..., :-1], at_features)  # [K, h, n], with respect to w2 · mean slope
        d_second = torch.linalg.vecdot(units, share).mul_(1 - SLOPE).add_(units.sum(2), alpha=SLOPE)
        d_first = torch.empty_like(first)
        torch.bmm(weighted, at_features.mT, out=d_first[..., :-1])
        units.mul_(second[..., None] * (1 - SLOPE)).mul_(inverse)
        crossing = torch.ops.aten.hardtanh_backward(units, ratio, 0.0, 1.0)  # 0 where the signs agree
        at_start = crossing.sum(2)
        d_ends = crossing.mul_(inverse).mul_(first[..., -1:].abs())
        d_first[..., -1] = at_start - d_ends.sum(2)
        return d_ends, d_first, d_second, None


def group_profiles(ends: Tensor, first: Tensor, second: Tensor, rows: ProfileRows) -> Tensor:
    """[K, c, g] mean over each group of |attribution| / Σ|attribution| by source column.

    Parameters
    ----------
    ends : [K, h, n]
        Pre-activations of the rows.
    first, second : Tensor
        As :meth:`experts.networks.lanes.LaneParameters.split` gives them.
    rows : ProfileRows
        With row weights the result is Σ weights · members · profile: divide by ``weights @ members``.
    """
    apply: Callable[..., Tensor] = _GroupProfiles.apply
    return apply(ends, first, second, rows)
