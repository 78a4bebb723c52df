"""What the bias sets ask of a model: log-probabilities of some tokens of some texts.

A :class:`Scorer` answers that, so base, adapter and mixture are scored by the same code.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from torch import Tensor


@dataclass(frozen=True)
class Scored:
    """The scored tokens of one text.

    Attributes
    ----------
    log_probs : [t] float64
        log P(token | all tokens before it), natural logarithm; the first token of a text follows the start token.
    spans : tuple of (start, end)
        Characters of each token in the text.
    """

    log_probs: Tensor
    spans: tuple[tuple[int, int], ...]

    @property
    def total(self) -> float:
        """Sum of the log-probabilities."""
        return float(self.log_probs.sum())

    @property
    def mean(self) -> float:
        """Log-probability per token."""
        return float(self.log_probs.mean())


class Scorer(Protocol):
    """What the bias sets need of a model."""

    def token_log_probs(self, texts: Sequence[str], start: Sequence[int] | None = None) -> list[Scored]:
        """Scored tokens of each text.

        ``start[i]`` is the character at which scoring begins: tokens that end at or before it are context only and
        are left out. Every text has at least one scored token.
        """
        ...


def continuations(scorer: Scorer, pairs: Sequence[tuple[str, str]]) -> list[Scored]:
    """Scored tokens of each continuation given its context, for (context, continuation) pairs."""
    return scorer.token_log_probs([a + b for a, b in pairs], [len(a) for a, _ in pairs])
