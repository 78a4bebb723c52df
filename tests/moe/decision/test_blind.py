"""Blind rules where the group is all but known: they must not hang on the third digit of the model of the group."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from moe.decision.blind import STEEP, BlindRows, best_blind, measured, steepness

N, GAP, LIMIT = 1500, "fair_res@1", 0.05


def joint(probability: Tensor, groups: Tensor, sure: float, seed: int) -> Tensor:
    """[n, 2, 2] P(group, label | x) by a model that gives a row's own group about this probability."""
    generator = torch.Generator().manual_seed(seed)
    spread = 0.7 * torch.randn(len(groups), 2, generator=generator, dtype=torch.float64)
    known = torch.sigmoid(torch.logit(torch.tensor(sure, dtype=torch.float64)) + spread)
    own = torch.nn.functional.one_hot(groups, 2).double()
    of_group = own[:, :, None] * known[:, None, :] + (1 - own)[:, :, None] * (1 - known)[:, None, :]
    return of_group * torch.stack((1 - probability, probability), -1)[:, None, :]


@pytest.mark.parametrize("seed", range(5))
def test_a_surer_model_of_the_group_decides_alike(seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    groups = (torch.rand(N, generator=generator) < 0.33).long()
    margins = 1.6 * torch.randn(N, generator=generator, dtype=torch.float64)
    probability = torch.sigmoid(margins - torch.where(groups == 1, 3.0, 0.8).double())
    labels = (torch.rand(N, generator=generator).double() < probability).long()
    given = probability, labels, groups, 2, probability
    found = best_blind(BlindRows(*given, joint(probability, groups, 0.99, 1)), GAP, LIMIT)
    assert found is not None
    assert found.disparity <= LIMIT
    assert steepness(found.rule) >= STEEP
    surer = measured(BlindRows(*given, joint(probability, groups, 0.999, 2)), found.rule, GAP)
    assert surer.disparity <= 2 * LIMIT  # without the demand of steepness .2 to .44
    assert surer.worth == pytest.approx(found.worth, abs=0.02)
