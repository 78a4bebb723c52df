"""Rows of a task as what enters the top: hidden states of texts, computed once for all experts, lanes and trials."""

from __future__ import annotations

import copy
import logging
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from llm_experts.decoder.layout import TopInput
from llm_experts.prompts.prompts import Packed, packed_batches, pad

if TYPE_CHECKING:
    from llm_experts.decoder.program import Adapter
    from llm_experts.reading.reader import Reader
    from tasks.task import TaskView

log = logging.getLogger(__name__)

LOWER_TOKENS = {False: 1 << 14, True: 1 << 10}
"""Padded tokens that go through the lower layers at once; of a wide base on a CPU (True) so few that no tensor is too
large for the allocator to keep (32 MiB), as memory that comes anew from the system costs more than the products."""
CACHE_BYTES = 1 << 30
"""States of a task's texts that are kept in memory: what lies above is read or computed anew for every batch."""


class TextBlock:
    """Some texts, in a fixed order, of which batches are taken.

    Parameters
    ----------
    reader : Reader
        Gives what enters the top.
    packed : Packed
    keep : bool
        Keep states in memory; else every batch reads them from disk (of a wide base) or computes them anew.
    """

    def __init__(self, reader: Reader, packed: Packed, keep: bool) -> None:
        self._reader, self._entry = reader, reader.entry
        self._packed = packed.to(reader.base.device)
        self.lengths = packed.lengths.cpu()
        self._hidden = self._all_hidden() if keep else None

    def __len__(self) -> int:
        """Number of texts."""
        return len(self._packed)

    def take(self, index: Tensor) -> TopInput:
        """Texts at positions ``index`` [n]."""
        some = self._packed.select(index.to(self._packed.ids.device)).trimmed()
        if self._hidden is None:
            return self._entry.given(some, self._reader.stored_states(some))
        return self._entry.given(some, self._hidden[index.to(some.ids.device), : some.ids.shape[1]])

    def select(self, index: Tensor) -> TextBlock:
        """Some of the texts as a block of their own."""
        chosen = copy.copy(self)
        chosen._packed, chosen.lengths = self._packed.select(index.to(self._packed.ids.device)), self.lengths[index]
        chosen._hidden = None if self._hidden is None else self._hidden[index.to(self._hidden.device)]
        return chosen

    def batches(self, tokens: int) -> list[Tensor]:
        """Positions of all texts in batches of at most ``tokens`` padded tokens, texts of like length together."""
        return list(packed_batches(self._packed, tokens))

    def _all_hidden(self) -> Tensor:
        base = self._entry.cut.base
        shape = (*self._packed.ids.shape, self._entry.width)
        found = torch.zeros(shape, dtype=base.model.dtype, device=self._packed.ids.device)
        for batch in self.batches(LOWER_TOKENS[base.wide and base.device.type == "cpu"]):
            part = self._reader.stored_states(self._packed.select(batch).trimmed())
            found[batch, : part.shape[1]] = part
        return found


class TaskTexts:
    """The texts of a task as a reader reads them; blocks are made once and shared by all roles.

    Parameters
    ----------
    view : TaskView
    reader : Reader
        Base, template, and the layer at which adapters begin.
    cache_bytes : int
        States of all blocks together; what does not fit is read from disk or computed anew for every batch.
    """

    def __init__(self, view: TaskView, reader: Reader, cache_bytes: int = CACHE_BYTES) -> None:
        self.view, self.reader, self.cut = view, reader, reader.cut
        self.prompts = reader.prompts(view)
        self._left = cache_bytes
        self._blocks: dict[tuple[str, bytes], TextBlock] = {}
        self._masses: dict[bytes, float] = {}

    def rows(self, rows: Tensor) -> TextBlock:
        """Texts of rows [r]."""
        return self._block("rows", rows, lambda: self.prompts.pack(self.view, rows))

    def moved(self, rows: Tensor, groups: Tensor) -> TextBlock:
        """Texts of rows [r] with the sensitive columns set to those of ``groups`` [r]."""
        order = torch.argsort(groups, stable=True)

        def pack() -> Packed:
            present = sorted(set(groups.tolist()))
            parts = [self.prompts.pack(self.view.moved_to(group), rows[groups == group]) for group in present]
            return pad(parts).select(torch.argsort(order))

        return self._block(f"moved to {groups.tolist()}", rows, pack)

    def masked(self, rows: Tensor) -> TextBlock:
        """[r · c] texts of rows [r], each with one of the c columns unknown: those of the first row first."""
        each, keep = self._masks(len(rows))
        return self._block("masked", rows, lambda: self.prompts.pack(self.view, rows[each], keep))

    def _masks(self, rows: int) -> tuple[Tensor, Tensor]:
        """[r · c] positions of rows, and [r · c, c] what is kept of them: all but one column each."""
        count = len(self.view.columns)
        return torch.arange(rows).repeat_interleave(count), ~torch.eye(count, dtype=torch.bool).repeat(rows, 1)

    @property
    def branches(self) -> bool:
        """Whether texts with a column unknown are read from that column on: worth it where reading is most of it."""
        return self.cut.base.wide

    def masked_margins(self, adapters: Sequence[Adapter], rows: Tensor) -> Tensor:
        """[K, r · c] float64 margins of the texts of :meth:`masked`; what they share with the rows is read once."""
        each, keep = self._masks(len(rows))
        plain, texts = self.prompts.pack(self.view, rows), self.prompts.pack(self.view, rows[each], keep)
        return self.reader.ask_branches(adapters, self.prompts.answer_ids, plain, texts, each)[1].double()

    def base_mass(self, rows: Tensor) -> float:
        """Mean probability that the base itself has on the two answers to rows [r]."""
        key = rows.numpy().tobytes()
        if key not in self._masses:
            self._masses[key] = float(self.reader.answer_mass([None], self.view, rows).mean())
        return self._masses[key]

    def _block(self, what: str, rows: Tensor, pack: Callable[[], Packed]) -> TextBlock:
        key = (what, rows.numpy().tobytes())
        if key not in self._blocks:
            packed, base = pack(), self.cut.base
            entry = self.reader.entry
            size = packed.ids.numel() * entry.width * base.model.dtype.itemsize
            keep = entry.kept and size <= self._left
            if entry.kept and not keep:
                log.info("Hidden states of %d texts (%d MiB) do not fit in the cache.", len(packed), size >> 20)
            self._left -= size if keep else 0
            self._blocks[key] = TextBlock(self.reader, packed, keep)
        return self._blocks[key]
