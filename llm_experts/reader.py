"""Reader: rows in, answers of many adapters out; what they share is computed once.

A row becomes a packed text, its hidden states below the top are computed once and kept for a while, and adapters of one
configuration answer together as lanes. Nothing here knows roles, calibration or metrics.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from llm_experts.attached import Adapter, AttachedTop, config_key
from llm_experts.base import Base
from llm_experts.prompts import Packed, Prompts, length_batches
from llm_experts.stack import Answers, Layout, Stack
from llm_experts.verbaliser import answer_mass

if TYPE_CHECKING:
    from peft import PeftConfig

    from tasks.task import TaskView

BATCH_TOKENS = 1 << 12
"""Tokens, padding included, of one batch."""
CACHE_BYTES = 1 << 28
"""Hidden states of texts that are kept, 256 MiB."""

Measure = Callable[[Answers], Tensor]
"""Answers of K lanes for n texts -> [K, n, ...]."""


class Reader:
    """Texts of rows through one base, cut at one layer, for any number of adapters.

    Parameters
    ----------
    base : Base
    template : str
        One of ``tasks.text.TEMPLATES``.
    start : int
        First layer that adapters may change; negative counts from the end. Virtual tokens need 0.
    cache_bytes : int
        Hidden states that are kept; the least recently used go first.

    Notes
    -----
    A row's answers do not depend on the rows beside it beyond float noise (1e-6 of their size), and the same call gives
    the same bits: batches are cut by the lengths of the texts alone.
    """

    def __init__(
        self, base: Base, template: str = "sentence", start: int = -1, *, cache_bytes: int = CACHE_BYTES
    ) -> None:
        self.base, self.template = base, template
        self.stack = Stack(base, start)
        self._prompts: dict[str, Prompts] = {}
        self._tops: dict[tuple[str, tuple[int, int]], AttachedTop] = {}
        self._kept = _Kept(cache_bytes)

    @property
    def start(self) -> int:
        """First layer of the top."""
        return self.stack.start

    def prompts(self, view: TaskView) -> Prompts:
        """What writes and tokenises rows of a task.

        Raises
        ------
        PromptError
            If the task's card asks no question, or an answer word is not a single token.
        """
        style = view.card.text
        key = style.model_dump_json()
        if key not in self._prompts:
            self._prompts[key] = Prompts(self.base.tokenizer, style, self.template, context=self.base.context)
        return self._prompts[key]

    def margins(
        self, adapters: Sequence[Adapter | None], view: TaskView, rows: Tensor, keep: Tensor | None = None
    ) -> Tensor:
        """[K, r] uncalibrated margins, log-odds of yes against no; None among the adapters is the base itself."""
        return self._ask(adapters, view, rows, keep, lambda answers: answers.margin)

    def pooled(
        self, adapters: Sequence[Adapter | None], view: TaskView, rows: Tensor, keep: Tensor | None = None
    ) -> Tensor:
        """[K, r, d] final hidden states of the answer tokens, mean over the orders of the options."""
        return self._ask(adapters, view, rows, keep, lambda answers: answers.pooled)

    def answer_mass(
        self, adapters: Sequence[Adapter | None], view: TaskView, rows: Tensor, keep: Tensor | None = None
    ) -> Tensor:
        """[K, r] probability of yes plus that of no among all words, mean over the orders of the options."""
        words: Tensor = self.base.model.get_output_embeddings().weight  # type: ignore[no-untyped-call]
        answers = self.prompts(view).answer_ids

        def mass(found: Answers) -> Tensor:
            return answer_mass(found.logits, answers).mean(-1)

        return self._ask(adapters, view, rows, keep, mass, words.detach())

    def pack(self, view: TaskView, rows: Tensor, keep: Tensor | None = None) -> Packed:
        """Prompts of rows."""
        return self.prompts(view).pack(view, rows, keep)

    def _ask(
        self,
        adapters: Sequence[Adapter | None],
        view: TaskView,
        rows: Tensor,
        keep: Tensor | None,
        measure: Measure,
        head: Tensor | None = None,
    ) -> Tensor:
        return self.ask(adapters, self.prompts(view).answer_ids, self.pack(view, rows, keep), measure, head)

    @torch.no_grad()
    def ask(
        self,
        adapters: Sequence[Adapter | None],
        answer_ids: tuple[int, int],
        packed: Packed,
        measure: Measure,
        head: Tensor | None = None,
    ) -> Tensor:
        """[K, n, ...] a measure of the answers to prompts; equal prompts are answered once.

        Parameters
        ----------
        adapters : sequence of K Adapter or None
        answer_ids : (int, int)
            Token ids of no and yes.
        packed : Packed
        measure : callable
            Answers of k lanes for m prompts -> [k, m, ...].
        head : [V, d], optional
            Rows of the language-model head to ask for instead of no and yes.
        """
        keys = packed.keys()
        first: dict[bytes, int] = {}
        place = [first.setdefault(key, len(first)) for key in keys]
        where = {index: position for position, index in reversed(list(enumerate(place)))}
        packed = packed.select(torch.tensor([where[index] for index in range(len(first))], dtype=torch.int64))
        parts = [
            (texts, self._answers(adapters, answer_ids, packed.select(texts).trimmed(), measure, head))
            for texts in length_batches(packed, BATCH_TOKENS)
        ]
        back = torch.argsort(torch.cat([texts for texts, _ in parts]))
        return torch.cat([part for _, part in parts], 1)[:, back[place]]

    def forget(self) -> None:
        """Drop kept hidden states."""
        self._kept.clear()

    def _answers(
        self,
        adapters: Sequence[Adapter | None],
        answer_ids: tuple[int, int],
        packed: Packed,
        measure: Measure,
        head: Tensor | None,
    ) -> Tensor:
        """[K, n, ...] a measure of one batch: lower layers once, then the tops."""
        layout = Layout.of(packed, self.base.device)
        hidden = self._hidden(packed, layout)
        found: list[Tensor | None] = [None] * len(adapters)
        for top, lanes, members in self._groups(adapters, answer_ids):
            part = measure(top.answers(lanes, hidden, layout, head)).cpu()
            for member, values in zip(members, part, strict=True):
                found[member] = values
        return torch.stack([values for values in found if values is not None])

    def _groups(
        self, adapters: Sequence[Adapter | None], answer_ids: tuple[int, int]
    ) -> list[tuple[AttachedTop, dict[str, Tensor], list[int]]]:
        """Tops, the lanes on each, and which of the adapters they are."""
        members: dict[tuple[str, tuple[int, int]], list[int]] = {}
        for index, adapter in enumerate(adapters):
            members.setdefault((config_key(_config(adapter)), answer_ids), []).append(index)
        groups = []
        for key, places in members.items():
            some = [adapters[place] for place in places]
            if key not in self._tops:
                self._tops[key] = AttachedTop(self.base, self.start, answer_ids, _config(some[0]))
            states = [adapter.state if adapter else {} for adapter in some]
            groups.append((self._tops[key], self._tops[key].lanes(states), places))
        return groups

    def _hidden(self, packed: Packed, layout: Layout) -> Tensor:
        """[n, T, d] hidden states that enter the top."""
        if not self.start:
            return self.stack.lower(packed.ids.to(self.base.device), layout)
        return self._kept.states(packed, lambda some: self._lower(packed.select(some)))

    def _lower(self, packed: Packed) -> Tensor:
        return self.stack.lower(packed.ids.to(self.base.device), Layout.of(packed, self.base.device))


def _config(adapter: Adapter | None) -> PeftConfig | None:
    return None if adapter is None else adapter.config


class _Kept:
    """Hidden states of texts, the least recently used forgotten first."""

    def __init__(self, limit: int) -> None:
        self._limit, self._bytes = limit, 0
        self._states: OrderedDict[bytes, Tensor] = OrderedDict()

    def states(self, packed: Packed, compute: Callable[[Tensor], Tensor]) -> Tensor:
        """[n, T, d] hidden states of texts; ``compute`` gives those of the texts at some positions, [m, T, d]."""
        keys = packed.keys()
        missing = [index for index, key in enumerate(keys) if key not in self._states]
        made = compute(torch.tensor(missing)) if missing else None
        if made is not None and len(missing) == len(keys):
            states = made
        else:
            kept = {index: self._states[key] for index, key in enumerate(keys) if key in self._states}
            example = next(iter(kept.values()))
            states = example.new_zeros((len(keys), packed.ids.shape[1], example.shape[1]))
            for index, state in kept.items():
                states[index, : len(state)] = state
                self._states.move_to_end(keys[index])
            if made is not None:
                states[missing] = made
        if made is not None:
            lengths = packed.lengths.tolist()
            for index, state in zip(missing, made, strict=True):
                self._add(keys[index], state[: lengths[index]].clone())
        return states

    def _add(self, key: bytes, state: Tensor) -> None:
        self._states[key] = state
        self._bytes += state.numel() * state.element_size()
        while self._bytes > self._limit:
            _, old = self._states.popitem(last=False)
            self._bytes -= old.numel() * old.element_size()

    def clear(self) -> None:
        self._states.clear()
        self._bytes = 0
