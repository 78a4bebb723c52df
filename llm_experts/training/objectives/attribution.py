"""Divergence between the groups' profiles of reasons: what each column has to do with the answers."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import one_hot

from llm_experts.training.objectives.term import TINY, Options, Step, Term
from metrics.surrogates import profile_divergence


def add(step: Step, weight: Tensor) -> Tensor:
    """Weighted divergences [k] of the groups' mean shares of columns."""
    batch, lanes = step.batch, step.lanes
    size = _attributions(step).abs()
    shares = size / size.sum(-1, keepdim=True).clamp_min(TINY)
    sums = batch.group_sums(shares, lanes)
    return weight * profile_divergence(sums, batch.known(lanes)[..., : batch.n_groups])


def _attributions(step: Step) -> Tensor:
    answers, given, columns = step.answers, step.given, step.batch.n_columns
    if step.options.attribution == "attention":
        return by_column(answers.attention, given.columns, columns)
    # summed with its sign over the hidden units it is 0: behind a normalisation the margin has no slope along a
    # token's own state (Euler's identity for functions of degree 0)
    (slope,) = torch.autograd.grad(answers.margin.sum(), given.hidden, create_graph=True)
    return by_column((slope * given.hidden).float().abs().sum(-1), given.columns, columns)


def by_column(values: Tensor, columns: Tensor, n_columns: int) -> Tensor:
    """[k, n, c] sums of token values [k, n, T] over the tokens of each column; ``columns`` [n, T], -1 none."""
    members = one_hot(columns.to(torch.int64) + 1, n_columns + 1)[..., 1:].to(values.dtype)
    return torch.einsum("knt,ntc->knc", values, members)


def differentiates(options: Options) -> bool:
    """Whether reasons are slopes."""
    return options.attribution == "gradient"


TERM = Term(
    name="lambda_attention",
    roles=("procedural", "combined"),
    bounds=(0.1, 30.0),
    order=3,
    add=add,
    differentiates=differentiates,
)
