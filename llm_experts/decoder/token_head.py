"""The language-model head at the tokens that count: log-probabilities without keeping a row of logits per token."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import linear

HEAD_FLOATS = 1 << 23
"""Logits that are held at once: 32 MiB."""


class _LogProbs(torch.autograd.Function):
    """Log-probability of one word per hidden state; the gradient of the states is made in the same pass.

    With p the probabilities of all words and w_y the head's row of the word y, ∂ log p_y / ∂h = w_y - Σ_v p_v w_v: as
    many numbers as a hidden state has, so that logits [m, V] are never kept for the backward pass.
    """

    @staticmethod
    def forward(ctx: Any, hidden: Tensor, head: Tensor, words: Tensor, rows: int) -> Tensor:
        learns = ctx.needs_input_grad[0]
        found, gradients = hidden.new_empty(len(hidden), dtype=torch.float32), []
        for at in range(0, len(hidden), rows):
            states, chosen, out = (x[at : at + rows] for x in (hidden, words, found))
            table = head if head.dtype == torch.float32 else head.float()
            logits = linear(states.float(), table)
            total = logits.logsumexp(-1, keepdim=True)
            out.copy_(logits.gather(1, chosen[:, None])[:, 0] - total[:, 0])
            if learns:
                gradients.append(table[chosen] - linear(logits.sub_(total).exp_(), table.T))
        if learns:
            ctx.save_for_backward(torch.cat(gradients) if gradients else hidden.new_empty(0, hidden.shape[1]))
            ctx.dtype = hidden.dtype
        return found

    @staticmethod
    def backward(ctx: Any, *given: Any) -> Any:
        (local,) = ctx.saved_tensors
        return (given[0][:, None] * local).to(ctx.dtype), None, None, None


def word_logprobs(hidden: Tensor, head: Tensor, words: Tensor) -> Tensor:
    """[m] float32 log-probabilities of words [m] behind normalised hidden states [m, d]; differentiable once.

    Parameters
    ----------
    hidden : [m, d]
    head : [V, d]
        Frozen: it gets no gradient.
    words : [m] int64
    """
    rows = max(1, HEAD_FLOATS // len(head))
    found: Tensor = _LogProbs.apply(hidden, head, words, rows)  # type: ignore[no-untyped-call]
    return found
