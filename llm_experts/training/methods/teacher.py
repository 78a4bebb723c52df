"""A larger model that is learnt from: what it thinks of every token of an answer."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from llm_experts.adapters.store import check_base, read_adapter
from llm_experts.bases.base import Base
from llm_experts.bases.load import load_base
from llm_experts.decoder.program import Adapter
from llm_experts.training.loop.settings import SettingsError
from llm_experts.training.sequences.batch import Batch
from llm_experts.training.sequences.lanes import SequenceLanes

BYTES = 1 << 30
"""Logits that are kept: a token's are as many floats as the vocabulary has words (nano 7 KB, SmolLM2 192 KB)."""


def adapter_folder(given: str) -> Path:
    """Folder of an adapter, or that of the one in an expert's folder."""
    folder = Path(given).expanduser()
    return folder / "adapter" if (folder / "adapter").is_dir() else folder


class Teacher:
    """Logits of a base, with or without an adapter, exact and kept for the next epoch as far as there is room.

    Parameters
    ----------
    base : Base
    adapter : Adapter, optional
    memory : int
        Bytes of logits that are kept.
    """

    def __init__(self, base: Base, adapter: Adapter | None = None, memory: int = BYTES) -> None:
        self._base, self._room, self._with_adapter = base, memory, adapter is not None
        if adapter is None:
            self._lanes = SequenceLanes.bare(base)
        else:
            self._lanes = SequenceLanes.of(base, [adapter])
        self._kept: dict[bytes, Tensor] = {}

    @classmethod
    def load(cls, id: str, adapter: str = "", memory: int = BYTES) -> Teacher:
        """A base by its id or folder, with the adapter of a folder.

        Raises
        ------
        BaseError, AdapterError
            If one of them cannot be had, or they do not belong together.
        """
        base = load_base(id)
        if not adapter:
            return cls(base, None, memory)
        folder = adapter_folder(adapter)
        saved = read_adapter(folder)
        check_base(saved, base, folder)
        return cls(base, Adapter(saved.config, saved.state), memory)

    def check(self, student: Base) -> None:
        """Raise :class:`SettingsError` unless teacher and student have the same tokens."""
        own, other = (_vocabulary(base) for base in (self._base, student))
        if own == other:
            return
        odd = sorted(word for word in own.keys() | other.keys() if own.get(word) != other.get(word))
        raise SettingsError(
            f"The teacher {self._base.id} does not have the tokens of {student.id}: {len(odd)} of "
            f"{len(own.keys() | other.keys())} differ, first {odd[0]!r}. Logits can only be compared token by token; "
            "take a teacher of the same family, or let it write answers and learn these with the method sft."
        )

    @torch.no_grad()
    def answers(self, batch: Batch) -> tuple[Tensor, Tensor, Tensor]:
        """What the teacher thinks at the learnt tokens of a batch.

        Returns
        -------
        logits : [m, V], or [K, m, V] where lanes have texts of their own
        told : [m] or [K, m] int64
            The learnt tokens.
        real : bool, of the same shape
            Which are no fillers.
        """
        ids, learnt, positions, segments = (
            x.reshape(-1, x.shape[-1]) for x in (batch.ids, batch.learnt, batch.positions, batch.segments)
        )
        logits = self._rows(replace(batch, ids=ids, learnt=learnt, positions=positions, segments=segments))
        told = [row[own] for row, own in zip(ids, learnt, strict=True)]
        lanes = 1 if batch.shared else len(batch.ids)
        per = len(ids) // lanes
        whole = [torch.cat(logits[lane * per : (lane + 1) * per]) for lane in range(lanes)]
        words = [torch.cat(told[lane * per : (lane + 1) * per]) for lane in range(lanes)]
        real = [torch.ones_like(row, dtype=torch.bool) for row in words]
        if batch.shared:
            return whole[0], words[0], real[0]
        return tuple(pad_sequence(part, batch_first=True) for part in (whole, words, real))  # type: ignore[return-value]

    def _rows(self, batch: Batch) -> list[Tensor]:
        """Logits [m_i, V] of every row."""
        ends = batch.lengths.tolist()
        about = torch.stack([batch.ids, batch.learnt.long(), batch.segments], 1).cpu()
        keys = [told[:, :end].numpy().tobytes() for told, end in zip(about, ends, strict=True)]
        if all(key in self._kept for key in keys):
            return [self._kept[key] for key in keys]
        lanes = self._lanes
        found = lanes.logits(lanes.start, batch)[0] if self._with_adapter else lanes.base_logits(batch)
        rows = list(torch.split(found, batch.learnt.sum(-1).tolist()))
        for key, row in zip(keys, rows, strict=True):
            size = row.numel() * row.element_size()
            if key not in self._kept and size <= self._room:
                self._kept[key] = row.clone()
                self._room -= size
        return rows


def _vocabulary(base: Base) -> dict[str, int]:
    tokenizer: Any = base.tokenizer
    return dict(tokenizer.get_vocab())
