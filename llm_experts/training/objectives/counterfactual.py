"""Divergence between the answers to a row and to the same row in another group."""

from __future__ import annotations

import torch
from torch import Tensor

from llm_experts.training.objectives.term import TINY, Step, Term
from metrics.surrogates import jensen_shannon


def add(step: Step, weight: Tensor) -> Tensor:
    """Weighted mean divergences [k]; nothing where rows have no other group."""
    if step.batch.moved is None:
        return torch.zeros_like(weight)
    moved = step.run(step.batch.moved).margin
    return weight * step.batch.mean(margin_divergence(step.answers.margin, moved), step.lanes)


def margin_divergence(a: Tensor, b: Tensor) -> Tensor:
    """[...] Jensen-Shannon divergence (base 2, in [0, 1]) of two answers' distributions, from margins."""
    pairs = [torch.stack([torch.sigmoid(-m), torch.sigmoid(m)], -1).clamp_min(TINY) for m in (a, b)]
    return jensen_shannon(*pairs)


TERM = Term(
    name="lambda_cf",
    roles=("procedural", "combined"),
    bounds=(0.1, 30.0),
    order=2,
    needs_moved=True,
    adds_up=True,
    add=add,
)
