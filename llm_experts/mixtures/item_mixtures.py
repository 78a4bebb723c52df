"""Mixtures of language experts on items with listed answers: α in, margins out, many mixtures as lanes of one pass.

Offset form throughout: α = 0 is the base and a one-hot α that expert. SVF experts are mixed by their multipliers
(:func:`llm_experts.mixtures.svf_mixtures.mixed_adapter`). Of the LoRA family the ranks are laid end to end,
ΔW = Σ_k α_k s_k B_k A_k, which is exact for weights of any sign and size; A does not depend on α, so that all mixtures
have one configuration.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property

import torch
from torch import Tensor

from llm_experts.adapters.composition.weighted import exact_lora, stacked_factors
from llm_experts.adapters.delta import part_of
from llm_experts.adapters.deltas import adapter_deltas
from llm_experts.adapters.error import AdapterError
from llm_experts.bases.base import Base
from llm_experts.decoder.cut import decoder_of
from llm_experts.decoder.program import Adapter, config_key
from llm_experts.mixtures.svf_mixtures import mixed_adapter
from llm_experts.training.sequences.choices import Choices
from llm_experts.training.sequences.lanes import SequenceLanes

LOW_RANK = ("lora", "rslora", "lora_fa")
LANES = 8
"""Mixtures of one pass. Always as many, the last one repeated where there are fewer: a mixture's numbers then do not
depend on which others are asked for with it, and a search that goes on gets the ones that it would have had."""
OPERATIONS = 2e10
"""Operations a second that latencies are told for: nominal, so that they are the same wherever a search runs."""
INSTEAD = {
    "dora": "its weighted sum scales whole rows of W and is of no low rank; train experts as lora or rslora",
    "ia3": "it has no ranks to lay end to end; train experts as svf, which are gains too and can be mixed",
    "soft_prompt": "virtual tokens are a text and have no weighted sum; train experts as lora or svf",
    "prefix": "virtual tokens are a text and have no weighted sum; train experts as lora or svf",
}


def mixed(experts: Sequence[Adapter], alpha: Tensor) -> Adapter:
    """The adapter that is the mixture with weights α.

    Parameters
    ----------
    experts : sequence of K Adapter
        All ``svf``, or all of the LoRA family (:data:`LOW_RANK`, of any ranks, layers and matrices).
    alpha : [K]
        Of any sign and size; 0 is the base.

    Raises
    ------
    AdapterError
        For kinds that have no exact mixture (with what to train instead), SVF beside others, and a wrong number of
        weights.
    """
    kinds = {adapter.kind for adapter in experts}
    check_mixable(kinds)
    if alpha.shape != (len(experts),):
        raise AdapterError(f"There are {alpha.numel()} weights for {len(experts)} experts; give one weight per expert.")
    if kinds == {"svf"}:
        return mixed_adapter(experts, alpha)
    deltas = [adapter_deltas(adapter.config, adapter.state, None) for adapter in experts]
    places = sorted({place for found in deltas for place in found})
    found = exact_lora({place: stacked_factors(deltas, alpha.tolist(), place) for place in places})
    return Adapter(found.config, found.state)


def check_mixable(kinds: set[str]) -> None:
    """Refuse kinds of adapters whose weighted sum is not one adapter, exactly.

    Raises
    ------
    AdapterError
        With what to train instead.
    """
    for kind in sorted(kinds - {"svf", *LOW_RANK}):
        why = INSTEAD.get(kind, f"an exact mixture is known of svf, {', '.join(LOW_RANK)}")
        raise AdapterError(f"Experts of kind {kind} cannot be mixed into one adapter: {why}.")
    if not kinds or ("svf" in kinds and len(kinds) > 1):
        raise AdapterError(
            f"Experts of kinds {', '.join(sorted(kinds)) or 'none'} cannot be mixed into one adapter: multipliers of "
            "singular values and low ranks do not add up. Train all experts as one kind."
        )


def lowest_layer(experts: Sequence[Adapter]) -> int:
    """The first layer that any of the experts changes."""
    return min(part_of(key)[0].layer for adapter in experts for key in adapter.state)


@dataclass(eq=False)
class ItemMixtures:
    """What a mixture search needs to know (:class:`llm_experts.search.mixture.MixtureModel`), on items.

    Attributes
    ----------
    names : tuple of str
        Of the K experts.
    experts : tuple of Adapter
    choices : Choices
        The n items.
    swapped : Choices or None
        Items whose group terms are exchanged, m of the n.
    swapped_of : [m] int64
        Which items these are.
    lanes : int
        Mixtures of one pass.
    """

    names: tuple[str, ...]
    experts: tuple[Adapter, ...]
    choices: Choices
    swapped: Choices | None = None
    swapped_of: Tensor = field(default_factory=lambda: torch.empty(0, dtype=torch.int64))
    lanes: int = LANES

    def __post_init__(self) -> None:
        if len(self.names) != len(self.experts):
            raise AdapterError(f"{len(self.names)} names are given for {len(self.experts)} experts; give one each.")
        if len(self.swapped_of) != (0 if self.swapped is None else len(self.swapped)):
            raise AdapterError("Every swapped item needs the number of the item that it was made of.")

    @property
    def base(self) -> Base:
        """What the experts adapt."""
        return self.choices.base

    @cached_property
    def hash(self) -> str:
        """Identity of base, experts and items."""
        found = hashlib.sha256(self.base.hash.encode())
        for name, adapter in zip(self.names, self.experts, strict=True):
            found.update(f"\x1f{name}\x1f{config_key(adapter.config)}".encode())
            for key in sorted(adapter.state):
                found.update(key.encode() + adapter.state[key].contiguous().cpu().float().numpy().tobytes())
        for part in (self.choices, self.swapped):
            for item in () if part is None else part.rows:
                found.update(repr((item.row, item.parts[0].ids, item.parts[0].segments)).encode())
        found.update(repr(self.swapped_of.tolist()).encode())
        return found.hexdigest()

    def margins(self, alphas: Tensor) -> Tensor:
        """[P, n] float64 log-odds of the right answer of P mixtures [P, K]."""
        return self._read(self.choices, alphas)

    def moved(self, alphas: Tensor) -> Tensor:
        """[P, n, 1] the same with group terms exchanged; 0 at items that have none."""
        found = torch.zeros(len(alphas), len(self.choices), 1, dtype=torch.float64)
        if self.swapped is not None:
            found[:, self.swapped_of, 0] = self._read(self.swapped, alphas)
        return found

    def base_margins(self) -> Tensor:
        """[n] of the base without adapters."""
        return self.choices.base_margins(self._room)

    def latency_ms(self, alphas: Tensor) -> Tensor:
        """[P] float64 milliseconds that a text of mean length takes, by operations at a nominal rate.

        Two operations per weight and token. An SVF mixture is merged into the weights and costs what the base does; a
        LoRA runs beside the matrices, unless its weight is 0.
        """
        running = (alphas != 0).double() @ torch.tensor(self._beside, dtype=torch.float64)
        lengths = self.choices.text_lengths
        return (self._weights + running) * 2 * (sum(lengths) / len(lengths)) / OPERATIONS * 1e3

    @cached_property
    def _beside(self) -> list[float]:
        """Weights of each expert that run beside the base's."""
        return [
            0.0 if adapter.kind == "svf" else float(sum(value.numel() for value in adapter.state.values()))
            for adapter in self.experts
        ]

    @cached_property
    def _weights(self) -> int:
        """Weights of the matrices of the layers and of the head."""
        layers = sum(w.numel() for w in decoder_of(self.base).layers.parameters() if w.ndim == 2)
        return int(layers + self._room.head.numel())

    @cached_property
    def _room(self) -> SequenceLanes:
        """Lanes for any mixtures: their configuration does not depend on α."""
        first = mixed(self.experts, torch.zeros(len(self.experts), dtype=torch.float64))
        one = SequenceLanes.of(self.base, [first], lowest_layer(self.experts))
        return one.select(torch.zeros(self.lanes, dtype=torch.int64))

    def _read(self, choices: Choices, alphas: Tensor) -> Tensor:
        found = [self._pass(choices, part) for part in torch.split(alphas, self.lanes)]
        return torch.cat(found) if found else torch.empty(0, len(choices), dtype=torch.float64)

    def _pass(self, choices: Choices, alphas: Tensor) -> Tensor:
        full = torch.cat([alphas, alphas[-1:].expand(self.lanes - len(alphas), -1)])
        theta = self._room.theta_of([mixed(self.experts, alpha) for alpha in full])
        return choices.margins(self._room, theta)[: len(alphas)]
