"""Branches: texts that differ from a plain text in one phrase, run from that phrase on.

A causal decoder computes for the tokens before the changed phrase what it computed for the plain text. Their keys and
values are kept, in the frozen layers once and in the top once per expert, and only what follows is run. Exact up to the
rounding of sums in another order.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor

from llm_experts.decoder.layout import Layout, Pair
from llm_experts.prompts.batches import length_batches
from llm_experts.prompts.prompts import Packed


class Branches(NamedTuple):
    """Where m texts leave the plain texts that they share their beginning with.

    Attributes
    ----------
    source : [m] int64
        Which of the plain texts.
    shared : [m] int64
        How many tokens both begin with.
    reach : int
        At least the largest of these.
    ids : [m, S] int64
        Tokens behind these, right padded.
    layout : Layout
        Of these tokens; answers count from the first of them.
    """

    source: Tensor
    shared: Tensor
    reach: int
    ids: Tensor
    layout: Layout

    @property
    def lengths(self) -> Tensor:
        """[m] tokens behind the shared ones."""
        return self.layout.answers[:, 1] + 1

    def select(self, index: Tensor) -> Branches:
        """Some of the texts, padded no more than they need."""
        layout, shared = self.layout, self.shared[index]
        width = int((layout.answers[index, 1] + 1).max())
        cut = Layout(layout.positions[index, :width], layout.segment[index, :width], layout.answers[index])
        return Branches(self.source[index], shared, int(shared.max()), self.ids[index, :width], cut)

    def batches(self, tokens: int) -> Iterator[Tensor]:
        """Positions of all texts in batches of like length.

        A batch has at most ``tokens`` tokens with padding, and sees at most four times as many of plain texts.
        """
        order = torch.argsort(self.lengths, descending=True, stable=True)
        most = max(1, 4 * tokens // max(1, self.reach))
        return (order[batch] for batch in length_batches(self.lengths[order].tolist(), tokens, most))

    def shifted(self, count: int) -> Branches:
        """The same behind ``count`` virtual tokens that all texts share."""
        layout = self.layout._replace(positions=self.layout.positions + count)
        return self._replace(shared=self.shared + count, reach=self.reach + count, layout=layout)

    def to(self, device: torch.device) -> Branches:
        """The same on a device."""
        layout = Layout(*(part.to(device) for part in self.layout))
        moved = (part.to(device) for part in (self.source, self.shared, self.ids))
        return Branches(next(moved), next(moved), self.reach, next(moved), layout)

    def past(self, pair: Pair) -> Pair:
        """[m, kv_heads, reach, head_dim] keys and values of the plain texts, for each of these texts."""
        return Pair(*(part[:, :, : self.reach][self.source] for part in pair))

    def allowed(self) -> Tensor:
        """[m, 1, S, reach + S] bool: what each token sees of the plain text and of its own."""
        own, before = self.layout.allowed(), self._before()
        return torch.cat([before[:, None, None].expand(-1, 1, own.shape[2], -1), own], -1)

    def allowed_to_answers(self) -> Tensor:
        """[m, 2, reach + S] bool: what the answer tokens see."""
        return torch.cat([self._before()[:, None].expand(-1, 2, -1), self.layout.allowed_to_answers()], -1)

    def _before(self) -> Tensor:
        return torch.arange(self.reach, device=self.shared.device) < self.shared[:, None]


def branch_off(plain: Packed, texts: Packed, source: Tensor, most: Tensor | None = None) -> Branches:
    """What is left of texts [m] behind the tokens that they share with the plain texts at ``source`` [m].

    ``most`` [m] bounds how many tokens may count as shared.
    """
    width = min(plain.ids.shape[1], texts.ids.shape[1])
    same = (texts.ids[:, :width] == plain.ids[source, :width]) & (texts.segment[:, :width] == 0)
    shared = (same & (plain.segment[source, :width] == 0)).long().cumprod(1).sum(1)
    shared = shared if most is None else torch.minimum(shared, most)
    rest = texts.lengths - shared
    index = shared[:, None] + torch.arange(int(rest.max()), device=rest.device)
    padding = index >= texts.lengths[:, None]
    index = index.clamp(max=texts.ids.shape[1] - 1)

    def behind(tokens: Tensor, fill: int) -> Tensor:
        return torch.gather(tokens, 1, index).masked_fill(padding, fill)

    layout = Layout(behind(texts.positions, 0), behind(texts.segment, -1), texts.answers - shared[:, None])
    return Branches(source, shared, int(shared.max()), behind(texts.ids, 0), layout)
