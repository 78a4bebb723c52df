"""Gradients of a step whose rows do not lie in memory at once.

A batch's rows are run in parts. What a loss adds up row by row is added up part by part, with the weights that rows
have in the whole batch. What it says about all rows at once (gaps between groups, profiles, an adversary) takes the
answers' gradient instead: answers of all parts without a graph, the loss and its gradient at the answers, and a second
pass that carries this gradient through each part (gradient caching: Gao et al., RepL4NLP 2021). Both are the whole
batch's gradient, with sums in another order.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import torch
from torch import Tensor

from llm_experts.decoder.layout import Answers, TopInput
from llm_experts.training.objectives import Objective, TextBatch

PART_TOKENS = {"cpu": 1 << 10, "cuda": 1 << 14}
"""Tokens of a part, padding included: small enough that a CPU's allocator keeps the memory."""

Ask = Callable[[Tensor, TopInput], Answers]
"""Weights [k, P] and texts -> answers [k, n, ...]; differentiable."""


class Accumulation:
    """Gradients of an objective in parts of rows.

    Parameters
    ----------
    objective : Objective
    """

    def __init__(self, objective: Objective) -> None:
        self._objective = objective
        self._short = False  # whether answers lacked mass in the last step

    def gradient(
        self, ask: Ask, theta: Tensor, batch: TextBatch, lanes: slice, fair: bool, parts: Sequence[Tensor]
    ) -> Tensor:
        """[k, P] gradient of the losses of a chunk of lanes with weights ``theta`` [k, P].

        Parameters
        ----------
        ask : callable
        theta : [k, P]
        batch : TextBatch
        lanes : slice
            The chunk.
        fair : bool
            Whether fairness terms count.
        parts : sequence of [m] int64
            Rows of each part; a single part is the whole batch.
        """
        if len(parts) < 2:
            return self._whole(ask, theta, batch, lanes, fair)
        if self._objective.adds_up(lanes, fair) and not self._short:
            gradient, self._short = self._summed(ask, theta, batch, lanes, fair, parts)
            if not self._short:
                return gradient
        return self._cached(ask, theta, batch, lanes, fair, parts)

    def _whole(self, ask: Ask, theta: Tensor, batch: TextBatch, lanes: slice, fair: bool) -> Tensor:
        leaf = theta.clone().requires_grad_()
        loss = self._objective.loss(partial(ask, leaf), batch, lanes, fair=fair)
        # lanes do not meet, so the gradient of the sum is each lane's own
        return torch.autograd.grad(loss.sum(), leaf)[0]

    def _summed(
        self, ask: Ask, theta: Tensor, batch: TextBatch, lanes: slice, fair: bool, parts: Sequence[Tensor]
    ) -> tuple[Tensor, bool]:
        """The gradient without what keeps the answer mass, and whether that is needed."""
        total, mass = torch.zeros_like(theta), theta.new_zeros(len(theta))
        for rows in parts:
            leaf, some = theta.clone().requires_grad_(), batch.part(rows, lanes.stop)
            loss, found = self._objective.loss_by_rows(partial(ask, leaf), some, lanes, fair)
            total += torch.autograd.grad(loss.sum(), leaf)[0]
            mass += found
        return total, self._objective.lacks(mass)

    def _cached(
        self, ask: Ask, theta: Tensor, batch: TextBatch, lanes: slice, fair: bool, parts: Sequence[Tensor]
    ) -> Tensor:
        asked: list[tuple[TopInput, Answers]] = []

        def run(given: TopInput) -> Answers:
            with torch.no_grad():
                found = [ask(theta, given.texts(rows)) for rows in parts]
            logits, pooled, attention, final = (_gathered(field, parts) for field in zip(*_fields(found), strict=True))
            leaves = Answers(logits, pooled, attention, final)
            asked.append((given, leaves))
            return leaves

        loss = self._objective.loss(run, batch, lanes, fair=fair)
        leaves = [leaf for _, answers in asked for leaf in answers[:4]]
        slopes = torch.autograd.grad(loss.sum(), leaves, allow_unused=True)
        self._short = self._short and self._objective.lacks(self._objective.mass(asked[0][1], batch, lanes))
        total = torch.zeros_like(theta)
        for place, (given, _) in enumerate(asked):
            for rows in parts:
                total += _carried(ask, theta, given.texts(rows), rows, slopes[4 * place : 4 * place + 4])
        return total


def rows_in_parts(lengths: Tensor, tokens: int, fits: bool) -> list[Tensor]:
    """Rows of texts of ``lengths`` [n] in parts of at most ``tokens`` tokens, texts of like length together.

    A batch that ``fits`` is one part, in its own order.
    """
    if fits or len(lengths) * int(lengths.max()) <= tokens:
        return [torch.arange(len(lengths))]
    order = torch.argsort(lengths, stable=True)
    size = max(1, tokens // int(lengths.max()))
    count = -(-len(lengths) // size)
    return list(torch.tensor_split(order, count))


def _fields(found: Sequence[Answers]) -> list[tuple[Tensor, ...]]:
    return [(answers.logits, answers.pooled, answers.attention, answers.final) for answers in found]


def _gathered(field: Sequence[Tensor], parts: Sequence[Tensor]) -> Tensor:
    """[k, n, ...] what the parts say, in the order of the rows, as leaves; attention as wide as that of the widest."""
    if field[0].ndim == 3:
        width = max(part.shape[2] for part in field)
        field = [torch.nn.functional.pad(part, (0, width - part.shape[2])) for part in field]
    return torch.cat(list(field), 1)[:, torch.argsort(torch.cat(list(parts)))].detach().requires_grad_()


def _carried(ask: Ask, theta: Tensor, given: TopInput, rows: Tensor, slopes: Sequence[Tensor | None]) -> Tensor:
    """[k, P] the gradient at the answers of a part carried to the weights."""
    leaf = theta.clone().requires_grad_()
    (answers,) = _fields([ask(leaf, given)])
    pairs = [(field, slope[:, rows]) for field, slope in zip(answers, slopes, strict=True) if slope is not None]
    heads = [field for field, _ in pairs]
    carried = [slope[..., : field.shape[-1]] for field, slope in pairs]
    return torch.autograd.grad(heads, leaf, carried)[0]
