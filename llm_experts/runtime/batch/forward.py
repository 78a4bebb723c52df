"""One forward pass of neighbouring rows; where it fails, row by row, so that one request never ends the others."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import Tensor

from llm_experts.bases.rope import texts_of
from llm_experts.decoder.walk import as_blocked
from llm_experts.runtime.batch.key_values import KeyValues, Window
from llm_experts.runtime.batch.row import VIRTUAL, Row
from llm_experts.runtime.resident import ResidentBase


class NotFiniteError(ArithmeticError):
    """Logits that are no numbers: weights too large, or an adapter that overflows."""


class Forward:
    """Forward passes of a resident base over rows of keys and values.

    Parameters
    ----------
    resident : ResidentBase
    key_values : KeyValues
    """

    def __init__(self, resident: ResidentBase, key_values: KeyValues) -> None:
        self._resident, self._key_values = resident, key_values
        self._model: Any = resident.base.model
        self._device = resident.base.device

    def read(self, rows: Sequence[Row], first: int, width: int) -> dict[Row, Exception]:
        """Read at most ``width`` tokens of each row's prompt; rows ``first`` and on. The rows that failed, and why."""
        finite: dict[Row, bool] = {}

        def run(some: Sequence[Row], place: int) -> None:
            finite.update(zip(some, self._read(some, place, width), strict=True))
            for row in some:
                row.filled += min(width, row.reading)

        failed = _each(run, rows, first)
        return failed | {row: NotFiniteError(_not_finite(row)) for row, sound in finite.items() if not sound}

    def answer(self, rows: Sequence[Row]) -> tuple[Tensor, dict[Row, Exception]]:
        """[n, words] float32 logits behind the last token of the first rows, but of those that failed."""
        found: dict[Row, Tensor] = {}

        def run(some: Sequence[Row], place: int) -> None:
            found.update(zip(some, self._answer(some, place), strict=True))

        failed = _each(run, rows, 0)
        logits = torch.stack(list(found.values())) if found else torch.empty(0, 0)
        sound = _finite(logits)
        for row, finite in zip(found, sound, strict=True):
            if finite:
                row.filled += 1
            else:
                failed[row] = NotFiniteError(_not_finite(row))
        return (logits if all(sound) else logits[torch.tensor(sound)]), failed

    @torch.no_grad()
    def _read(self, rows: Sequence[Row], first: int, width: int) -> list[bool]:
        """Whether all that was computed of a row, padding included, is a number."""
        width = min(width, max(row.reading for row in rows))
        window = self._key_values.window(first, [row.filled for row in rows], width)
        parts = [row.tokens[row.filled : row.filled + min(width, row.reading)] for row in rows]
        ids = torch.tensor([[max(id, 0) for id in part] + [0] * (width - len(part)) for part in parts])
        embedded = self._model.get_input_embeddings()(ids.to(self._device))
        for index, (row, part) in enumerate(zip(rows, parts, strict=True)):
            virtual = part.count(VIRTUAL)
            if virtual:
                start = row.filled - row.prefix.cached
                embedded[index, :virtual] = row.prefix.embeddings[start : start + virtual]
        with self._on(rows):
            hidden = self._model.get_decoder()(inputs_embeds=embedded, **self._options(window, rows)).last_hidden_state
        return _finite(hidden.flatten(1))

    @torch.no_grad()
    def _answer(self, rows: Sequence[Row], first: int) -> Tensor:
        window = self._key_values.window(first, [row.filled for row in rows], 1)
        ids = torch.tensor([[row.tokens[-1]] for row in rows], device=self._device)
        with self._on(rows):
            logits = self._model(input_ids=ids, logits_to_keep=1, **self._options(window, rows)).logits
        return logits[:, -1].float()  # type: ignore[no-any-return]

    @contextmanager
    def _on(self, rows: Sequence[Row]) -> Iterator[None]:
        """Within, row i of the batch is that of ``rows[i]``."""
        with ExitStack() as stack:
            stack.enter_context(self._resident.run([row.generation.composition for row in rows]))
            if self._resident.base.rope_scaling is not None:
                stack.enter_context(texts_of(torch.tensor([row.need for row in rows])))
            yield

    def _options(self, window: Window, rows: Sequence[Row]) -> dict[str, Any]:
        allowed = window.allowed()
        if self._model.config._attn_implementation != "sdpa":
            allowed = as_blocked(allowed, self._model.dtype)
        last = torch.tensor([len(row.tokens) - 1 for row in rows], device=self._device)
        positions = torch.minimum(window.positions, last[:, None])  # padding has none of its own
        return {"attention_mask": allowed, "position_ids": positions, "past_key_values": window, "use_cache": True}


def _each(run: Callable[[Sequence[Row], int], None], rows: Sequence[Row], first: int) -> dict[Row, Exception]:
    """Run all rows at once; if that fails, one after the other. Writing a row's keys and values twice does no harm."""
    try:
        run(rows, first)
    except Exception as error:  # noqa: BLE001 - the boundary between requests: run alone, the one at fault is told
        if len(rows) == 1:
            return {rows[0]: error}
        return {row: why for index, row in enumerate(rows) for row, why in _each(run, [row], first + index).items()}
    return {}


def _finite(numbers: Tensor) -> list[bool]:
    """[rows] of [rows, n]."""
    found: list[bool] = numbers.isfinite().all(-1).tolist()
    return found


def _not_finite(row: Row) -> str:
    names = ", ".join(f"{name}={weight:g}" for name, weight in row.generation.composition.parts) or "the base"
    return f"What {names} computes is no number; give smaller weights, or check the set with `fairmoe llm check`."
