"""The loss that all roles have: how well rows are answered."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits

from llm_experts.training.objectives.teacher import bernoulli_kl
from llm_experts.training.objectives.term import Options
from llm_experts.training.objectives.text_batch import TextBatch


def utility(margins: Tensor, batch: TextBatch, lanes: slice, options: Options) -> Tensor:
    """[k] cross-entropy or expected reward of a chunk of lanes with margins [k, n], blended with a teacher."""
    if options.utility_loss == "reward":
        by_row = -expected_reward(margins, batch.targets)
        if options.kl > 0:
            assert batch.base is not None  # the trainer provides it
            by_row = by_row + options.kl * bernoulli_kl(margins, batch.base)
    else:
        targets = batch.targets.expand_as(margins)
        by_row = binary_cross_entropy_with_logits(margins, targets, reduction="none")
    if batch.teacher is not None:
        by_row = batch.teacher.blended(by_row, margins)
    return batch.mean(by_row, lanes)


def expected_reward(margins: Tensor, targets: Tensor) -> Tensor:
    """[k, n] Σ_a p(a|x) r(a) with r = 1 for the right answer and -1 for the wrong one: 2 p(y|x) - 1, in [-1, 1]."""
    sign = 2 * targets - 1
    return 2 * torch.sigmoid(sign * margins) - 1
