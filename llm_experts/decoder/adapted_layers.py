"""The layers of a base with K adapters of one configuration, walked token sequence by token sequence.

What belongs to an adapter (projections, MLP) is mapped over lanes (``torch.vmap``); attention has no weights, so lanes
are folded into the batch there, and the library's fused kernel serves training, too.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn.functional import scaled_dot_product_attention
from torch.utils.checkpoint import checkpoint

from llm_experts.adapters.error import AdapterError
from llm_experts.adapters.injection import inject, own_copy, trainable_names
from llm_experts.adapters.registry import kind_of
from llm_experts.adapters.soft_prompt import KEY as PROMPT_KEY
from llm_experts.adapters.state import adapter_parameters
from llm_experts.bases.base import Base
from llm_experts.decoder.cut import decoder_of
from llm_experts.decoder.walk import heads_of, rotate

if TYPE_CHECKING:
    from peft import PeftConfig

Attend = Callable[[int, Tensor, Tensor, Tensor, float], Tensor]
"""Number of the layer, queries, keys, values (lanes folded into the batch) and scale -> what queries find."""
LaneStates = Mapping[str, Tensor]
"""Weights [K, ...] by PEFT's keys."""


class _LayerParts(nn.Module):
    """One decoder layer in the parts that surround attention."""

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, part: str, *given: Tensor) -> Any:
        """``ask``: queries; ``offer``: keys and values; ``both``; ``after``: the rest of the layer."""
        layer: Any = self.layer
        if part == "after":
            hidden, mixed = given
            hidden = hidden + layer.self_attn.o_proj(mixed.transpose(-3, -2).flatten(-2))
            return hidden + layer.mlp(layer.post_attention_layernorm(hidden))
        hidden, cos, sin = given
        x = layer.input_layernorm(hidden)
        found = () if part == "offer" else (rotate(heads_of(layer, "q", x), cos, sin),)
        if part != "ask":
            found = (*found, rotate(heads_of(layer, "k", x), cos, sin), heads_of(layer, "v", x))
        return found


class AdaptedLayers:
    """Layers from ``start`` on, with room for adapters of one configuration, or without.

    Parameters
    ----------
    base : Base
        Is left as it is.
    start : int
        First layer.
    config : PeftConfig or None
        None: the base's own layers.

    Attributes
    ----------
    config : PeftConfig or None
        As PEFT completed it.
    peft_model : PeftModel or None
        The copy of the base that holds the room.
    shapes : dict of str -> torch.Size
        Of the adapter's weights, by PEFT's keys.
    trained : tuple of str
        Keys of those that train.

    Raises
    ------
    AdapterError
        If virtual tokens are asked for above layer 0, or dropout, which this walk does not have.
    """

    def __init__(self, base: Base, start: int, config: PeftConfig | None, *, stop: int | None = None) -> None:
        self.config: Any = config
        self.peft_model: Any = None
        self.shapes: dict[str, torch.Size] = {}
        self.trained: tuple[str, ...] = ()
        own = base if config is None else own_copy(base)
        if config is not None:
            _check(config, start)
            self.peft_model = inject(own.model, copy.deepcopy(config), None)
            self.config = self.peft_model.peft_config["default"]
            self.shapes = {key: value.shape for key, value in adapter_parameters(self.peft_model).items()}
            self.trained = trainable_names(self.peft_model)
        decoder = decoder_of(own)
        self._parts = [_LayerParts(layer) for layer in decoder.layers[start:stop]]
        self._names = [self._names_in(part) for part in self._parts]
        self.checkpointing = False
        for part in self._parts:
            part.requires_grad_(False)

    def __len__(self) -> int:
        """Number of layers."""
        return len(self._parts)

    @property
    def virtual(self) -> str:
        """``embeddings`` or ``keys`` where the adapter is virtual tokens, "" where it changes matrices."""
        if self.config is None or not self.config.is_prompt_learning:
            return ""
        return "embeddings" if kind_of(self.config).keys_and_values is None else "keys"

    def virtual_tokens(self, states: LaneStates) -> Tensor | None:
        """[K, v, d] embeddings or [K, layers, 2, kv_heads, v, head_dim] keys and values; None without."""
        if not self.virtual:
            return None
        learnt = kind_of(self.config).keys_and_values
        tokens = states[PROMPT_KEY]
        return tokens if learnt is None else learnt(tokens, self.config)

    def run(
        self,
        states: LaneStates,
        hidden: Tensor,
        rotary: tuple[Tensor, Tensor],
        attend: Attend,
        *,
        asked: Tensor | None = None,
        attend_last: Attend | None = None,
    ) -> Tensor:
        """Hidden states after the layers.

        Parameters
        ----------
        states : mapping
            Weights [K, ...] by PEFT's keys; {} of the base, which is walked without lanes.
        hidden : [n, T, d] or [K, n, T, d]
            Shared by lanes or each lane's own.
        rotary : (cos, sin)
            Each [n, T, head_dim] or [K, n, T, head_dim].
        attend : callable
        asked : [n, a] or [K, n, a] int64, optional
            In the last layer these tokens alone ask; then [..., n, a, d] is returned.
        attend_last : callable, optional
            Attention of those.
        """
        count = len(self._parts)
        for index in range(count):
            own = {name: states[key] for key, name in self._names[index].items()}
            last = asked is not None and index == count - 1
            hidden = self._layer(
                index, own, hidden, rotary, attend_last or attend if last else attend, asked if last else None
            )
        return hidden

    def _layer(
        self,
        index: int,
        own: Mapping[str, Tensor],
        hidden: Tensor,
        rotary: tuple[Tensor, Tensor],
        attend: Attend,
        asked: Tensor | None,
    ) -> Tensor:
        names = tuple(own)

        def walk(hidden: Tensor, cos: Tensor, sin: Tensor, *weights: Tensor) -> Tensor:
            return self._walk(index, dict(zip(names, weights, strict=True)), hidden, (cos, sin), attend, asked)

        if self.checkpointing and torch.is_grad_enabled():
            kept: Tensor = checkpoint(walk, hidden, *rotary, *own.values(), use_reentrant=False)
            return kept
        return walk(hidden, *rotary, *own.values())

    def _walk(
        self,
        index: int,
        own: Mapping[str, Tensor],
        hidden: Tensor,
        rotary: tuple[Tensor, Tensor],
        attend: Attend,
        asked: Tensor | None,
    ) -> Tensor:
        part, (cos, sin) = self._parts[index], (r.unsqueeze(-3) for r in rotary)
        if asked is None:
            q, k, v = _mapped(part, own, "both", hidden, cos, sin)
        else:
            k, v = _mapped(part, own, "offer", hidden, cos, sin)
            hidden = take(hidden, asked)
            (q,) = _mapped(part, own, "ask", hidden, *(take(r, asked).unsqueeze(-3) for r in rotary))
        layer: Any = part.layer
        lanes = max(q.ndim, k.ndim, v.ndim) == 5
        q_, k_, v_ = (x.flatten(0, 1) if lanes else x for x in (q, k, v))
        mixed = attend(index, q_, k_, v_, layer.self_attn.scaling)
        found: Tensor = _mapped(
            part, own, "after", hidden, mixed.view(*q.shape[:2], *mixed.shape[1:]) if lanes else mixed
        )
        return found

    def _names_in(self, part: nn.Module) -> dict[str, str]:
        """Key of the adapter's state -> name of the parameter, of those that a layer has."""
        if self.peft_model is None or self.virtual:
            return {}
        held = {id(p): name for name, p in part.named_parameters()}
        live = adapter_parameters(self.peft_model)
        return {key: held[id(p)] for key, p in live.items() if id(p) in held}


def _check(config: Any, start: int) -> None:
    if config.is_prompt_learning and start:
        raise AdapterError(
            f"Adapters of kind {kind_of(config).name} are virtual tokens that all layers see; they cannot start at "
            f"layer {start}. Train them with start=0."
        )
    if getattr(config, "lora_dropout", 0):
        raise AdapterError(
            "lora_dropout is not applied here: lanes and cached layers need the same numbers in every pass. Leave it "
            "out; early stopping guards against learning by heart."
        )


def _mapped(part: nn.Module, own: Mapping[str, Tensor], which: str, *given: Tensor) -> Any:
    """A part of a layer, of one lane or mapped over lanes; what has a lane's dimension is told by its size.

    Without weights of its own (the base, virtual tokens) a layer is the same for all lanes, and they are one batch.
    """
    plain = {"after": (3, 4), "ask": (3, 4, 4), "offer": (3, 4, 4), "both": (3, 4, 4)}[which]
    batched = [x.ndim > n for x, n in zip(given, plain, strict=True)]
    if not own:
        return _all_in_one(part, which, given, batched)
    count = len(next(iter(own.values())))
    if count == 1:
        alone = [x[0] if b else x for x, b in zip(given, batched, strict=True)]
        found = _called(part, {name: w[0] for name, w in own.items()}, (which, *alone))
        return tuple(x[None] for x in found) if isinstance(found, tuple) else found[None]

    def one(weights: Mapping[str, Tensor], *mine: Tensor) -> Any:
        return _called(part, weights, (which, *mine))

    call: Any = torch.vmap(one, in_dims=(0, *(0 if b else None for b in batched)))
    return call(dict(own), *given)


def _called(part: nn.Module, weights: Mapping[str, Tensor], given: tuple[Any, ...]) -> Any:
    """A part of a layer with other weights.

    No layer uses a weight twice, so that looking for such ones in every call (a quarter of a small layer's time) is
    left out.
    """
    return functional_call(part, dict(weights), given, tie_weights=False)


def _all_in_one(part: nn.Module, which: str, given: Sequence[Tensor], batched: Sequence[bool]) -> Any:
    if not any(batched):
        return part(which, *given)
    lanes, n = next(x.shape[:2] for x, b in zip(given, batched, strict=True) if b)
    whole = [(x if b else x.expand(lanes, *x.shape)).flatten(0, 1) for x, b in zip(given, batched, strict=True)]
    found = part(which, *whole)
    if isinstance(found, tuple):
        return tuple(x.unflatten(0, (lanes, n)) for x in found)
    return found.unflatten(0, (lanes, n))


def take(x: Tensor, index: Tensor) -> Tensor:
    """[..., n, a, d] tokens of x [..., n, T, d] at ``index`` [..., n, a]; either may lack the lanes of the other."""
    if x.ndim > index.ndim + 1:
        index = index.expand(len(x), *index.shape)
    elif x.ndim <= index.ndim:
        x = x.expand(len(index), *x.shape)
    return torch.gather(x, -2, index[..., None].expand(*index.shape, x.shape[-1]))


def causal(_layer: int, q: Tensor, k: Tensor, v: Tensor, scale: float) -> Tensor:
    """Every token sees those before it and itself: texts that are padded on the right need no mask."""
    return _kernel(q, k, v, scale, None)


def masked(blocked: Tensor, learnt: Tensor | None = None) -> Attend:
    """Attention with a mask that is added to scores, [n or K·n, 1, a, v + T]: 0, or -inf where nothing is seen.

    ``learnt`` [K, layers, 2, kv_heads, v, head_dim] are keys and values ahead of the text (prefix tuning).
    """

    def attend(layer: int, q: Tensor, k: Tensor, v: Tensor, scale: float) -> Tensor:
        if learnt is not None:
            ahead = learnt[:, layer].to(k.dtype)
            k, v = (_behind(part, ahead[:, which]) for which, part in enumerate((k, v)))
        return _kernel(q, k, v, scale, fitted(blocked, len(q)).to(q.dtype))

    return attend


def fitted(mask: Tensor, rows: int) -> Tensor:
    """A mask of n texts for the K·n rows that lanes are folded into."""
    return mask if len(mask) == rows else mask.repeat(rows // len(mask), *[1] * (mask.ndim - 1))


def _behind(part: Tensor, ahead: Tensor) -> Tensor:
    """[K·n, kv_heads, v + T, head_dim] keys or values behind each lane's learnt ones [K, kv_heads, v, head_dim]."""
    return torch.cat([ahead.repeat_interleave(len(part) // len(ahead), 0), part], 2)


def _kernel(q: Tensor, k: Tensor, v: Tensor, scale: float, blocked: Tensor | None) -> Tensor:
    if q.device.type != "cpu":  # the memory-saving kernels of a GPU want equal heads
        k, v = (part.repeat_interleave(q.shape[1] // part.shape[1], 1) for part in (k, v))
    return scaled_dot_product_attention(
        q, k, v, attn_mask=blocked, is_causal=blocked is None, scale=scale, enable_gqa=k.shape[1] < q.shape[1]
    )
