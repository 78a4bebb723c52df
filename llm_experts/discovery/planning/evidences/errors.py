"""How a base errs: which kinds of wrong answers it prefers to the right one, by the probability that it gives them.

Wrong answers of different families have only their form in common, and that is what is counted: whether they are
shorter or longer than the right one, begin as it does, say its words in another order, are another number or label.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from llm_experts.bases.base import Base
from llm_experts.discovery.measuring.domain import Domain, Scenario, scenarios
from llm_experts.training.sequences.choices import choices_of
from llm_experts.training.sequences.lanes import SequenceLanes

NUMBER = re.compile(r"\s*[-+]?\d+(?:[.,]\d+)?\s*")
KINDS: dict[str, Callable[[str, str], bool]] = {
    "any": lambda _right, _wrong: True,
    "shorter": lambda right, wrong: len(wrong) < len(right),
    "longer": lambda right, wrong: len(wrong) > len(right),
    "same beginning": lambda right, wrong: right[:1] == wrong[:1],
    "same end": lambda right, wrong: right[-1:] == wrong[-1:],
    "same letters in another order": lambda right, wrong: sorted(right) == sorted(wrong),
    "a part of the right one": lambda right, wrong: wrong in right,
    "the right one and more": lambda right, wrong: right in wrong,
    "another number": lambda right, wrong: bool(NUMBER.fullmatch(right) and NUMBER.fullmatch(wrong)),
    "another word": lambda right, wrong: right.isalpha() and wrong.isalpha(),
}
"""Kinds of wrong answers: ``kind(right, wrong)``."""


def error_vectors(
    base: Base,
    domains: Sequence[Domain],
    *,
    items: int,
    block: int,
    seed: int = 0,
    progress: Callable[[int, int, str], None] | None = None,
) -> NDArray[np.float32]:
    """[D, blocks, kinds] probability that a block's items give each kind of wrong answer, less the mean of all domains.

    Each kind is scaled to a standard deviation of 1 over all blocks. Arguments as of
    :func:`llm_experts.discovery.planning.evidences.gradients.gradient_vectors`.
    """
    lanes = SequenceLanes.bare(base, base.n_layers - 1)
    found = []
    for place, domain in enumerate(domains):
        told = scenarios([domain], "capability", items, seed)
        counts = _counts(base, lanes, told)[: len(told) // block * block]
        found.append(counts.reshape(-1, block, len(KINDS)).mean(1))
        if progress is not None:
            progress(place + 1, len(domains), domain.name)
    each = np.stack(found)
    spread = each.std((0, 1))
    return ((each - each.mean((0, 1))) / np.where(spread > 0, spread, 1)).astype(np.float32)  # type: ignore[no-any-return]


def _counts(base: Base, lanes: SequenceLanes, told: Sequence[Scenario]) -> NDArray[np.float64]:
    """[n, kinds] probability of wrong answers of each kind."""
    choices = choices_of(base, told)
    among = choices.base_logprobs(lanes).softmax(-1)
    made = np.zeros((len(told), len(KINDS)))
    for row, item in enumerate(told):
        right, *wrong = item.answers
        for column, kind in enumerate(KINDS.values()):
            these = torch.tensor([False, *(kind(right, answer) for answer in wrong)])
            made[row, column] = float(among[row, : len(these)][these].sum())
    return made
