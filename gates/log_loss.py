"""Log loss of mixtures of stored outputs, and folds of the rows on which gates are compared."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import softplus

from experts.networks.batches import stratified_order
from foundation.seeding import torch_generator
from gates.problem import ExpertOutputs, GateProblem

SMALLEST = 1e-7
"""Least probability that an expert is taken to give to the true label: products of a few stay finite in float32."""


def true_probabilities(outputs: ExpertOutputs) -> Tensor:
    """[n, m] float32 probability in [1e-7, 1] that each expert gives to each row's own label."""
    logits = outputs.state.logits
    return torch.sigmoid(torch.where(outputs.labels[:, None] == 1, logits, -logits)).clamp(min=SMALLEST)


def margin_losses(margins: Tensor, labels: Tensor) -> Tensor:
    """[n] float64 log loss of each row from margins [n]."""
    sign = torch.where(labels == 1, -1.0, 1.0).double()
    return softplus(sign * margins.double())


def point_losses(point: Tensor, probability: Tensor) -> Tensor:
    """[n] float64 log loss of each row under static weights [m] from :func:`true_probabilities`."""
    return -(probability.double() @ point.double()).log()


def row_folds(problem: GateProblem, count: int) -> Tensor:
    """[n] int64 fold of each row of ``problem.oof``, stratified by label × group and dealt by the problem's seed."""
    outputs = problem.oof
    order = stratified_order(
        outputs.labels * problem.n_groups + outputs.groups, torch_generator(problem.seed, "gate", "folds")
    )
    fold = torch.empty_like(order)
    fold[order] = torch.arange(len(order)) % count
    return fold
