"""Reader: rows in, answers of many adapters out; what they share is computed once.

A row becomes a packed text, its hidden states below the top are computed once and kept for a while, and adapters of one
configuration answer together as lanes. Nothing here knows roles, calibration or metrics.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor

from llm_experts.adapters.registry import kind_of
from llm_experts.bases.base import Base
from llm_experts.bases.memory import Halving
from llm_experts.decoder.cut import CutBase
from llm_experts.decoder.entry import FULL, SUFFIX, Entry, check_scope, suffix_start
from llm_experts.decoder.layout import Answers, Layout, Pair, Scope, TopInput
from llm_experts.decoder.program import Adapter, AttachedTop, config_key
from llm_experts.decoder.shared_prefix import Branches, branch_off
from llm_experts.decoder.verbaliser import answer_mass
from llm_experts.prompts.asking import PLAIN, Asking
from llm_experts.prompts.prompts import Packed, PromptError, Prompts, packed_batches
from llm_experts.reading.state_cache import StateCache
from llm_experts.reading.state_store import state_store

if TYPE_CHECKING:
    from peft import PeftConfig

    from tasks.task import TaskView

BATCH_TOKENS = {"cpu": 1 << 11, "cuda": 1 << 15}
"""Tokens, padding included, of one batch: small enough for a CPU's caches and allocator."""
CACHE_BYTES = 1 << 28
"""Hidden states of texts that are kept, 256 MiB."""

BRANCH_TOKENS = {"cpu": 1 << 11, "cuda": 1 << 15}
"""Tokens of a batch of branches: small enough for a CPU's caches."""
PAST_FLOATS = {"cpu": 1 << 24, "cuda": 1 << 30}
"""Keys and values of plain texts that are held at once."""

LEAD_TOKENS = 16
"""Tokens that all prompts begin with from which it pays to run them once."""

LOGIT_FLOATS = {"cpu": 1 << 25, "cuda": 1 << 29}
"""Logits of the whole vocabulary that are held at once."""

Measure = Callable[[Answers], Tensor]
"""Answers of K lanes for n texts -> [K, n, ...]."""


class Group(NamedTuple):
    """Adapters that answer together: a top, their weights stacked, and their places among all adapters."""

    top: AttachedTop
    lanes: dict[str, Tensor]
    places: list[int]


class Opened(NamedTuple):
    """Margins [K, n] of plain prompts, and keys and values of each group's top; of tails those of the base, once."""

    margins: Tensor
    pairs: Sequence[Sequence[Pair]]


class Reader:
    """Texts of rows through one base, cut at one layer, for any number of adapters.

    Parameters
    ----------
    base : Base
    template : str
        One of ``tasks.templates.TEMPLATES``.
    start : int
        First layer that adapters may change; negative counts from the end. Virtual tokens need 0.
    asking : Asking
        In a chat or plainly, and with which answered examples.
    scope : {"full", "suffix"}
        Whether adapters act on whole texts, or on the question and its answers alone
        (:mod:`llm_experts.decoder.entry`).
    cache_bytes : int
        Hidden states that are kept; the least recently used go first.

    Notes
    -----
    A row's answers do not depend on the rows beside it beyond float noise (1e-6 of their size), and the same call gives
    the same bits: batches are cut by the lengths of the texts alone.
    """

    def __init__(
        self,
        base: Base,
        template: str = "sentence",
        start: int = -1,
        *,
        asking: Asking = PLAIN,
        scope: Scope = "full",
        cache_bytes: int = CACHE_BYTES,
    ) -> None:
        self.base, self.template, self.asking = base, template, asking
        self.cut = CutBase(base, start)
        self.entry = Entry(self.cut, scope)
        self._prompts: dict[str, Prompts] = {}
        self._tops: dict[tuple[str, tuple[int, int]], AttachedTop] = {}
        self._cache = StateCache(cache_bytes)
        self._halving = Halving("cpu" if base.device.type == "cpu" else "cuda")

    @property
    def start(self) -> int:
        """First layer of the top."""
        return self.cut.start

    @property
    def scope(self) -> Scope:
        """What adapters act on."""
        return self.entry.scope

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
            self._prompts[key] = Prompts(
                self.base.tokenizer, style, self.template, context=self.base.context, asking=self.asking
            )
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
        return self._ask(adapters, view, rows, keep, lambda answers: answers.pooled.float())

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
        if not len(packed):
            raise PromptError("There are no rows to read; hand over at least one.")
        chosen, place = _different(packed)
        groups, words = self._groups(adapters, answer_ids), 0 if head is None else 2 * len(head) * len(adapters)
        return self._halving.run(lambda: self._measured(groups, chosen, measure, head, words))[:, place]

    def _measured(
        self, groups: Sequence[Group], packed: Packed, measure: Measure, head: Tensor | None, floats: int
    ) -> Tensor:
        """[K, n, ...] a measure of the answers to prompts; ``floats`` is what the logits of one prompt take."""
        parts, order = [], []
        most = max(1, self._halving.limit(LOGIT_FLOATS) // floats) if floats else None
        lead = self._common(packed)
        if lead >= LEAD_TOKENS:
            return self._behind_lead(groups, packed, lead, measure, head, most)
        for texts, given in self.batches(packed, most):
            past = given.past or None
            answers = [top.answers(lanes, given.hidden, given.layout, head, past) for top, lanes, _ in groups]
            parts.append(_in_order(groups, [measure(answer).cpu() for answer in answers]))
            order.append(texts)
        return torch.cat(parts, 1)[:, torch.argsort(torch.cat(order))]

    def _common(self, packed: Packed) -> int:
        """How many tokens all prompts begin with, where examples or a chat stand ahead of the rows; else 0."""
        if self.asking == PLAIN or self.scope != FULL or len(packed) < 2:
            return 0
        same = ((packed.ids == packed.ids[:1]) & (packed.segment == 0)).all(0)
        return int(same.long().cumprod(0).sum())

    def _behind_lead(
        self,
        groups: Sequence[Group],
        packed: Packed,
        lead: int,
        measure: Measure,
        head: Tensor | None,
        most: int | None,
    ) -> Tensor:
        """[K, n, ...] a measure of the answers to prompts whose first ``lead`` tokens are run once for all of them."""
        device, past = self.base.device, list[Pair]()
        ids = packed.ids[:1, :lead].to(device)
        ends = torch.full((1, 2), lead - 1, device=device)
        layout = Layout(packed.positions[:1, :lead].to(device), packed.segment[:1, :lead].to(device), ends)
        hidden = self.cut.lower(ids, layout, remember=past)
        opened = [top.answers(lanes, hidden, layout, remember=True).pairs for top, lanes, _ in groups]
        shared = torch.zeros(len(packed), dtype=torch.int64)
        rest = Layout(packed.positions[:, lead:], packed.segment[:, lead:], packed.answers - lead)
        branches = Branches(shared, shared + lead, lead, packed.ids[:, lead:], rest)
        parts, order = [], []
        for batch in branches.batches(self._halving.limit(BRANCH_TOKENS)):
            for texts in torch.split(batch, most or len(batch)):
                some = branches.select(texts).to(device)
                states = self.cut.lower(some.ids, some, past)
                answers = [
                    top.answers(lanes, states, some, head, past=pairs)
                    for (top, lanes, _), pairs in zip(groups, opened, strict=True)
                ]
                parts.append(_in_order(groups, [measure(answer).cpu() for answer in answers]))
                order.append(texts)
        return torch.cat(parts, 1)[:, torch.argsort(torch.cat(order))]

    @torch.no_grad()
    def ask_branches(
        self,
        adapters: Sequence[Adapter | None],
        answer_ids: tuple[int, int],
        plain: Packed,
        texts: Packed,
        source: Tensor,
    ) -> tuple[Tensor, Tensor]:
        """Margins of plain prompts [K, n] and of prompts [K, m] that begin as the plain ones at ``source`` [m] do.

        Faster than :meth:`ask` (1.5 times with every column masked once): what both begin with is not run again.
        """
        groups = self._groups(adapters, answer_ids)
        return self._halving.run(lambda: self._branched(groups, plain, texts, source))

    def _branched(self, groups: Sequence[Group], plain: Packed, texts: Packed, source: Tensor) -> tuple[Tensor, Tensor]:
        lanes_of_all = sum(len(group.places) for group in groups)
        found = torch.empty(lanes_of_all, len(plain)), torch.empty(lanes_of_all, len(texts))
        for rows in torch.split(torch.arange(len(plain)), self._rows_at_once(plain, lanes_of_all)):
            mine = torch.nonzero((source >= rows[0]) & (source <= rows[-1]))[:, 0]
            part = plain.select(rows).trimmed()
            layout = Layout.of(part, self.base.device)
            past: list[Pair] = []
            hidden = self.cut.lower(part.ids.to(self.base.device), layout, remember=past)
            opened = self._opened(groups, part, hidden, layout)
            found[0][:, rows] = opened.margins
            if len(mine):
                asked, own = texts.select(mine).trimmed(), source[mine] - rows[0]
                branches = branch_off(part, asked, own, None if self.scope != SUFFIX else suffix_start(asked))
                found[1][:, mine] = self._of_branches(groups, branches, asked, past, opened.pairs)
        return found

    def _opened(self, groups: Sequence[Group], plain: Packed, hidden: Tensor, layout: Layout) -> Opened:
        """Margins of plain prompts, and what branches of them take as past in the top."""
        if self.scope != SUFFIX:
            answers = [top.answers(lanes, hidden, layout, remember=True) for top, lanes, _ in groups]
            return Opened(_in_order(groups, [found.margin.cpu() for found in answers]), [a.pairs for a in answers])
        pairs = self.entry.plain_pairs(hidden, layout)
        given = self.entry.given(plain, self.entry.joined(plain, hidden, pairs))
        return Opened(self._margins(groups, given), [pairs])

    def _of_branches(
        self,
        groups: Sequence[Group],
        branches: Branches,
        whole: Packed,
        past: Sequence[Pair],
        opened: Sequence[Sequence[Pair]],
    ) -> Tensor:
        """[K, m] margins of branches of plain texts that have been read; ``whole`` are the branches' texts."""
        found, order = [], []
        device = self.base.device
        for texts in branches.batches(self._halving.limit(BRANCH_TOKENS)):
            some = branches.select(texts).to(device)
            hidden = self.cut.lower(some.ids, some, past)
            if self.scope == SUFFIX:
                pairs = self.entry.plain_pairs(hidden, some, opened[0])
                given = self.entry.branched(some, whole.select(texts).to(device), hidden, pairs)
                found.append(self._margins(groups, given))
            else:
                margins = [
                    top.answers(lanes, hidden, some, past=pairs).margin.cpu()
                    for (top, lanes, _), pairs in zip(groups, opened, strict=True)
                ]
                found.append(_in_order(groups, margins))
            order.append(texts)
        return torch.cat(found, 1)[:, torch.argsort(torch.cat(order))]

    def _margins(self, groups: Sequence[Group], given: TopInput) -> Tensor:
        """[K, n] margins of all adapters."""
        answers = [top.answers(lanes, given.hidden, given.layout, past=given.past) for top, lanes, _ in groups]
        return _in_order(groups, [found.margin.cpu() for found in answers])

    def _rows_at_once(self, plain: Packed, lanes: int) -> int:
        """Plain prompts whose keys and values fit into the memory for them."""
        config = self.base.model.config
        head = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
        layers = self.start + lanes * (self.base.n_layers - self.start)
        each = plain.ids.shape[1] * 2 * config.num_key_value_heads * head * layers
        return int(max(1, self._halving.limit(PAST_FLOATS) // each))

    def batches(self, packed: Packed, most: int | None = None) -> Iterator[tuple[Tensor, TopInput]]:
        """Positions of prompts of like length, and what of them enters the top.

        ``most`` bounds the prompts of a batch beside its tokens.
        """
        for batch in packed_batches(packed, self._halving.limit(BATCH_TOKENS)):
            for texts in torch.split(batch, most or len(batch)):
                part = packed.select(texts).trimmed()
                yield texts, self.entry.given(part, self._states(part))

    def forget(self) -> None:
        """Drop kept hidden states."""
        self._cache.clear()

    def _groups(self, adapters: Sequence[Adapter | None], answer_ids: tuple[int, int]) -> list[Group]:
        """The adapters by configuration, those of a deep top one by one: lanes there share nothing but memory."""
        members: dict[str, list[int]] = {}
        for index, adapter in enumerate(adapters):
            members.setdefault(config_key(_config(adapter)), []).append(index)
        groups = []
        for key, places in members.items():
            config = _config(adapters[places[0]])
            if config is not None:
                check_scope(self.scope, kind_of(config))
            if (key, answer_ids) not in self._tops:
                self._tops[key, answer_ids] = AttachedTop(self.base, self.start, answer_ids, config)
            top = self._tops[key, answer_ids]
            for some in [places] if top.shares and config is not None else [[place] for place in places]:
                states = [adapter.state for adapter in (adapters[place] for place in some) if adapter is not None]
                groups.append(Group(top, top.lanes(states), some))
        return groups

    def _states(self, packed: Packed) -> Tensor:
        """[n, T, width] states of prompts."""
        if not self.entry.kept:
            return self.entry.states(packed)
        return self._cache.states(packed, lambda some: self.stored_states(packed.select(some)))

    def stored_states(self, packed: Packed) -> Tensor:
        """[n, T, width] states of prompts; of a wide base from disk, where an earlier process left them there."""
        store = state_store() if self.base.wide else None
        if store is None:
            return self.entry.states(packed)
        return store.states(self.entry, packed, lambda some: self.entry.states(packed.select(some)))


def _different(packed: Packed) -> tuple[Packed, list[int]]:
    """Prompts without repetitions, in the order of their first ones, and where each prompt is among them."""
    first: dict[bytes, int] = {}
    keys = packed.keys()
    place = [first.setdefault(key, len(first)) for key in keys]
    if len(first) == len(packed):
        return packed, place
    where = {index: position for position, index in reversed(list(enumerate(place)))}
    return packed.select(torch.tensor([where[index] for index in range(len(first))])), place


def _in_order(groups: Sequence[Group], found: Sequence[Tensor]) -> Tensor:
    """[K, ...] results of groups in the order of the adapters."""
    places = [place for group in groups for place in group.places]
    return torch.cat(list(found))[torch.argsort(torch.tensor(places))]


def _config(adapter: Adapter | None) -> PeftConfig | None:
    return None if adapter is None else adapter.config
