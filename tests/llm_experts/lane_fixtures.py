"""A synthetic task whose rows are packed as tokens directly: what lanes and objectives are tested on."""

from __future__ import annotations

import dataclasses
from typing import Any

import torch
from torch import Tensor

from llm_experts.decoder.lanes import AdapterLanes
from llm_experts.decoder.layout import Scope
from llm_experts.prompts.prompts import Packed
from llm_experts.reading.reader import Reader
from llm_experts.training.text_blocks import TaskTexts
from tasks.task import TaskView
from tests.experts.conftest import build_view
from tests.llm_experts.conftest import make_tiny_base

NO, YES = 7, 9
UNKNOWN = 299


class BinnedView(TaskView):
    """A view whose rows can be moved to a group without raw columns."""

    def moved_to(self, group: int) -> TaskView:
        assert self.flip is not None
        moved = torch.where(self.flip.mask, self.flip.values[group], self.features)
        return dataclasses.replace(self, features=moved)


class TokenPrompts:
    """Two tokens per column (its name and its binned value), and two tails that ask for the answer."""

    answer_ids = (NO, YES)

    def pack(self, view: TaskView, rows: Tensor, keep: Tensor | None = None) -> Packed:
        texts = [self._tokens(view, int(row), None if keep is None else keep[i]) for i, row in enumerate(rows)]
        width = max(len(ids) for ids, _ in texts) + 4
        shape = (len(texts), width)
        ids, positions = torch.zeros(shape, dtype=torch.int64), torch.zeros(shape, dtype=torch.int64)
        segment, columns = torch.full(shape, -1, dtype=torch.int8), torch.full(shape, -1, dtype=torch.int16)
        answers = torch.zeros(len(texts), 2, dtype=torch.int64)
        for i, (tokens, owners) in enumerate(texts):
            n = len(tokens)
            ids[i, : n + 4] = torch.tensor([*tokens, 290, 291, 292, 293])
            positions[i, : n + 4] = torch.tensor([*range(n), n, n + 1, n, n + 1])
            segment[i, : n + 4] = torch.tensor([0] * n + [1, 1, 2, 2])
            columns[i, :n] = torch.tensor(owners)
            answers[i] = torch.tensor([n + 1, n + 3])
        return Packed(ids, positions, segment, answers, columns)

    def _tokens(self, view: TaskView, row: int, keep: Tensor | None) -> tuple[list[int], list[int]]:
        tokens, owners = [], []
        for index, column in enumerate(view.columns):
            value = float(sum((k + 1) * float(view.features[row, j]) for k, j in enumerate(column.features)))
            word = 40 + 30 * index + int(torch.tensor(3 * value + 12).clamp(0, 24))
            long = index == 1 and value > 2  # some texts are longer than others
            said = [20 + index, UNKNOWN if keep is not None and not keep[index] else word, *([30] * long)]
            tokens += said
            owners += [index] * len(said)
        return tokens, owners


class TokenReader(Reader):
    """Reads the synthetic task."""

    def prompts(self, view: TaskView) -> Any:
        return TokenPrompts()

    def keys(self, view: TaskView, rows: Tensor, keep: Tensor | None = None) -> list[bytes]:
        return TokenPrompts().pack(view, rows, keep).keys()


def make_texts(
    rows: int = 160,
    start: int = -1,
    n_groups: int = 2,
    seed: int = 0,
    cache_bytes: int = 1 << 30,
    scope: Scope = "full",
    hidden: int = 64,
) -> TaskTexts:
    view = build_view(rows, numeric=3, n_groups=n_groups, seed=seed)
    view = BinnedView(**{f.name: getattr(view, f.name) for f in dataclasses.fields(view)})
    return TaskTexts(view, TokenReader(make_tiny_base(layers=2, hidden=hidden), start=start, scope=scope), cache_bytes)


def noisy_lanes(texts: TaskTexts) -> tuple[AdapterLanes, Tensor]:
    """Two lanes of LoRA, and weights a little beside those that they begin with."""
    found = AdapterLanes.fresh(texts.cut, (NO, YES), "lora", [4, 4], [1, 2])
    noise = torch.randn(found.start.shape, generator=torch.Generator().manual_seed(0))
    return found, found.start + 0.1 * noise
