"""Calibration of margins: a temperature and a bias per expert, fitted on validation rows.

A frozen language model says *yes* or *no* with a confidence that its pretraining gave it, and often says one of the two
to every row. Both are put right by p = σ(margin / T + b) (Platt 1999; Guo et al., ICML 2017), with T > 0, so that the
order of rows stays.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from metrics.calibration import ece
from metrics.expected_labels import platt_targets

LOG_SLOPE_SD = 3.0
"""Standard deviation of the prior on the log of the slope of standardised margins: weak, it only bounds."""
STEPS = 60


class CalibrationError(ValueError):
    """Rows that a calibration cannot be fitted on."""


class Calibration(NamedTuple):
    """p = σ(margin / temperature + bias) of K experts.

    Attributes
    ----------
    temperature : [K] float64, > 0
    bias : [K] float64
    """

    temperature: Tensor
    bias: Tensor


def fit_calibration(margins: Tensor, labels: Tensor) -> Calibration:
    """Temperature and bias of K experts at once, by damped Newton steps.

    The likelihood has Platt's targets, (n₊ + 1) / (n₊ + 2) and 1 / (n₋ + 2), so that separable rows stay finite; the
    log of the slope has a weak normal prior, so that margins that are constant or point the wrong way stay finite too.

    Parameters
    ----------
    margins : [K, n]
        Of validation rows.
    labels : [n] int64 in {0, 1}

    Returns
    -------
    Calibration
        nan for an expert with a margin that is not finite. The same input gives the same bits.

    Raises
    ------
    CalibrationError
        If the shapes disagree, a label is hidden, or the rows have one class only.
    """
    _check(margins, labels)
    finite = margins.isfinite().all(1)
    x = torch.where(finite[:, None], margins.detach().to(torch.float64), 0.0)
    centre, spread = x.mean(1), x.std(1, correction=0)
    spread = torch.where(spread > 1e-9 * (1 + centre.abs()), spread, 1.0)
    log_slope, offset = _newton((x - centre[:, None]) / spread[:, None], platt_targets(labels))
    slope = log_slope.exp() / spread
    broken = torch.where(finite, 0.0, torch.nan)
    return Calibration(1 / slope + broken, offset - slope * centre + broken)


def calibrated(margins: Tensor, temperature: Tensor | float, bias: Tensor | float) -> Tensor:
    """[..., n] calibrated margins; temperature and bias are numbers, or [K] for margins [K, n]."""
    scale, shift = (torch.as_tensor(v, dtype=margins.dtype, device=margins.device) for v in (temperature, bias))
    return margins / scale[..., None] + shift[..., None] if scale.ndim else margins / scale + shift


def calibration_errors(margins: Tensor, labels: Tensor, calibration: Calibration) -> tuple[Tensor, Tensor]:
    """([K], [K]) expected calibration error of margins [K, n] before and after, for the log.

    On the rows of the fit the second number is optimistic; ask for it on others.
    """
    after = calibrated(margins.to(torch.float64), *calibration)
    return ece(torch.sigmoid(margins.to(torch.float64)), labels), ece(torch.sigmoid(after), labels)


def _check(margins: Tensor, labels: Tensor) -> None:
    if margins.ndim != 2 or margins.shape[1:] != labels.shape:
        raise CalibrationError(f"margins are [K, n] and labels [n], not {tuple(margins.shape)}, {tuple(labels.shape)}.")
    found = set(labels.tolist())
    if found - {0, 1}:
        raise CalibrationError(f"Calibration needs labels 0 and 1, found {sorted(found)}; use validation rows.")
    if len(found) < 2:
        what = f"all {len(labels)} rows have label {found.pop()}" if found else "there are no rows"
        raise CalibrationError(
            f"A temperature and a bias cannot be fitted: {what}. Take more validation rows, or rows of both classes."
        )


def _newton(z: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
    """([K], [K]) log slope and offset of logistic curves on standardised margins [K, n].

    Fisher scoring with a damping per lane (Levenberg-Marquardt): a step that does not lower a lane's loss is not taken.
    """
    at = torch.stack([z.new_zeros(len(z)), torch.logit(targets.mean()).expand(len(z))], 1)
    damping, value = z.new_full((len(z),), 1e-3), _loss(at, z, targets)
    for _ in range(STEPS):
        gradient, curvature = _derivatives(at, z, targets)
        damped = curvature + damping[:, None, None] * torch.diag_embed(curvature.diagonal(dim1=1, dim2=2) + 1e-12)
        proposed = at - torch.linalg.solve(damped, gradient)
        lower = _loss(proposed, z, targets)
        better = lower <= value
        at, value = torch.where(better[:, None], proposed, at), torch.where(better, lower, value)
        damping = torch.where(better, damping / 10, damping * 10).clamp(1e-12, 1e12)
    return at[:, 0], at[:, 1]


def _loss(at: Tensor, z: Tensor, targets: Tensor) -> Tensor:
    """[K] negative log posterior."""
    margin = at[:, :1].exp() * z + at[:, 1:]
    fit = torch.nn.functional.binary_cross_entropy_with_logits(margin, targets.expand_as(margin), reduction="none")
    return fit.sum(1) + 0.5 * (at[:, 0] / LOG_SLOPE_SD).square()


def _derivatives(at: Tensor, z: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
    """[K, 2] gradient and [K, 2, 2] expected curvature."""
    scaled = at[:, :1].exp() * z
    p = torch.sigmoid(scaled + at[:, 1:])
    slopes = torch.stack([scaled, torch.ones_like(scaled)], 1)  # [K, 2, n]
    gradient = (slopes @ (p - targets)[..., None])[..., 0]
    curvature = (slopes * (p * (1 - p))[:, None]) @ slopes.mT
    gradient[:, 0] += at[:, 0] / LOG_SLOPE_SD**2
    curvature[:, 0, 0] += 1 / LOG_SLOPE_SD**2
    curvature.diagonal(dim1=1, dim2=2).add_(1e-9)
    return gradient, curvature
