"""What keeps an expert an answerer: the probability of yes and no among all words must not fall away.

Margins compare the two answers with each other, so that every other word may overtake both and no loss on margins
notices. A shortfall below a wanted mass is therefore part of every role's loss; where the mass suffices it is 0, and so
is its gradient.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from llm_experts.decoder.layout import Answers
from llm_experts.decoder.verbaliser import LOW_MASS

SHARE = 0.25
"""Share of the base's own mass that an expert must keep, up to the mass below which a preference means little."""
WEIGHT = 4.0
"""Of a nat of shortfall beside a nat of cross-entropy: a constraint that fairness terms must not outbid."""
BLOCK_FLOATS = 1 << 24
"""Logits that are held at once."""


@dataclass(frozen=True, eq=False)
class Answering:
    """How much probability the two answers must have.

    Attributes
    ----------
    head : [V, d]
        Rows of the language-model head for all words.
    least : float
        Mean mass that makes an expert feasible.
    """

    head: Tensor
    least: float

    @classmethod
    def on(cls, head: Tensor, base_mass: float) -> Answering:
        """The rule for experts of a base that has a mean mass itself: 0.1, or a quarter of the base's if that is less.

        A base that answers with words of its own is not asked for more than it can.
        """
        return cls(head.detach(), min(LOW_MASS, SHARE * base_mass))

    @property
    def wanted(self) -> float:
        """Mean mass below which the loss pulls: twice the least, so that validation rows stay above it."""
        return 2 * self.least

    def shortfall(self, answers: Answers, weights: Tensor | None = None) -> Tensor:
        """[k] ``WEIGHT`` times the nats by which the mean mass falls short.

        Row ``weights`` [k, n] sum to 1; None: all are equal.
        """
        by_row = self._by_row(answers)
        shares = by_row.new_tensor(1 / by_row.shape[1]) if weights is None else weights.to(by_row)
        return WEIGHT * (math.log(self.wanted) - (by_row + shares.log()).logsumexp(1)).clamp_min(0)

    def mean_mass(self, answers: Answers, weights: Tensor | None = None) -> Tensor:
        """[k] mean mass by row ``weights`` [k, n], or the part of it that the rows of a part add."""
        by_row = self._by_row(answers).exp()
        return by_row.mean(1) if weights is None else (by_row * weights.to(by_row)).sum(1)

    def _by_row(self, answers: Answers) -> Tensor:
        """[k, n] log of the mean mass over the orders of the options."""
        return log_masses(answers, self.head).logsumexp(-1) - math.log(2)

    def mass(self, answers: Answers) -> Tensor:
        """[k, n] probability of the two answers, mean over the orders of the options."""
        return log_masses(answers, self.head).exp().mean(-1)


def log_masses(answers: Answers, head: Tensor) -> Tensor:
    """[..., n, 2] log of P(no) + P(yes) among all words of the head [V, d], by the order of the options.

    Words are gone through in blocks, again on the way back, so that the logits of a large vocabulary never lie in
    memory.
    """
    final = answers.final.float()
    blocks = torch.split(head, max(1, BLOCK_FLOATS // max(1, final[..., 0].numel())))
    if len(blocks) == 1:
        every = _block(final, head)
    else:
        parts = [checkpoint(_block, final, block, use_reentrant=False) for block in blocks]
        every = torch.stack(parts).logsumexp(0)
    return answers.logits.logsumexp(-1) - every


def _block(final: Tensor, head: Tensor) -> Tensor:
    return (final @ head.float().T).logsumexp(-1)
