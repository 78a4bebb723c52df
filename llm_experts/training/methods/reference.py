"""What a policy is measured against: the adapter that its training started with, or the base itself."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor

from llm_experts.training.loop.method import Run
from llm_experts.training.loop.order import micro_batches
from llm_experts.training.sequences.batch import Batch, Item, Row
from llm_experts.training.sequences.lanes import SequenceLanes


class Reference:
    """Log-probabilities under the weights that training starts with.

    A fresh adapter of most kinds leaves the base as it is; the base's own log-probabilities are kept between epochs.
    """

    def __init__(self) -> None:
        self._whole: Tensor | None = None
        self._theta: Tensor | None = None

    def start(self, run: Run) -> None:
        """Take the first weights of lanes that go on from earlier experts; of fresh ones the base is the reference."""
        self._whole = None if run.assignments[0].after is None else run.lanes.start.detach().clone()
        self._theta = self._whole

    def prepare(self, run: Run, texts: Iterable[Row]) -> None:
        """Read the texts that training will ask for, in one fixed order.

        The last bits of a text's log-probability depend on the texts it is read with. Were it kept from the step that
        first needs it, a run that goes on after a kill would keep another one.
        """
        if self._theta is None:
            rows = [Item(at, (), (row,)) for at, row in enumerate(dict.fromkeys(texts))]
            for batch in micro_batches([rows], run.base.device) if rows else ():
                run.lanes.base_logprobs(batch)

    @torch.no_grad()
    def logprobs(self, lanes: SequenceLanes, batch: Batch, lane: int | None = None) -> Tensor:
        """[K, b, t], or [b, t] where lanes share both texts and reference; 0 where nothing is learnt.

        ``lane`` is the number of a single lane among those of the whole run; None: those that are running.
        """
        if self._theta is None or self._whole is None:
            return lanes.base_logprobs(batch)
        return lanes.token_logprobs(self._theta if lane is None else self._whole[lane : lane + 1], batch)

    def select(self, lanes: Tensor) -> None:
        """Go on with some lanes only."""
        self._theta = None if self._theta is None else self._theta[lanes]


def share(values: Tensor, batch: Batch) -> Tensor:
    """[K] a micro-batch's share of the mean over the items of a step, of values [K, n]."""
    return (values * batch.present).sum(-1) / batch.count
