"""Where learning a domain would move an adapter: gradients of log P(right | listed) at the untrained adapter.

An adapter that is not trained leaves the base as it is, so that its gradient says what the base lacks: of LoRA that
with respect to B, as A's is 0 while B is 0 (A is drawn from the seed and the same for all domains), of SVF that with
respect to the multipliers of the singular values. Domains whose gradients point the same way can be learnt together.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from foundation.seeding import torch_generator
from llm_experts.bases.base import Base
from llm_experts.discovery.measuring.domain import Domain, Scenario, scenarios
from llm_experts.training.sequences.batch import collate
from llm_experts.training.sequences.choices import choices_of
from llm_experts.training.sequences.lanes import SequenceLanes

MOST_NUMBERS = 1 << 16
"""Numbers of a block's gradient that are kept; longer ones are folded by a count sketch to as many."""


def gradient_vectors(
    base: Base,
    domains: Sequence[Domain],
    *,
    items: int,
    block: int,
    seed: int = 0,
    kind: str = "lora",
    rank: int | None = None,
    start: int = 0,
    progress: Callable[[int, int, str], None] | None = None,
) -> NDArray[np.float32]:
    """[D, blocks, p] mean gradient of each block of items.

    Parameters
    ----------
    base : Base
    domains : sequence of Domain
    items, block : int
        Items of a domain, and of a block; a rest is left out.
    seed : int
        Of the items and of the adapter's first weights.
    kind, rank, start
        Of the adapter (:meth:`llm_experts.training.sequences.lanes.SequenceLanes.fresh`).
    progress : callable, optional
        ``progress(done, total, domain)``.

    Notes
    -----
    With p above 65 536 a count sketch (Charikar, Chen and Farach-Colton 2002) keeps inner products in expectation, with
    a standard error of about 1/256 of the product of the norms.
    """
    lanes = SequenceLanes.fresh(base, kind, [rank], [seed], start=start)
    fold = _Fold(lanes.parameter_count, seed)
    found = []
    for place, domain in enumerate(domains):
        told = scenarios([domain], "capability", items, seed)
        blocks = [told[at : at + block] for at in range(0, len(told) - block + 1, block)]
        found.append(torch.stack([fold(_gradient(base, lanes, part)) for part in blocks]))
        if progress is not None:
            progress(place + 1, len(domains), domain.name)
    return torch.stack(found).numpy()


def _gradient(base: Base, lanes: SequenceLanes, told: Sequence[Scenario]) -> Tensor:
    """[P] gradient of the mean of log P(right | listed)."""
    choices = choices_of(base, told)
    theta = lanes.start.clone().requires_grad_()
    batch = collate([choices.rows], base.device)
    placed = choices.by_answer(lanes.token_logprobs(theta, batch)[0], batch)
    (placed[:, 0] - placed.logsumexp(-1)).mean().backward()  # type: ignore[no-untyped-call]
    assert theta.grad is not None
    return theta.grad[0].cpu()


class _Fold:
    """A count sketch of vectors [P], or the vectors themselves where they are short."""

    def __init__(self, length: int, seed: int) -> None:
        self._folds = length > MOST_NUMBERS
        if self._folds:
            generator = torch_generator(seed, "gradient sketch")
            self._places = torch.randint(MOST_NUMBERS, (length,), generator=generator)
            self._signs = torch.randint(2, (length,), generator=generator).float() * 2 - 1

    def __call__(self, vector: Tensor) -> Tensor:
        if not self._folds:
            return vector
        return vector.new_zeros(MOST_NUMBERS).index_add(0, self._places, vector * self._signs)
