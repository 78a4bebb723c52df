"""Log-probabilities of texts under a causal language model, bare or with an adapter."""

from __future__ import annotations

import contextlib
import copy
from collections.abc import Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from llm_experts.bases.memory import Halving
from llm_experts.bias.packing import Pack, pack
from llm_experts.bias.scorer import Scored
from llm_experts.bias.sources import BiasError
from llm_experts.prompts.batches import length_batches

if TYPE_CHECKING:
    from llm_experts.bases.base import Base
    from llm_experts.decoder.program import Adapter

BASE = "__base__"
"""Name of the adapter that is none: the base under a PEFT model."""
_CHUNK = 1 << 26  # most logits at once


class LMScorer:
    """Scores with a causal language model, bare or under PEFT.

    Texts that begin alike share the common part in one pass (a tree of one trunk and several tails per sequence: tails
    do not see each other, positions go on from the trunk), which is exact up to rounding. Models whose adapter adds
    virtual tokens, or that do not attend to everything before a token, take one sequence per text.

    Parameters
    ----------
    model : PreTrainedModel or PeftModel
    tokenizer : PreTrainedTokenizerFast
        Must give character offsets. Texts follow its start token (else its end token).
    adapter : str, optional
        Adapter of a PeftModel to switch on while scoring, ``"__base__"`` for none. Default: the model as it is.
    batch_tokens : int
        Tokens of a batch, padding included. Halved where memory runs out.
    """

    def __init__(self, model: Any, tokenizer: Any, *, adapter: str | None = None, batch_tokens: int = 8192) -> None:
        self._model, self._tokenizer, self._adapter, self._batch_tokens = model, tokenizer, adapter, batch_tokens
        self._halving = Halving(next(model.parameters()).device.type)
        marks = (tokenizer.bos_token_id, tokenizer.eos_token_id)
        self._begin = next((mark for mark in marks if mark is not None), None)
        if self._begin is None:
            raise BiasError("the tokenizer has neither a start nor an end token: give it one, a text needs a begin")
        if not tokenizer.is_fast:
            raise BiasError("the tokenizer gives no character offsets: load its fast version (tokenizer.json)")

    @classmethod
    def of(cls, base: Base, **options: Any) -> LMScorer:
        """Scorer of a base."""
        return cls(base.model, base.tokenizer, **options)

    @classmethod
    def with_adapter(cls, base: Base, adapter: Adapter | None, **options: Any) -> LMScorer:
        """Scorer of a base with an adapter, as an :class:`llm_experts.reading.expert.LLMExpert` has it; the base is
        left as is.

        The expert's calibration belongs to its yes/no margin and plays no part in other texts.
        """
        if adapter is None:
            return cls.of(base, **options)
        from llm_experts.adapters.injection import inject, own_copy
        from llm_experts.adapters.state import set_adapter_state

        model = inject(own_copy(base).model, copy.deepcopy(adapter.config), None)
        set_adapter_state(model, adapter.state)
        return cls(model, base.tokenizer, **options)

    @torch.no_grad()
    def token_log_probs(self, texts: Sequence[str], start: Sequence[int] | None = None) -> list[Scored]:
        """Scored tokens of each text, see :class:`Scorer`.

        Raises
        ------
        BiasError
            If a text is longer than the model's context or has no token to score, or an answer is not finite.
        """
        starts = [0] * len(texts) if start is None else list(start)
        if not texts:
            return []
        ids, spans = self._tokens(texts)
        first = [_first(span, at, text) for span, at, text in zip(spans, starts, texts, strict=True)]
        wanted: dict[tuple[int, ...], int] = {}  # distinct token sequences, with the first token that any text asks for
        for sequence, index in zip(ids, first, strict=True):
            wanted[sequence] = min(index, wanted.get(sequence, index))
        with self._switched():
            found = self._log_probs(wanted)
        return [
            Scored(found[sequence][index - wanted[sequence] :], span[index:])
            for sequence, index, span in zip(ids, first, spans, strict=True)
        ]

    @torch.no_grad()
    def last_states(self, texts: Sequence[str]) -> Tensor:
        """[n, d] float32 hidden state that predicts what follows each text: what a dispatcher sees of it."""
        if not texts:
            return torch.zeros(0, int(self._model.config.hidden_size))
        ids, _ = self._tokens(texts)
        assert self._begin is not None
        found: dict[tuple[int, ...], Tensor] = {}
        packs = [Pack([self._begin, *s], list(range(len(s) + 1)), [0] * (len(s) + 1), members={s: []}) for s in {*ids}]
        with self._switched():
            packs.sort(key=lambda p: (len(p.ids), p.ids))
            for batch in (packs[some] for some in self._batches(packs)):
                states = self._states(batch, False, [(row, len(p.ids) - 1) for row, p in enumerate(batch)])
                found.update(
                    (s, state) for p, state in zip(batch, states.float().cpu(), strict=True) for s in p.members
                )
        return torch.stack([found[s] for s in ids])

    def _tokens(self, texts: Sequence[str]) -> tuple[list[tuple[int, ...]], list[tuple[tuple[int, int], ...]]]:
        encoded = self._tokenizer(list(texts), add_special_tokens=False, return_offsets_mapping=True)
        ids = [tuple(sequence) for sequence in encoded["input_ids"]]
        limit = getattr(self._model.config, "max_position_embeddings", None)
        for text, sequence in zip(texts, ids, strict=True):
            if limit is not None and len(sequence) + 1 > limit:
                raise BiasError(
                    f"a text of {len(sequence) + 1} tokens does not fit the context of {limit} tokens: "
                    f"{text[:60]!r}...; use a base with a longer context or leave this bias set out"
                )
        return ids, [tuple((int(a), int(b)) for a, b in span) for span in encoded["offset_mapping"]]

    def _log_probs(self, wanted: dict[tuple[int, ...], int]) -> dict[tuple[int, ...], Tensor]:
        assert self._begin is not None
        shared = self._attends_to_all()
        packs = pack(wanted, self._begin, share=shared)
        packs.sort(key=lambda p: len(p.ids))
        found: dict[tuple[int, ...], Tensor] = {}
        for some in self._batches(packs):
            found.update(self._halving.run(partial(self._answers, packs[some], shared)))
        return found

    def _answers(self, packs: list[Pack], shared: bool) -> dict[tuple[int, ...], Tensor]:
        """Answers of packs that make one batch, or several since memory ran out."""
        parts = [self._forward(packs[some], shared) for some in self._batches(packs)]
        return {member: values for part in parts for member, values in part.items()}

    def _batches(self, packs: list[Pack]) -> list[slice]:
        return length_batches([len(p.ids) for p in packs], self._halving.limit(self._batch_tokens))

    def _forward(self, batch: list[Pack], shared: bool) -> dict[tuple[int, ...], Tensor]:
        asked = sorted({(row, at) for row, p in enumerate(batch) for at, _ in p.asked})
        states = self._states(batch, shared, asked)
        number = {pair: index for index, pair in enumerate(asked)}
        targets = [(number[row, at], token) for row, p in enumerate(batch) for at, token in p.asked]
        values = _gathered(self._model, states, targets)
        _check_finite(values)
        answers = dict(zip(targets, values.tolist(), strict=True))
        return {
            member: torch.tensor([answers[number[row, at], token] for at, token in path], dtype=torch.float64)
            for row, p in enumerate(batch)
            for member, path in p.members.items()
        }

    def _states(self, batch: list[Pack], shared: bool, asked: list[tuple[int, int]]) -> Tensor:
        """[m, d] hidden states before the head at (row, place) pairs of a batch."""
        device = next(self._model.parameters()).device
        inputs = _inputs(batch, self._tokenizer.pad_token_id or 0, shared, self._model.dtype)
        rows, places = torch.tensor(asked, device=device).T
        with _caught(self._model, rows, places, inputs["input_ids"].shape[1]) as caught:
            self._model(**{name: value.to(device) for name, value in inputs.items()}, use_cache=False)
        _check_finite(caught[0])
        return caught[0]

    def _attends_to_all(self) -> bool:
        """Whether one sequence may hold several tails: a mask of our own is obeyed by every layer."""
        config, peft = self._model.config, getattr(self._model, "peft_config", {})
        kinds = set(getattr(config, "layer_types", None) or ["full_attention"])
        prompts = any(settings.is_prompt_learning for settings in peft.values())
        obeyed = getattr(config, "_attn_implementation", "") in ("eager", "sdpa")
        return obeyed and kinds == {"full_attention"} and not prompts

    @contextlib.contextmanager
    def _switched(self) -> Iterator[None]:
        training = self._model.training
        self._model.eval()
        try:
            if self._adapter is None:
                yield
            elif self._adapter == BASE:
                with self._model.disable_adapter():
                    yield
            else:
                with _active(self._model, self._adapter):
                    yield
        finally:
            self._model.train(training)


def _check_finite(answers: Tensor) -> None:
    """Raise :class:`BiasError` unless every hidden state or log-probability is a number: others are never a score."""
    if not bool(torch.isfinite(answers).all()):
        raise BiasError(
            "the model answers with numbers that are not finite: a weight is broken, or too large for this precision; "
            "load the base with --dtype float32, or train the adapter again"
        )


def _first(spans: tuple[tuple[int, int], ...], at: int, text: str) -> int:
    """Index of the first token that ends after character ``at``."""
    for index, (_, end) in enumerate(spans):
        if end > at:
            return index
    raise BiasError(f"no token to score from character {at} of {text[:60]!r}: the continuation is empty")


def _inputs(batch: list[Pack], padding: int, shared: bool, dtype: torch.dtype) -> dict[str, Tensor]:
    """Right-padded inputs of a batch: ids and a mask; with shared trunks also positions and a mask of who sees whom."""
    length = max(len(p.ids) for p in batch)
    ids = torch.full((len(batch), length), padding)
    real = torch.zeros(len(batch), length, dtype=torch.bool)
    for row, p in enumerate(batch):
        ids[row, : len(p.ids)] = torch.tensor(p.ids)
        real[row, : len(p.ids)] = True
    if not shared:
        return {"input_ids": ids, "attention_mask": real.to(torch.int64)}
    positions = torch.zeros_like(ids)
    branch = torch.full_like(ids, -1)
    for row, p in enumerate(batch):
        positions[row, : len(p.ids)] = torch.tensor(p.positions)
        branch[row, : len(p.ids)] = torch.tensor(p.branch)
    causal = torch.ones(length, length, dtype=torch.bool).tril()
    sees = (branch[:, None, :] == 0) | (branch[:, :, None] == branch[:, None, :])  # the trunk is branch 0
    mask = torch.zeros(len(batch), 1, length, length, dtype=dtype)
    mask.masked_fill_(~(sees & causal)[:, None], torch.finfo(dtype).min)
    return {"input_ids": ids, "position_ids": positions, "attention_mask": mask}


@contextlib.contextmanager
def _caught(model: Any, rows: Tensor, places: Tensor, length: int) -> Iterator[list[Tensor]]:
    """Catch the hidden states [m, d] that go into the head at the asked places; the head itself sees one token.

    Virtual tokens in front of the text (prompt tuning) shift its places.
    """
    caught: list[Tensor] = []

    def catch(_module: nn.Module, args: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        hidden = args[0]
        caught.append(hidden[rows, places + (hidden.shape[1] - length)])
        return (hidden[:1, :1], *args[1:])

    handle = model.get_output_embeddings().register_forward_pre_hook(catch)
    try:
        yield caught
    finally:
        handle.remove()


def _gathered(model: Any, hidden: Tensor, targets: list[tuple[int, int]]) -> Tensor:
    """[t] log-probability of token j after hidden state i, for pairs (i, j); logits in blocks that fit memory."""
    head = model.get_output_embeddings()
    places, tokens = torch.tensor(targets, device=hidden.device).T
    order = torch.argsort(places, stable=True)
    values = torch.empty(len(targets), dtype=torch.float64)
    step = max(1, _CHUNK // int(model.config.vocab_size))
    for begin in range(0, len(hidden), step):
        logits = head(hidden[None, begin : begin + step])[0].float()
        inside = order[(places[order] >= begin) & (places[order] < begin + step)]
        row = places[inside] - begin
        values[inside.cpu()] = (logits[row, tokens[inside]] - logits.logsumexp(dim=-1)[row]).double().cpu()
    return values


@contextlib.contextmanager
def _active(model: Any, adapter: str) -> Iterator[None]:
    """Switch an adapter on, and the former one back afterwards, with what may be trained unchanged."""
    if adapter not in getattr(model, "peft_config", {}):
        known = ", ".join(getattr(model, "peft_config", {})) or "none"
        raise BiasError(f"the model has no adapter {adapter!r} (it has: {known}): load it first")
    before = model.active_adapter
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    model.set_adapter(adapter)
    try:
        yield
    finally:
        model.set_adapter(before)
        model.requires_grad_(False)
        for parameter in trained:
            parameter.requires_grad_(True)
