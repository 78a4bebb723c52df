"""What a kind of adapter is: how it is configured, started and trained."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from torch import Generator, Tensor

from llm_experts.adapters.delta import Delta
from llm_experts.adapters.error import AdapterError

if TYPE_CHECKING:
    from peft import PeftConfig
    from torch import nn

ALL_LINEAR = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")
"""The seven matrices of a Llama, Mistral or Qwen layer."""


Gradients = Callable[[Mapping[str, Tensor]], Mapping[str, Tensor]]
"""Gradients by key -> what the optimiser gets instead."""


def everything_trains(_key: str) -> bool:
    """Predicate of kinds without frozen adapter weights."""
    return True


def as_made(_key: str, value: Tensor, _generator: Generator, _model: nn.Module, _config: Any) -> Tensor:
    """Start value of kinds whose start is not random: what PEFT made of configuration and base weights."""
    return value.detach().clone()


@dataclass(frozen=True, kw_only=True)
class AdapterKind:
    """One kind of adapter.

    Attributes
    ----------
    name : str
        Word in suites, files and tables; that of the kind's file.
    label, about : str
        Name for people, and what it is in a few words.
    place : int
        Where it stands in lists of kinds; those without one come last.
    make : callable
        ``make(rank, layers, model, **options) -> PeftConfig``; call :meth:`make_config`.
    lr_range : (float, float)
        Where tuning looks, on a logarithmic scale.
    rank_choices : tuple of int or None
        What tuning chooses from. Rank is that of the matrices (LoRA family), the number of virtual tokens (prompts),
        the number of singular values (svf; None is all of them); IA³ has none and ignores it.
    needs_full_model : bool
        Virtual tokens: all layers see them, so no layer's output can be shared between adapters.
    trains_matrices : bool
        Whether the trained weights are matrices: learning rates then go with 1 / width of the base.
    row_wise : bool
        Whether PEFT's layers honour ``adapter_names``, and several active adapters add up.
    peft_type, peft_flag : str
        PEFT's method, and the option of it that is set: what a configuration of another program is known by.
    written_as : str
        Kind that its configuration file reads as, where PEFT has no word for the difference; "" for most.
    parts : tuple of str
        What its weights at a matrix are called.
    delta : callable or None
        ``delta(weights by part, config, module of the matrix) -> Delta``; None for virtual tokens.
    keys_and_values : callable or None
        ``keys_and_values(virtual tokens, config)``: what they are in every layer; None where they are embeddings.
    trains : callable
        Whether the parameter with this key of the adapter's state trains.
    start : callable
        ``start(key, value, generator, model, config) -> Tensor``: first value of a parameter; ``value`` is PEFT's.
    preconditioner : callable or None
        ``preconditioner(stacked frozen weights, config)`` gives what is done to the stacked gradients of a step.
    """

    name: str
    label: str
    about: str
    make: Callable[..., PeftConfig]
    lr_range: tuple[float, float]
    rank_choices: tuple[int | None, ...]
    peft_type: str
    peft_flag: str = ""
    written_as: str = ""
    place: int = 100
    needs_full_model: bool = False
    trains_matrices: bool = False
    row_wise: bool = False
    parts: tuple[str, ...] = ()
    delta: Callable[[Mapping[str, Tensor], Any, nn.Module], Delta] | None = None
    keys_and_values: Callable[[Tensor, Any], Tensor] | None = None
    trains: Callable[[str], bool] = everything_trains
    start: Callable[[str, Tensor, Generator, nn.Module, Any], Tensor] = as_made
    preconditioner: Callable[[Mapping[str, Tensor], Any], Gradients] | None = None

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
            A rank below 1 or above the base's width, more virtual tokens than its context has, a layer that is not
            there, or ``layers`` for virtual tokens.
        """
        depth = int(model.config.num_hidden_layers)  # type: ignore[union-attr, arg-type]
        if rank is not None and rank < 1:
            raise AdapterError(f"An adapter of kind {self.name} cannot have rank {rank}; ranks start at 1.")
        self._check_room(rank, model)
        wrong = [layer for layer in layers or () if not 0 <= layer < depth]
        if wrong or (layers is not None and not len(layers)):
            raise AdapterError(f"Layers {list(layers or ())} cannot be adapted: the base has layers 0 to {depth - 1}.")
        if self.needs_full_model and layers is not None and len(set(layers)) < depth:
            raise AdapterError(
                f"An adapter of kind {self.name} is made of virtual tokens, which every layer sees; it cannot be "
                f"restricted to layers {sorted(layers)}. Leave layers out, or choose a kind that changes weights."
            )
        try:
            config: Any = self.make(rank, None if layers is None else sorted(set(layers)), model, **options)
        except TypeError as error:
            if not options:
                raise
            said = ", ".join(f"{name} = {value!r}" for name, value in options.items())
            raise AdapterError(
                f"The adapter kind {self.name} cannot be made with {said} ({error}). Correct the options."
            ) from error
        config.fairmoe_kind = self.name  # an attribute, not a field: PEFT's file format stays PEFT's
        return config  # type: ignore[no-any-return]

    def _check_room(self, rank: int | None, model: nn.Module) -> None:
        """Refuse matrices of a higher rank than the base's, and virtual tokens that leave no room for a text."""
        if rank is None or not (self.needs_full_model or self.trains_matrices):
            return
        key, what = ("max_position_embeddings", "context") if self.needs_full_model else ("hidden_size", "width")
        most = getattr(model.config, key, None)
        if most is not None and rank > most:
            raise AdapterError(
                f"An adapter of kind {self.name} cannot have rank {rank}: the base's {what} is {most}. Give one from "
                f"1 to {most}; {', '.join(map(str, self.rank_choices))} are usual."
            )


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
