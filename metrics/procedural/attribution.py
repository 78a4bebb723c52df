"""Attributions by group: ATT_JSD, the signed attribution gap, and the share of the sensitive columns.

All start from row-normalised attributions a_i / sum_j |a_ij| of signed attributions to source columns. Rows whose
attributions are all zero give no reason: they are left out and counted.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from metrics.procedural.shuffled_sums import shuffled_sums
from metrics.resample import weighted_sums


@dataclass(frozen=True)
class Profiles:
    """Sums over each group's rows of normalised attributions; "..." are models or resamples.

    Attributes
    ----------
    absolute, signed : [..., g, c] float64
        Sums of |a_i| / sum_j |a_ij| and of a_i / sum_j |a_ij|.
    rows : [..., g] float64
        Rows that gave a reason.
    """

    absolute: Tensor
    signed: Tensor
    rows: Tensor


def normalised(attributions: Tensor) -> tuple[Tensor, Tensor]:
    """Signed attributions [..., n, c] scaled to sum_j |a_ij| = 1, and [..., n] bool, rows that have any.

    Rows without attributions stay zero.
    """
    total = attributions.abs().sum(-1)
    known = total != 0
    return attributions / torch.where(known, total, 1.0)[..., None], known


def profiles(attributions: Tensor, groups: Tensor, n_groups: int) -> Profiles:
    """Profiles of K models from attributions [K, n, c] and group ids [n]; nan attributions give nan profiles."""
    size = attributions.abs()
    total = size.sum(-1)
    known = total != 0
    members = torch.nn.functional.one_hot(groups, n_groups).to(attributions.dtype)
    weights = members.T * torch.where(known, 1 / total, 0.0)[:, None, :]  # [K, g, n]
    return Profiles(
        (weights @ size).to(torch.float64),
        (weights @ attributions).to(torch.float64),
        (known.to(members.dtype) @ members).to(torch.float64),
    )


def profile_draws(attributions: Tensor, groups: Tensor, n_groups: int, weights: Tensor) -> Profiles:
    """Profiles of one model on bootstrap samples, by one matrix product.

    Parameters
    ----------
    attributions : [n, c] float
    groups : [n] int64
    weights : [B, n] integers
        How often each row is in each sample.
    """
    members = torch.nn.functional.one_hot(groups, n_groups).to(torch.float32)
    columns = _profile_columns(attributions)
    sums = weighted_sums(weights, (members[:, :, None] * columns[:, None, :]).flatten(1))
    return _as_profiles(sums.view(len(weights), n_groups, columns.shape[1]))


def profile_null(attributions: Tensor, shuffled: Tensor, n_groups: int) -> Profiles:
    """Profiles of one model from attributions [n, c] under shuffled group ids [P, n]."""
    return _as_profiles(shuffled_sums(shuffled, n_groups, _profile_columns(attributions)))


def att_jsd(sums: Profiles, estimable: Tensor) -> Tensor:
    """ATT_JSD: Jensen-Shannon divergence (base 2) of the groups' mean absolute attributions.

    Parameters
    ----------
    sums : Profiles of shape [...]
    estimable : [g] bool
        Groups with enough rows.

    Returns
    -------
    [...] float64 in [0, 1], the largest over pairs of estimable groups. 0 if no row of any group has an attribution
    (no group is reasoned about differently); nan if fewer than two groups are estimable, or if a group has none
    while another has.
    """
    mean = _means(sums.absolute, sums.rows)
    entropy = _entropy(mean)
    between = _entropy((mean[..., :, None, :] + mean[..., None, :, :]) / 2)
    pairs = between - (entropy[..., :, None] + entropy[..., None, :]) / 2
    return _largest(pairs.clamp(0, 1), sums.rows, estimable)


def signed_gap(sums: Profiles, estimable: Tensor) -> Tensor:
    """Signed attribution gap: total variation 1/2 sum_j |s_0j - s_1j| of the groups' mean signed attributions.

    It sees what ATT_JSD cannot: a column that speaks for one group and against another with equal strength.
    Arguments, pairs and undefined cases as in :func:`att_jsd`; range [0, 1].
    """
    mean = _means(sums.signed, sums.rows)
    pairs = (mean[..., :, None, :] - mean[..., None, :, :]).abs().sum(-1) / 2
    return _largest(pairs, sums.rows, estimable)


def sensitive_share(attributions: Tensor, columns: tuple[int, ...]) -> Tensor:
    """[K] float64 mean share of |attribution| on the sensitive columns, in [0, 1], of attributions [K, n, c].

    0 if no row has an attribution.
    """
    shares, known = normalised(attributions.to(torch.float64))
    on_sensitive = shares[..., list(columns)].abs().sum((-2, -1))
    return on_sensitive / known.sum(-1).clamp(min=1)


def signed_deviations(sums: Profiles, draws: Profiles, estimable: Tensor) -> Tensor:
    """[B] how far the groups' mean signed attributions in draws lie from the observed ones, as :func:`signed_gap`."""
    shift = _means(draws.signed, draws.rows) - _means(sums.signed, sums.rows)
    return signed_gap(Profiles(shift, shift, (draws.rows > 0).to(shift.dtype)), estimable)


def signed_shift(sums: Profiles, draws: Profiles) -> Tensor:
    """[B, g] total variation between each group's mean signed attributions in draws and those observed.

    0 for groups without rows in a draw.
    """
    shift = _means(draws.signed, draws.rows) - _means(sums.signed, sums.rows)
    return torch.where(draws.rows > 0, shift.abs().sum(-1) / 2, 0.0)


def _profile_columns(attributions: Tensor) -> Tensor:
    """[n, 2c + 1] float32: absolute and signed shares, and whether the row has any."""
    shares, known = normalised(attributions.to(torch.float64))
    return torch.cat((shares.abs(), shares, known[:, None]), 1).to(torch.float32)


def _as_profiles(sums: Tensor) -> Profiles:
    columns = (sums.shape[-1] - 1) // 2
    return Profiles(sums[..., :columns], sums[..., columns:-1], sums[..., -1].round())


def _means(sums: Tensor, rows: Tensor) -> Tensor:
    return sums / rows.clamp(min=1)[..., None]


def _entropy(shares: Tensor) -> Tensor:
    return -torch.xlogy(shares, shares).sum(-1) / torch.log(torch.tensor(2.0, dtype=shares.dtype))


def _largest(pairs: Tensor, rows: Tensor, estimable: Tensor) -> Tensor:
    """[...] largest of the pairs [..., g, g] of estimable groups; see :func:`att_jsd` for nan and 0."""
    if int(estimable.sum()) < 2:
        return torch.full(pairs.shape[:-2], torch.nan, dtype=pairs.dtype)
    chosen = torch.nonzero(estimable)[:, 0]
    largest = pairs[..., chosen, :][..., chosen].amax((-2, -1))
    silent = rows[..., chosen] == 0
    return torch.where(silent.any(-1) & ~silent.all(-1), torch.nan, largest)
