"""Expected labels: calibrated probabilities that stand for labels where only their sums matter.

A count of positives among selected rows has two sources of chance: which rows are there, and which of them turned out
positive. Calibrated probabilities remove the second. Platt's logistic regression of the label on the margin, with an
intercept for each group that is shrunk towards 0: groups of which little is known are calibrated as all rows are.

J. Platt, "Probabilistic outputs for support vector machines", 1999, with its smoothed targets; the shrunk intercepts
are the modes of a random-intercept model with known variance.
"""

from __future__ import annotations

import torch
from torch import Tensor

SPREAD = 0.3
"""Standard deviation of the groups' intercepts before any row is seen (margins)."""

FARTHEST = 30.0
STEPS, HALVINGS = 50, 30
ENOUGH = 1e-9  # the gain at which Newton's method ends, relative to the loss


def expected_labels(margins: Tensor, labels: Tensor, groups: Tensor, n_groups: int) -> Tensor:
    """[n] float64 in (0, 1): calibrated probability that the label is 1.

    Parameters
    ----------
    margins : [n] float
        Of rows that their models have not seen; held within ± 30.
    labels, groups : [n] int64
        Labels in {0, 1}; group ids in 0..n_groups-1.
    n_groups : int

    Notes
    -----
    ``sigmoid(a m + b + u_g)`` with the highest likelihood of Platt's targets less ``sum u_g^2 / (2 SPREAD^2)``, by
    Newton's method with halved steps. The penalised likelihood is concave: the answer does not depend on the start.
    """
    design = _design(margins, groups, n_groups)
    target = platt_targets(labels)
    penalty = torch.full((design.shape[1],), SPREAD**-2, dtype=torch.float64)
    penalty[:2] = torch.tensor([1e-9, 1e-9])  # nothing to speak of, and every system has one solution
    found = torch.zeros_like(penalty)
    loss = _loss(found, design, target, penalty)
    for _ in range(STEPS):
        found, lower = _step(found, loss, design, target, penalty)
        if loss - lower <= ENOUGH * loss:
            break
        loss = lower
    return torch.sigmoid(design @ found)


def _design(margins: Tensor, groups: Tensor, n_groups: int) -> Tensor:
    """[n, 2 + g] margin, 1, and one column per group."""
    held = margins.to(torch.float64).clamp(-FARTHEST, FARTHEST)
    members = torch.nn.functional.one_hot(groups, n_groups).to(torch.float64)
    return torch.cat((held[:, None], torch.ones_like(held)[:, None], members), 1)


def platt_targets(labels: Tensor) -> Tensor:
    """[n] float64 targets a little inside 0 and 1, which leave room for an unseen row (Platt 1999, eq. 6).

    So perfectly separated rows have a finite answer.
    """
    positives = float(labels.sum())
    high, low = (positives + 1) / (positives + 2), 1 / (len(labels) - positives + 2)
    return torch.where(labels == 1, high, low).to(torch.float64)


def _loss(found: Tensor, design: Tensor, target: Tensor, penalty: Tensor) -> float:
    margin = design @ found
    missed = torch.nn.functional.softplus(margin) - target * margin
    return float(missed.sum() + (penalty * found**2).sum() / 2)


def _step(found: Tensor, loss: float, design: Tensor, target: Tensor, penalty: Tensor) -> tuple[Tensor, float]:
    """One step of Newton's method, halved until the loss falls; the place itself where none does."""
    p = torch.sigmoid(design @ found)
    slope = design.T @ (p - target) + penalty * found
    bend = design.T @ ((p * (1 - p))[:, None] * design) + torch.diag(penalty)
    step = torch.linalg.solve(bend, slope)
    for halving in range(HALVINGS):
        tried = found - step / 2**halving
        lower = _loss(tried, design, target, penalty)
        if lower <= loss:
            return tried, lower
    return found, loss
