"""Supervised fine-tuning: the answer's tokens are made likely, the prompt's are not learnt."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor

from llm_experts.training.loop.method import Method, MethodRecord, Need
from llm_experts.training.sequences.batch import Batch
from llm_experts.training.sequences.lanes import SequenceLanes


@dataclass(frozen=True)
class SFTOptions:
    """Supervised fine-tuning has no options."""


class SFT(Method):
    """Mean negative log-probability of the learnt tokens of a step."""

    needs: Need = "completion"

    def loss(self, lanes: SequenceLanes, theta: Tensor, batch: Batch) -> tuple[Tensor, Mapping[str, Tensor]]:
        """[K] this micro-batch's share of the mean over all learnt tokens of the step."""
        return -lanes.token_logprobs(theta, batch).sum((1, 2)) / batch.tokens, {}


def make(_options: SFTOptions) -> SFT:
    """The method."""
    return SFT()


METHOD = MethodRecord(
    name="sft",
    label="supervised fine-tuning",
    about="learns the given answers",
    needs="completion",
    options=SFTOptions,
    make=make,
)
