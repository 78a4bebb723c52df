"""Perplexity of the references: how surprising the completions are, per token."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from llm_experts.evaluation.needs import needs_likelihood
from llm_experts.evaluation.score import Answered, Array, Score
from metrics.proportions import quotient


def columns(items: Sequence[Answered]) -> Array:
    """[n, 2]: minus the log-probability of the completion, and its tokens."""
    return np.array([[-item.log_prob, item.tokens] for item in items], dtype=np.float64).reshape(-1, 2)


def formula(sums: Array) -> Array:
    """exp(nats per token): every token counts the same, whatever completion it is of."""
    with np.errstate(over="ignore"):
        found: Array = np.exp(quotient(sums[..., 0], sums[..., 1]))
    return found


SCORE = Score(
    id="perplexity",
    label="perplexity",
    about="exp of minus the mean log-probability of the completions' tokens, end token included; lower is better",
    range=(1, math.inf),
    better="lower",
    needs="likelihood",
    columns=columns,
    formula=formula,
    refuses=needs_likelihood,
)
