"""How far two bases predict the same, token by token: what quantising has cost, and that dequantising costs nothing."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor

from foundation.numbers import finite_dict
from foundation.seeding import numpy_generator
from llm_experts.bases.base import Base
from llm_experts.bases.error import BaseError
from metrics.proportions import wilson
from metrics.resample import interval, row_weights, weighted_sums

ENOUGH = 0.99
"""Top-1 agreement that a dequantised base must reach with the one that it was made of."""
LONGEST = 256
"""Tokens of a text that are compared."""
DRAWS = 1000
TEXTS = (
    "The applicant is 34 years old, works full time and asks for a loan of 5,000. Will it be repaid?",
    "Question: Does the person earn more than 50,000 dollars a year? Options: yes or no. Answer: no",
    "The council met on Monday, heard both sides, and put the vote off until the middle of June.",
    "What is 17 + 25? The answer is 42. What is 31 - 12? The answer is 19.",
    'Return JSON with the fields name and age: {"name": "Ada", "age": 36}',
    "SELECT name FROM users WHERE age > 30 ORDER BY name;",
    "A train leaves at nine and travels at 80 kilometres an hour. At eleven it is 160 kilometres away.",
    "Dear customer, thank you for your letter about the parcel that was lost in December.",
    "Reverse the letters of the word stone: enots. Reverse the letters of the word river: revir.",
    "The patient complains of headaches and has a fever. The next step is to measure the temperature.",
    "How many days lie between 3 March 2021 and 10 March 2021? Seven days lie between them.",
    "Once upon a time there was a miller who had three sons, a mill, a donkey and a cat.",
)
"""Neutral texts on which two bases are compared where nobody gives others."""


@dataclass(frozen=True)
class Estimate:
    """A number with its 95 % interval, from a bootstrap of texts."""

    estimate: float
    low: float
    high: float


@dataclass(frozen=True)
class Agreement:
    """How far a base predicts what another one predicts, token by token.

    Attributes
    ----------
    texts, n : int
        Texts, and tokens that were predicted in them.
    same : int
        Tokens at which both find the same one likeliest.
    top1, low, high : float
        Their share and Wilson's 95 % interval; tokens of a text are not independent, so that it is a little too short.
    relative : Estimate
        ‖difference of the logits‖ / ‖logits of the reference‖, each token's logits with their mean taken off.
    largest : float
        Largest difference of two logits.
    divergence : Estimate
        Mean KL divergence of the predictions from the reference's, in nats a token.
    perplexity, reference_perplexity : Estimate
        Of the texts under each.
    """

    texts: int
    n: int
    same: int
    top1: float
    low: float
    high: float
    relative: Estimate
    largest: float
    divergence: Estimate
    perplexity: Estimate
    reference_perplexity: Estimate

    @property
    def enough(self) -> bool:
        """Whether both say the same often enough to pass as one model."""
        return self.top1 >= ENOUGH

    def as_dict(self) -> dict[str, Any]:
        """As JSON takes it: what is no finite number is None."""
        return finite_dict(asdict(self))

    @classmethod
    def from_dict(cls, told: dict[str, Any]) -> Agreement:
        """What :meth:`as_dict` gave."""
        return cls(**{key: _read(value) for key, value in told.items()})


def agreement(reference: Base, base: Base, texts: Sequence[str] = TEXTS, *, seed: int = 0) -> Agreement:
    """Compare what two bases predict for the next token of texts.

    Parameters
    ----------
    reference, base : Base
        Of one vocabulary.
    texts : sequence of str
        The first 256 tokens of each count.
    seed : int
        Of the bootstrap of texts.

    Raises
    ------
    BaseError
        If no text has two tokens, the two have different vocabularies, or a logit is no number.
    """
    rows = [row for text in texts if (row := _compared(reference, base, text)) is not None]
    if not rows:
        raise BaseError("There is no text of at least two tokens to compare on; give some, one a line.")
    table, largest = torch.tensor([row[:-1] for row in rows], dtype=torch.float64), max(row[-1] for row in rows)
    weights = row_weights(len(rows), DRAWS, numpy_generator(seed, "agreement"))
    draws, sums = weighted_sums(weights, table), table.sum(0)
    n, same = int(sums[0]), int(sums[1])
    low, high = wilson(same, n)

    def estimated(numerator: int, denominator: int, form: Callable[[Tensor], Tensor]) -> Estimate:
        value = float(form(sums[numerator] / sums[denominator]))
        ends = interval(value, form(draws[:, numerator] / draws[:, denominator]), bounds=(0.0, math.inf))
        return Estimate(value, *ends)

    return Agreement(
        len(rows), n, same, same / n, low, high, estimated(2, 3, torch.sqrt), largest, estimated(4, 0, lambda x: x),
        estimated(5, 0, torch.exp), estimated(6, 0, torch.exp),
    )  # fmt: skip


@torch.no_grad()
def _compared(reference: Base, base: Base, text: str) -> tuple[float, ...] | None:
    """Sums of one text: tokens, agreements, squares, KL, losses of both; and the largest difference."""
    ids = reference.tokenizer(text).input_ids[:LONGEST]
    if len(ids) < 2:
        return None
    expected, found = (_logits(one, ids) for one in (reference, base))
    if expected.shape != found.shape:
        raise BaseError(
            f"{base.id} has {found.shape[1]} tokens and {reference.id} has {expected.shape[1]}; two models can be "
            "compared only where they share a vocabulary."
        )
    difference = expected - found
    centred, shift = (value - value.mean(-1, keepdim=True) for value in (expected, difference))
    logs, others = expected.log_softmax(-1), found.log_softmax(-1)
    following = torch.tensor(ids[1:], device=logs.device)[:, None]
    divergence = (logs.exp() * (logs - others)).sum(-1).clamp_min(0)
    return (
        float(len(following)), float((expected.argmax(-1) == found.argmax(-1)).sum()), float(shift.square().sum()),
        float(centred.square().sum()), float(divergence.sum()), float(-others.gather(-1, following).sum()),
        float(-logs.gather(-1, following).sum()), float(difference.abs().max()),
    )  # fmt: skip


def _logits(base: Base, ids: Sequence[int]) -> Tensor:
    """[tokens - 1, vocabulary] float64 what is predicted behind each token but the last."""
    model: Any = base.model
    found: Tensor = model(input_ids=torch.tensor([list(ids)], device=base.device)).logits[0, :-1].double().cpu()
    if not bool(found.isfinite().all()):
        raise BaseError(f"A logit of {base.id} is no number; load it with --dtype float32, or fetch it again.")
    return found


def _read(value: Any) -> Any:
    if isinstance(value, dict):
        return Estimate(**{key: _read(one) for key, one in value.items()})
    return math.nan if value is None else value
