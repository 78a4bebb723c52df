"""What a kind of adapter is: how it is configured, started and trained."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from torch import Generator, Tensor

if TYPE_CHECKING:
    from peft import PeftConfig
    from torch import nn

ALL_LINEAR = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")
"""The seven matrices of a Llama, Mistral or Qwen layer."""


class AdapterError(ValueError):
    """An adapter that cannot be made, read or composed as asked; the text says what to do."""


def everything_trains(_key: str) -> bool:
    """Predicate of kinds without frozen adapter weights."""
    return True


def as_made(_key: str, value: Tensor, _generator: Generator, _model: nn.Module, _config: Any) -> Tensor:
    """Start value of kinds whose start is not random: what PEFT made of configuration and base weights."""
    return value.detach().clone()


@dataclass(frozen=True)
class AdapterKind:
    """One kind of adapter.

    Attributes
    ----------
    name : str
        Word in suites, files and tables.
    title : str
        Name for people, with its source.
    make : callable
        ``make(rank, layers, model, **options) -> PeftConfig``; call :meth:`make_config`.
    default_lr : float
    lr_range : (float, float)
        Where tuning looks, on a logarithmic scale.
    rank_choices : tuple of int or None
        What tuning chooses from. Rank is that of the matrices (LoRA family), the number of virtual tokens (prompts),
        the number of singular values (svf; None is all of them); IA³ has none and ignores it.
    needs_full_model : bool
        Virtual tokens: all layers see them, so no layer's output can be shared between adapters.
    trains : callable
        Whether the parameter with this key of the adapter's state trains.
    start : callable
        ``start(key, value, generator, model, config) -> Tensor``: first value of a parameter; ``value`` is PEFT's.
    """

    name: str
    title: str
    make: Callable[..., PeftConfig]
    default_lr: float
    lr_range: tuple[float, float]
    rank_choices: tuple[int | None, ...]
    needs_full_model: bool = False
    trains: Callable[[str], bool] = everything_trains
    start: Callable[[str, Tensor, Generator, nn.Module, Any], Tensor] = as_made

    def make_config(
        self, rank: int | None, layers: Sequence[int] | None, model: nn.Module, **options: Any
    ) -> PeftConfig:
        """PEFT's configuration of an adapter of this kind.

        Parameters
        ----------
        rank : int or None
            See :attr:`rank_choices`; None takes the kind's first choice, or all singular values.
        layers : sequence of int or None
            Decoder layers that are adapted, None all.
        model : PreTrainedModel
            The base's model.
        options
            Passed to the kind's file, which names its own.

        Raises
        ------
        AdapterError
            A rank below 1, a layer that is not there, or ``layers`` for virtual tokens.
        """
        depth = int(model.config.num_hidden_layers)  # type: ignore[union-attr, arg-type]
        if rank is not None and rank < 1:
            raise AdapterError(f"An adapter of kind {self.name} cannot have rank {rank}; ranks start at 1.")
        wrong = [layer for layer in layers or () if not 0 <= layer < depth]
        if wrong or (layers is not None and not len(layers)):
            raise AdapterError(f"Layers {list(layers or ())} cannot be adapted: the base has layers 0 to {depth - 1}.")
        if self.needs_full_model and layers is not None and len(set(layers)) < depth:
            raise AdapterError(
                f"An adapter of kind {self.name} is made of virtual tokens, which every layer sees; it cannot be "
                f"restricted to layers {sorted(layers)}. Leave layers out, or choose a kind that changes weights."
            )
        config: Any = self.make(rank, None if layers is None else sorted(set(layers)), model, **options)
        config.fairmoe_kind = self.name  # an attribute, not a field: PEFT's file format stays PEFT's
        return config  # type: ignore[no-any-return]


def module_names(model: nn.Module, suffixes: Sequence[str], layers: Sequence[int] | None) -> list[str]:
    """Names of target modules: suffixes alone for all layers, with their layer otherwise.

    PEFT matches a name that ends with a target; ``layers.2.mlp.down_proj`` cannot match in layer 12, as a dot precedes.
    """
    if layers is None:
        return list(suffixes)
    decoder = model.get_decoder()  # type: ignore[operator]
    return [
        f"layers.{layer}.{name}"
        for layer in layers
        for name, _ in decoder.layers[layer].named_modules()
        if name.rpartition(".")[2] in suffixes
    ]
