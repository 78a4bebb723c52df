"""What lanes of experts make of items: right answers, surprise, preferred answers of pairs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from benchmarks.studies.parts.statistics import Values

if TYPE_CHECKING:
    from llm_experts.data.example import Example
    from llm_experts.families.family import Family
    from llm_experts.training.loop.method import Need
    from llm_experts.training.sequences.lanes import SequenceLanes


def correctness(family: Family) -> Callable[[Example, str], float]:
    """Judge of answers by the family's checker alone, without partial credit: 1 where right, else 0."""
    return lambda example, answer: float(family.check(example, answer).correct)


def right(lanes: SequenceLanes, family: Family, examples: Sequence[Example]) -> Values:
    """[K, n] 1 where the most likely answer of a lane is right, by the family's checker."""
    from llm_experts.data.encoding import all_stops, prompt_ids

    prompts = [prompt_ids(example, lanes.base) for example in examples]
    stop = all_stops(examples, lanes.base)
    answers = lanes.sample(lanes.start, prompts, max_new_tokens=family.longest_answer, stop=stop)
    return np.array(
        [
            [family.check(example, said.text).correct for example, said in zip(examples, lane, strict=True)]
            for lane in answers
        ],
        dtype=np.float64,
    )


def surprise(lanes: SequenceLanes, examples: Sequence[Example]) -> Values:
    """[K, n] mean negative log-probability of a token of the given answer, in nats."""
    (found,) = _answers(lanes, examples, "completion")
    return found


def preferred(lanes: SequenceLanes, pairs: Sequence[Example]) -> Values:
    """[K, n] 1 where the preferred answer of a pair is likelier than the other, ½ in a tie."""
    chosen, rejected = _answers(lanes, pairs, "pair", whole=True)
    return (np.sign(rejected - chosen) + 1) / 2


def _answers(
    lanes: SequenceLanes, examples: Sequence[Example], need: Need, *, whole: bool = False
) -> tuple[Values, ...]:
    """Negative log-probabilities [K, n] of the answers of items, of whole answers or per token."""
    import torch

    from llm_experts.training.loop.order import items_of, micro_batches
    from llm_experts.training.loop.settings import Settings

    items = items_of(examples, lanes.base, Settings(), need)
    parts = len(items[0].parts)
    found = np.zeros((parts, len(lanes), len(items)))
    with torch.no_grad():
        for batch in micro_batches([items], lanes.base.device):
            each = -lanes.token_logprobs(lanes.start, batch).double().sum(-1)
            each = each if whole else each / batch.learnt.sum(-1)
            for part, values in enumerate(each.chunk(parts, -1)):
                found[part][:, batch.rows.numpy()] = values.numpy()
    return tuple(found)
