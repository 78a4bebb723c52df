"""Continuous batching: requests join and leave the batch between two tokens, each with its own experts and settings.

A step reads one piece of every prompt that is not read yet (so that a long one does not stop the others) and then one
token of every answer. The last token of a prompt is the first that answers: a prompt is read up to it, and no logits
are computed that nobody asks for.

Rows that answer stand ahead of those that still read, so that both are neighbours in the array of keys and values and
the library's layers see them without a copy (:mod:`llm_experts.runtime.batch.key_values`). A row that leaves is
replaced by the last one.
"""

from __future__ import annotations

import time
from collections import OrderedDict, deque
from collections.abc import Sequence
from contextlib import ExitStack
from typing import Any

from torch import Tensor

from llm_experts.bases.identify import base_key
from llm_experts.prompts.chat import chat_stops, encode_chat, encode_prompt
from llm_experts.runtime.batch.drawing import Chooser, draw, logprobs
from llm_experts.runtime.batch.forward import Forward
from llm_experts.runtime.batch.key_values import KeyValues
from llm_experts.runtime.batch.prefix_cache import BLOCK, PrefixCache, joined
from llm_experts.runtime.batch.row import Row
from llm_experts.runtime.generation import Generation, GeneratorStats, Piece, TooLongError
from llm_experts.runtime.length import check_length
from llm_experts.runtime.resident import ResidentBase, SlotsFullError

__all__ = [
    "Generation",
    "Generator",
    "GeneratorStats",
    "Piece",
    "TooLongError",
    "chat_stops",
    "check_length",
    "encode_chat",
    "encode_prompt",
]

CHUNK = 256
"""Tokens of prompts that a step reads, padding included."""
REMEMBERED = 4096
"""Finished requests whose times are kept."""
SPARE = 2**28
"""Bytes of keys and values that an empty batch keeps allocated."""


class Generator:
    """Generates the answers of many requests at once. All calls come from one thread, but for ``add`` and ``cancel``.

    Parameters
    ----------
    resident : ResidentBase
    max_rows : int
        Requests in the batch at once.
    max_tokens : int, optional
        Rows times the tokens of the longest, prompt and answer: bounds the memory of keys and values. By default 512
        per row, and never less than the base's context.
    prefix_cache_mb : int
        Memory for keys and values of earlier prompts, in MiB; 0 keeps none.
    chunk : int
        Tokens of prompts that a step reads.
    """

    def __init__(
        self,
        resident: ResidentBase,
        *,
        max_rows: int = 16,
        max_tokens: int | None = None,
        prefix_cache_mb: int = 64,
        chunk: int = CHUNK,
    ) -> None:
        self.resident, self.base = resident, resident.base
        self.max_rows, self.chunk = max_rows, chunk
        self.max_tokens = max(self.base.context, 512 * max_rows) if max_tokens is None else max_tokens
        self._ends, self._words = self.base.end_tokens, _words(self.base.model)
        self._key_values, self._prefixes = KeyValues(self.base), PrefixCache(prefix_cache_mb * 2**20)
        self._forward = Forward(resident, self._key_values)
        self._root = "|".join(base_key(self.base).values())
        self._waiting: deque[tuple[Generation, float]] = deque()
        self._to_cancel: deque[str] = deque()
        self._answering: list[Row] = []
        self._reading: list[Row] = []
        self._times: OrderedDict[str, dict[str, float]] = OrderedDict()
        self._tokens = self._hits = self._saved = 0

    @property
    def idle(self) -> bool:
        """Whether a step would do nothing."""
        return not (self._waiting or self._to_cancel or self._answering or self._reading)

    @property
    def limit(self) -> int:
        """Most tokens of prompt, virtual tokens and answer together."""
        return min(self.base.context, self.max_tokens)

    @property
    def stats(self) -> GeneratorStats:
        """What it is doing."""
        return GeneratorStats(
            rows=len(self._answering) + len(self._reading),
            waiting=len(self._waiting),
            tokens=self._tokens,
            prefix_hits=self._hits,
            prefix_tokens=self._saved,
            cache_bytes=self._key_values.bytes,
            prefix_bytes=self._prefixes.bytes,
        )

    def add(self, generation: Generation) -> None:
        """Put a request behind those that wait; any thread may.

        Raises
        ------
        TooLongError
            If the prompt leaves no room for an answer.
        ValueError
            If the prompt is empty or has a token that the base does not know.
        """
        self._check_length(generation, 0)
        unknown = [token for token in generation.prompt if not 0 <= token < self._words]
        if unknown or not generation.prompt:
            what = f"has a token {unknown[0]}, and {self.base.id} knows {self._words}" if unknown else "is empty"
            raise ValueError(f"The prompt {what}; encode the text with the base's tokenizer.")
        self._waiting.append((generation, time.perf_counter()))

    def cancel(self, id: str) -> None:
        """End a request: the next step frees its row before it computes anything; any thread may."""
        self._to_cancel.append(id)

    def forget(self) -> None:
        """Drop what is kept of earlier prompts."""
        self._prefixes.clear()

    def timing(self, id: str) -> dict[str, float]:
        """Seconds of a request that has ended lately, or runs: ``queue``, ``load``, ``prefill`` and ``decode``.

        Raises
        ------
        KeyError
            If there is no such request, or it waits.
        """
        return dict(self._times[id])

    def step(self) -> list[Piece]:
        """Admit who waits, read a piece of every new prompt and one token of every answer.

        Returns
        -------
        list of Piece
            One for every row that said something, and the last one of every request that ended.
        """
        pieces = self._cancel()
        pieces += self._admit()
        if self._reading:
            pieces += self._read()
        if self._answering:
            pieces += self._answer()
        return pieces

    # -- joining and leaving ------------------------------------------------------------------------------------------

    def _cancel(self) -> list[Piece]:
        pieces = []
        while self._to_cancel:
            id = self._to_cancel.popleft()
            for row in [row for row in (*self._answering, *self._reading) if row.generation.id == id]:
                pieces.append(row.end("cancelled"))
                self._leave(row)
            for generation, since in [waiting for waiting in list(self._waiting) if waiting[0].id == id]:
                self._waiting.remove((generation, since))
                self._note(id, time.perf_counter() - since)
                pieces.append(Piece(id, "", (), (), "cancelled"))
        return pieces

    def _admit(self) -> list[Piece]:
        pieces = []
        while self._waiting and len(self._answering) + len(self._reading) < self.max_rows:
            generation, since = self._waiting[0]
            if not self._has_room(generation):
                break
            try:
                row = self._row(generation, since)
            except SlotsFullError as error:
                if not error.permanent and (self._answering or self._reading):  # those that run give slots back
                    break
                pieces.append(self._refused(generation, error))
            except Exception as error:  # noqa: BLE001 - the boundary between requests: this one is told
                pieces.append(self._refused(generation, error))
            else:
                self._waiting.popleft()
                self._join(row)
        return pieces

    def _refused(self, generation: Generation, error: Exception) -> Piece:
        _, since = self._waiting.popleft()
        self._note(generation.id, time.perf_counter() - since)
        return Piece(generation.id, "", (), (), "error", error)

    def _note(self, id: str, queue: float, load: float = 0.0) -> None:
        """Start the times of a request; those of the oldest are forgotten."""
        self._times[id] = {"queue": queue, "load": load, "prefill": 0.0, "decode": 0.0}
        while len(self._times) > REMEMBERED + self.max_rows:
            self._times.popitem(last=False)

    def _has_room(self, generation: Generation) -> bool:
        rows = [*self._answering, *self._reading]
        need = min(len(generation.prompt) + generation.sampling.max_new_tokens, self.limit)
        return not rows or (len(rows) + 1) * max(need, *(row.need for row in rows)) <= self.max_tokens

    def _row(self, generation: Generation, since: float) -> Row:
        """The request with its adapters loaded."""
        start, sampling = time.perf_counter(), generation.sampling
        with ExitStack() as stack:
            stack.enter_context(self.resident.lease([generation.composition]))
            prefix = self.resident.prefix(generation.composition)
            left = self._check_length(generation, prefix.length)
            chooser = Chooser(sampling, generation.prompt, self._words, self.base.device)
            limit, key = min(sampling.max_new_tokens, left), self.resident.fingerprint(generation.composition)
            row = Row(generation, prefix, limit, self._ends, chooser, self._text, stack.pop_all(), key)
        self._note(generation.id, start - since, row.started - start)
        return row

    def _join(self, row: Row) -> None:
        """Give the request the row behind all others, with what is known of its beginning."""
        place = len(self._answering) + len(self._reading)
        self._reading.append(row)
        blocks = self._prefixes.find(self._root_of(row), row.tokens, len(row.tokens) - 1)
        known = len(blocks) * BLOCK
        if known:
            self._hits += 1
            self._saved += known
        learnt = row.prefix.keys_and_values
        self._reserve(max(known, row.prefix.length))
        if learnt is not None:
            self._key_values.write(place, 0, learnt.transpose(2, 3))
        if blocks:
            self._key_values.write(place, 0, joined(blocks))
        row.filled = max(known, row.prefix.cached)
        if not row.reading:
            self._read_whole(row)

    def _leave(self, row: Row) -> None:
        """Close the gap that a row leaves with the last of its kind, and that one's with the last row."""
        if row in self._answering:
            place, last = self._answering.index(row), self._answering.pop()
            if last is not row:
                self._key_values.move(len(self._answering), place, last.filled)
                self._answering[place] = last
            if self._reading:
                hole = len(self._answering)
                self._key_values.move(hole + len(self._reading), hole, self._reading[-1].filled)
                self._reading.insert(0, self._reading.pop())
        else:
            place, last = self._reading.index(row), self._reading.pop()
            if last is not row:
                first = len(self._answering)
                self._key_values.move(first + len(self._reading), first + place, last.filled)
                self._reading[place] = last
        row.lease.close()
        if not (self._answering or self._reading) and self._key_values.bytes > SPARE:
            self._key_values.release()

    def _read_whole(self, row: Row) -> None:
        """A row that has read its prompt goes behind those that answer."""
        place, first = self._reading.index(row), self._reading[0]
        start = len(self._answering)
        self._key_values.swap(start, start + place, max(first.filled, row.filled))
        self._reading[place] = first
        self._reading.pop(0)
        self._answering.append(row)
        row.decoding_since = time.perf_counter()
        self._times[row.generation.id]["prefill"] = row.decoding_since - row.started

    # -- computing ----------------------------------------------------------------------------------------------------

    def _read(self) -> list[Piece]:
        rows = list(self._reading)
        width = min(max(row.reading for row in rows), max(1, self.chunk // len(rows)))
        self._reserve(width)
        failed = self._forward.read(rows, len(self._answering), width)
        pieces = self._failed(failed)
        for row in [row for row in rows if row not in failed and not row.reading]:
            self._read_whole(row)
            self._remember(row, len(self._answering) - 1)
        return pieces

    def _answer(self) -> list[Piece]:
        rows = list(self._answering)
        self._reserve(1)
        logits, failed = self._forward.answer(rows)
        going = [row for row in rows if row not in failed]
        pieces, ended = [], []
        if going:
            tokens = draw(logits, [row.chooser for row in going])
            for index, (row, token) in enumerate(zip(going, tokens, strict=True)):
                piece = row.say(token, self._logprob(row, logits[index], token))
                self._tokens += len(piece.tokens)
                self._times[row.generation.id]["decode"] = time.perf_counter() - row.decoding_since
                pieces.append(piece)
                if piece.finish is not None:
                    ended.append(row)
        for row in ended:
            self._remember(row, self._answering.index(row))
            self._leave(row)
        return pieces + self._failed(failed)

    def _failed(self, failed: dict[Row, Exception]) -> list[Piece]:
        pieces = []
        for row, error in failed.items():
            pieces.append(row.end("error", error))
            self._leave(row)
        if failed:  # what they leave may be no numbers, which spoil the row that comes there
            self._key_values.wipe([row.filled for row in (*self._answering, *self._reading)])
        return pieces

    def _reserve(self, width: int) -> None:
        rows = [*self._answering, *self._reading]
        self._key_values.reserve(len(rows), max(row.filled for row in rows) + width)

    def _remember(self, row: Row, place: int) -> None:
        missing = self._prefixes.missing(self._root_of(row), row.tokens[: row.filled])
        read = self._key_values.read
        self._prefixes.keep([(key, read(place, start, start + BLOCK)) for start, key in missing])

    def _root_of(self, row: Row) -> str:
        """What decides its keys and values beside the tokens; a dynamic scaling goes by the length of a longer text."""
        scaling, context = self.base.rope_scaling, self.base.model.config.max_position_embeddings
        by_length = scaling is not None and scaling.kind == "dynamic" and row.need > context
        return f"{self._root}|{row.fingerprint}" + (f"|{row.need}" if by_length else "")

    def _logprob(self, row: Row, logits: Tensor, token: int) -> Any:
        count = row.generation.sampling.logprobs
        return None if count is None else logprobs(logits, token, count, lambda id: self._raw_text([id]))

    def _check_length(self, generation: Generation, virtual: int) -> int:
        """Room for the answer."""
        used = virtual + len(generation.prompt)
        if used >= self.limit:
            ahead = f" behind {virtual} virtual tokens" if virtual else ""
            raise TooLongError(
                f"The prompt has {len(generation.prompt)} tokens{ahead}, and {self.base.id} takes {self.limit} with "
                f"the answer; shorten it to {max(self.limit - 1 - virtual, 0)} tokens or fewer."
            )
        return self.limit - used

    def _text(self, tokens: Sequence[int]) -> str:
        tokenizer: Any = self.base.tokenizer
        return str(tokenizer.decode(tokens, skip_special_tokens=True, clean_up_tokenization_spaces=False))

    def _raw_text(self, tokens: Sequence[int]) -> str:
        tokenizer: Any = self.base.tokenizer
        return str(tokenizer.decode(tokens, clean_up_tokenization_spaces=False))


def _words(model: Any) -> int:
    return int(model.get_output_embeddings().weight.shape[0])
