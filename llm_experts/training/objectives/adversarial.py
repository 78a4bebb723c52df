"""An adversary that guesses the group from the pooled hidden states; its gradient is reversed."""

from __future__ import annotations

from typing import cast

from torch import Tensor

from experts.networks.objectives.adversary import Adversary
from llm_experts.training.objectives.term import Setting, Step, Term


def state(setting: Setting) -> Adversary:
    """The lanes' adversaries."""
    width = setting.options.adversary_width
    return Adversary(setting.pooled, width, setting.n_groups, setting.seeds, "pooled", setting.device)


def add(step: Step, weight: Tensor) -> Tensor:
    """The adversaries' losses [k], whose gradient comes back reversed and weighted."""
    batch, lanes = step.batch, step.lanes
    weights = batch.of(batch.relative_weights, lanes)
    adversary = cast(Adversary, step.state)
    pooled = step.answers.pooled.float()  # adversaries are float32, whatever the base
    return adversary.reversed_loss(pooled.mT, weight, batch.group_targets, weights, lanes)


TERM = Term(name="lambda_adv", roles=("procedural", "combined"), bounds=(0.01, 1.0), order=4, add=add, state=state)
