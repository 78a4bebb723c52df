"""What a policy is measured against: the adapter that its training started with, or the base itself."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from llm_experts.training.loop.batch import Batch
from llm_experts.training.loop.sequence_lanes import SequenceLanes

KEY = "reference"


class Reference:
    """Log-probabilities under the weights that training starts with.

    A fresh adapter of most kinds leaves the base as it is; the base's own log-probabilities are kept between epochs.
    """

    def __init__(self) -> None:
        self._theta: Tensor | None = None

    def start(self, lanes: SequenceLanes) -> None:
        """Take the lanes' first weights, unless they are a fresh adapter's that changes nothing."""
        self._theta = None if lanes.fresh_start else lanes.start.detach().clone()

    @torch.no_grad()
    def logprobs(self, lanes: SequenceLanes, batch: Batch) -> Tensor:
        """[K, b, t], or [b, t] where lanes share both texts and reference; 0 where nothing is learnt."""
        if self._theta is None:
            return lanes.base_logprobs(batch)
        return lanes.token_logprobs(self._theta, batch)

    def select(self, lanes: Tensor) -> None:
        """Go on with some lanes only."""
        self._theta = None if self._theta is None else self._theta[lanes]

    def state(self) -> dict[str, Tensor]:
        """The weights, if it is an adapter."""
        return {} if self._theta is None else {KEY: self._theta}

    def load(self, state: Mapping[str, Tensor]) -> None:
        """Go on from :meth:`state`."""
        self._theta = state.get(KEY)


def share(values: Tensor, batch: Batch) -> Tensor:
    """[K] a micro-batch's share of the mean over the items of a step, of values [K, n]."""
    return (values * batch.present).sum(-1) / batch.count
