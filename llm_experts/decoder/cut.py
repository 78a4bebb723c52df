"""A frozen decoder driven layer by layer, so that what experts share is computed once.

Experts change the layers from ``start`` on, *the top*. What lies below is the same for every expert, lane and trial:
its output for a text is computed once (:meth:`CutBase.lower`). In the last layer only the answer tokens ask. Both
are exact, and :class:`CutBase` compares itself with the library's own
forward pass before it is used, and again before it reads longer texts than that model was compared on.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn

from llm_experts.bases.base import Base
from llm_experts.bases.error import BaseError
from llm_experts.bases.memory import out_of_memory
from llm_experts.bases.sharing import shared_copy
from llm_experts.decoder.layout import Answers, Layout, Pair, Tails
from llm_experts.decoder.products import frozen_products
from llm_experts.decoder.shared_prefix import Branches
from llm_experts.decoder.walk import Attend, as_blocked, fused, run_last_layer, run_layer, written_out

PROBE_TOKENS = 24
"""Tokens of the first comparison with the library; longer texts are compared at their own length."""
PARTS = ("embed_tokens", "layers", "norm", "rotary_emb")
"""What a plain decoder is made of."""
FAMILIES = "choose a base of the Llama, Mistral or Qwen family"
_COMPARED: WeakKeyDictionary[nn.Module, dict[tuple[int, ...], dict[int, int]]] = WeakKeyDictionary()
"""What was compared in this process; a model whose weights, hooks or modules changed is compared again."""
TOLERANCE = {torch.float32: 1e-4, torch.bfloat16: 0.1, torch.float16: 0.02}
"""Largest difference from the library's forward pass, relative to the largest logit."""


def answer_logits(final: Tensor, head: Tensor) -> Tensor:
    """[n, 2, V] float32 logits of hidden states [n, 2, d]: bfloat16 would round away the differences that count."""
    return final.float() @ head.float().T


class Top(nn.Module):
    """The last layers of a decoder, ending in the two rows of the language-model head that carry the answer.

    A copy of the modules that shares the model's weights: adapters of any kind can be injected here
    (``peft.inject_adapter_in_model``) and the model stays as it is. Parameters can be replaced by
    ``torch.func.functional_call``. Adapters that the model had before are part of the copy.

    Parameters
    ----------
    base : Base
    start : int
        First layer.
    answer_ids : (int, int)
        Token ids of the words for no and yes.
    """

    head: Tensor
    norm: nn.Module
    rotary: nn.Module

    def __init__(self, base: Base, start: int, answer_ids: tuple[int, int]) -> None:
        super().__init__()
        decoder = decoder_of(base)
        self.layers = shared_copy(nn.ModuleList(decoder.layers[start:]))
        self.norm, self.rotary = decoder.norm, decoder.rotary_emb
        words: Any = base.model.get_output_embeddings()  # type: ignore[no-untyped-call]
        self.register_buffer("head", words.weight[list(answer_ids)].detach().clone())

    def forward(
        self,
        hidden: Tensor,
        at: Layout | Branches | Tails,
        prefix: Tensor | None = None,
        past: Sequence[Pair] | None = None,
        remember: bool = False,
        attend: Attend = written_out,
    ) -> Answers:
        """Answers of texts whose hidden states [n, T, d] enter the first of these layers.

        Parameters
        ----------
        hidden : [n, T, d]
        at : Layout, Branches or Tails
            Of branches: ``past`` is what their plain texts left, learnt keys and values included. Of tails: what the
            base has of the tokens before them.
        prefix : [layers, 2, kv_heads, p, head_dim], optional
            Learnt keys and values that every token of plain texts sees (prefix tuning); positions then start at p.
        past : sequence of Pair, optional
        remember : bool
            Also give keys and values of every layer.
        attend : callable
            :func:`llm_experts.decoder.walk.fused` where there are no lanes and no second derivatives.
        """
        layout, before = _parts(at, past, len(self.layers))
        rotary = self.rotary(hidden, layout.positions + (0 if prefix is None else prefix.shape[-2]))
        learnt = [None if prefix is None else prefix[index] for index in range(len(self.layers))]
        pairs: list[Pair] = []
        if len(self.layers) > 1:
            allowed = at.allowed()
            for layer, earlier, own in zip(self.layers[:-1], before[:-1], learnt[:-1], strict=True):
                hidden, pair = run_layer(layer, hidden, rotary, allowed, attend, earlier, own)
                pairs += [pair] if remember else []
        seen = at.allowed_to_answers()
        last = run_last_layer(
            self.layers[-1], hidden, rotary, layout.answers, seen, before[-1], learnt[-1], remember=remember
        )
        pairs += [last.pair] if remember and last.pair is not None else []
        final = self.norm(last.hidden)
        return Answers(answer_logits(final, self.head), final.mean(1), last.attention, final, tuple(pairs))


def _parts(
    at: Layout | Branches | Tails, past: Sequence[Pair] | None, layers: int
) -> tuple[Layout, Sequence[Pair] | Sequence[None]]:
    """Where the tokens stand that are run, and for each layer what they may see of earlier ones."""
    if isinstance(at, Layout):
        return at, [None] * layers
    return at.layout, [at.past(pair) for pair in past or ()]


def longest_text(base: Base, at: Layout | Branches | Tails, virtual: int = 0) -> int:
    """Tokens of the longest text, an upper bound where that is enough to see that the base can read it.

    Raises
    ------
    BaseError
        If a text with its virtual tokens is longer than the base's context.
    """
    layout, before = (at, 0) if isinstance(at, Layout) else (at.layout, at.reach)
    bound = virtual + before + layout.positions.shape[1]
    if bound <= base.context:
        return bound
    length = int(layout.positions.max()) + 1 + virtual  # a tail beside another, or padding, makes no text longer
    if length > base.context:
        ends = "" if base.window is None else f", as its sliding window is {base.window} tokens"
        ahead = f", {virtual} virtual ones included," if virtual else ""
        raise BaseError(
            f"A text of {length} tokens{ahead} does not fit: {base.id} ({base.architecture}) reads {base.context} at "
            f"most{ends}. Take a shorter template, fewer columns or fewer virtual tokens, or another base."
        )
    return length


def decoder_of(base: Base) -> Any:
    """Embeddings, layers, final norm and rotary embedding of a base.

    Raises
    ------
    BaseError
        If it has no such parts.
    """
    decoder: Any = base.model.get_decoder()  # type: ignore[no-untyped-call]
    lacking = [part for part in PARTS if not hasattr(decoder, part)]
    if lacking:
        raise BaseError(
            f"{base.id} ({base.architecture}) is not built like a plain decoder: it has no {', '.join(lacking)}; "
            f"{FAMILIES}."
        )
    return decoder


class CutBase:
    """A base cut in two: the frozen layers below ``start``, and the top that experts change.

    Parameters
    ----------
    base : Base
    start : int
        First layer that adapters may change; negative counts from the end (-1: the last layer only).

    Raises
    ------
    BaseError
        If ``start`` is not a layer, or the architecture does something that is not a plain decoder's forward pass.
    """

    def __init__(self, base: Base, start: int = 0) -> None:
        self.base = base
        self.start = start + base.n_layers if start < 0 else start
        if not 0 <= self.start < base.n_layers:
            raise BaseError(f"{base.id} has {base.n_layers} layers; adapters cannot start at layer {start}.")
        self._decoder = decoder_of(base)
        self._lengths = _lengths_of(base)
        self._compare(PROBE_TOKENS)

    def top(self, answer_ids: tuple[int, int]) -> Top:
        """The layers that experts change."""
        return Top(self.base, self.start, answer_ids)

    @torch.no_grad()
    def lower(
        self,
        ids: Tensor,
        at: Layout | Branches,
        past: Sequence[Pair] | None = None,
        remember: list[Pair] | None = None,
    ) -> Tensor:
        """[n, T, d] hidden states that enter the top; with ``start`` 0 the embeddings of tokens [n, T].

        Parameters
        ----------
        ids : [n, T] int64
        at : Layout or Branches
            Of branches: ``past`` is what their plain texts left.
        past : sequence of Pair, optional
            Of the layers below the top.
        remember : list, optional
            Gets the keys and values of these layers.

        Raises
        ------
        BaseError
            If a text is too long for the base, or the base computes something else on texts of this length.
        """
        self._compare(longest_text(self.base, at))
        with frozen_products(self.base):
            return self._lower(ids, at, past, remember)

    def compare(self, tokens: int) -> None:
        """Compare with the library on texts of at least so many tokens; :class:`BaseError` where it differs."""
        self._compare(tokens)

    def _lower(
        self,
        ids: Tensor,
        at: Layout | Branches,
        past: Sequence[Pair] | None = None,
        remember: list[Pair] | None = None,
    ) -> Tensor:
        hidden: Tensor = self._decoder.embed_tokens(ids)
        if not self.start:
            return hidden
        layout, before = _parts(at, past, self.start)
        rotary, blocked = self._decoder.rotary_emb(hidden, layout.positions), as_blocked(at.allowed(), hidden.dtype)
        for layer, earlier in zip(self._decoder.layers[: self.start], before, strict=True):
            hidden, pair = run_layer(layer, hidden, rotary, blocked, fused, earlier)
            if remember is not None:
                remember.append(pair)
        return hidden

    def _compare(self, tokens: int) -> None:
        """Compare with the library's own forward pass on texts of at least so many tokens.

        Once for each length and model in memory, whoever asks: it takes three passes of the whole base.
        """
        context = self.base.context
        if min(tokens, context) <= self._lengths.get(self.start, 0):
            return
        length = min(1 << (tokens - 1).bit_length(), context)  # powers of two: few comparisons, whatever is read
        difference, limit = self._difference(length)
        if not difference <= limit:  # NaN is no agreement
            raise BaseError(
                f"{self.base.id} ({self.base.architecture}) computes something that a plain decoder does not (logits "
                f"of a text of {length} tokens differ by {difference:.2g} of their size); {FAMILIES}."
            )
        self._lengths[self.start] = length

    @torch.no_grad()
    def _difference(self, length: int) -> tuple[float, float]:
        """Largest difference from the library on a text, packed and not, relative to its largest logit; its limit."""
        ids, layout = self._probe(length)
        try:
            found = self.top((0, 1))(self._lower(ids, layout), layout).logits[0]
        except (AttributeError, TypeError, ValueError, IndexError, KeyError, RuntimeError) as error:
            if isinstance(error, RuntimeError) and out_of_memory(error):
                raise
            raise BaseError(
                f"{self.base.id} ({self.base.architecture}) is not built like a plain decoder "
                f"({type(error).__name__}: {' '.join(str(error).split())[:200]}); {FAMILIES}."
            ) from error
        texts = (ids[:, :-1], torch.cat([ids[:, :-2], ids[:, -1:]], 1))
        whole = [self.base.model(input_ids=text, logits_to_keep=1).logits[0, -1, :2] for text in texts]
        expected = torch.stack(whole)
        _check_numbers(self.base, expected)
        difference = float((found - expected).abs().max() / expected.abs().max().clamp_min(1e-6))
        return difference, TOLERANCE[expected.dtype]

    def _probe(self, length: int) -> tuple[Tensor, Layout]:
        """A text with two one-token tails; each order of the options has ``length`` tokens."""
        device, size = self.base.device, self._decoder.embed_tokens.num_embeddings
        ids = (torch.arange(length + 1, device=device) * 7919 % size)[None]
        segment = torch.zeros_like(ids, dtype=torch.int8)
        segment[:, -2], segment[:, -1] = 1, 2
        positions = torch.arange(length + 1, device=device)[None].clone()
        positions[:, -1] -= 1
        return ids, Layout(positions, segment, torch.tensor([[length - 1, length]], device=device))


def _lengths_of(base: Base) -> dict[int, int]:
    """Longest text on which a base, as it is now, was found to be the library's, by first layer of the top."""
    numbers, modules = [*base.model.parameters(), *base.model.buffers()], list(base.model.modules())
    changes = sum(0 if each.is_inference() else each._version for each in numbers)
    hooks = [hook for each in modules for hook in (*each._forward_hooks, *each._forward_pre_hooks)]
    replaced = [id(each) for each in modules if "forward" in vars(each)]
    now = (changes, *map(id, numbers), *hooks, *replaced)
    return _COMPARED.setdefault(base.model, {}).setdefault(now, {})


def _check_numbers(base: Base, logits: Tensor) -> None:
    if not bool(torch.isfinite(logits).all()):
        raise BaseError(
            f"{base.id} ({base.architecture}) answers with numbers that are not finite: a weight is broken, or the "
            "precision is too small for it. Fetch the model again, or load it with --dtype float32."
        )
