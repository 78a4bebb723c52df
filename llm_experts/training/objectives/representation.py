"""Distance between the groups' mean hidden states."""

from __future__ import annotations

import torch
from torch import Tensor

from llm_experts.training.objectives.term import TINY, Step, Term
from metrics.surrogates import centre_distance


def add(step: Step, weight: Tensor) -> Tensor:
    """Weighted distances [k] of the centres of the groups."""
    batch, lanes, pooled = step.batch, step.lanes, step.answers.pooled.float()
    sums = batch.group_sums(pooled, lanes)
    sizes = batch.group_sums(torch.ones_like(pooled[..., :1]), lanes)
    centres = (sums / sizes.clamp_min(TINY)).mT
    return weight * centre_distance(centres, batch.known(lanes)[..., : batch.n_groups])


TERM = Term(name="lambda_rep", roles=("result", "combined"), bounds=(0.01, 1.0), order=1, tuned=False, add=add)
