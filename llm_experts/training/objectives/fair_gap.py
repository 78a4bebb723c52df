"""Soft gaps of selection and true positive rates between groups."""

from __future__ import annotations

from torch import Tensor

from llm_experts.training.objectives.term import Step, Term
from metrics.surrogates import soft_gaps


def add(step: Step, weight: Tensor) -> Tensor:
    """Weighted gaps [k] of the answers' probabilities."""
    batch, lanes = step.batch, step.lanes
    weights = batch.of(batch.weights, lanes)
    return weight * soft_gaps(step.answers.margin, batch.rates, batch.known(lanes), weights)


TERM = Term(name="lambda_fair", roles=("result", "combined"), bounds=(0.1, 10.0), order=0, add=add)
