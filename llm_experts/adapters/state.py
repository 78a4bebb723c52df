"""An adapter's weights: read, set, counted, and stacked into lanes.

A *state* maps the keys of PEFT's own file format (no adapter name in them) to tensors. Lanes are states of one kind
stacked along a new first dimension; ``torch.func.functional_call`` takes them under a module's own parameter names,
which :func:`parameter_names` gives.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from llm_experts.adapters.error import AdapterError
from llm_experts.adapters.soft_prompt import KEY as PROMPT_KEY

State = dict[str, Tensor]


def adapter_parameters(peft_model: Any, name: str = "default") -> dict[str, nn.Parameter]:
    """The live parameters of an adapter by the keys of PEFT's file format."""
    from peft import get_peft_model_state_dict

    if name not in peft_model.peft_config:
        raise AdapterError(f"There is no adapter {name!r}; there are {', '.join(sorted(peft_model.peft_config))}.")
    if peft_model.peft_config[name].is_prompt_learning:
        return {PROMPT_KEY: peft_model.prompt_encoder[name].embedding.weight}
    live = dict(peft_model.named_parameters())  # no state_dict(): bitsandbytes rearranges weights in it
    found: dict[str, nn.Parameter] = get_peft_model_state_dict(
        peft_model, state_dict=live, adapter_name=name, save_embedding_layers=False
    )
    return found


def adapter_state(peft_model: Any, name: str = "default") -> State:
    """Copies of an adapter's weights."""
    return {key: p.detach().clone() for key, p in adapter_parameters(peft_model, name).items()}


@torch.no_grad()
def set_adapter_state(peft_model: Any, state: Mapping[str, Tensor], name: str = "default") -> None:
    """Copy weights into an adapter; keys and shapes must be its own.

    Raises
    ------
    AdapterError
        If a key is missing or unknown, or a shape differs.
    """
    live = adapter_parameters(peft_model, name)
    check_keys(state, live, name)
    for key, parameter in live.items():
        parameter.copy_(state[key])


def check_keys(state: Mapping[str, Tensor], expected: Mapping[str, Tensor], name: str) -> None:
    """Raise :class:`AdapterError` unless both have the same keys and shapes."""
    odd = sorted(state.keys() ^ expected.keys())
    if odd:
        raise AdapterError(
            f"The weights are not those of adapter {name!r}: {len(odd)} keys differ, first {odd[0]}. They belong to "
            "another kind, other layers or another base; inject the adapter with the configuration it was saved with."
        )
    for key, value in expected.items():
        if value.shape != state[key].shape:
            raise AdapterError(
                f"{key} of adapter {name!r} is {tuple(value.shape)}, but the weights have {tuple(state[key].shape)}. "
                "The rank or the base differs; inject the adapter with the configuration it was saved with."
            )


def parameter_names(module: nn.Module, peft_model: Any, name: str = "default") -> dict[str, str]:
    """What a module that shares an adapter's parameters calls them: key of the state → name in the module.

    Parameters
    ----------
    module : nn.Module
        The PEFT model, one of its layers, or a copy that shares its parameters, such as a ``Top``.

    Raises
    ------
    AdapterError
        If the module lacks one of the parameters.
    """
    held = {id(p): n for n, p in module.named_parameters()}
    live = adapter_parameters(peft_model, name)
    missing = [key for key, p in live.items() if id(p) not in held]
    if missing:
        raise AdapterError(
            f"{len(missing)} weights of adapter {name!r} are not in the module, first {missing[0]}. Restrict the "
            "adapter to the layers that the module has, and take the module after the adapter was injected."
        )
    return {key: held[id(p)] for key, p in live.items()}


def count_parameters(state: Mapping[str, Tensor], keys: Sequence[str] | None = None) -> int:
    """Number of weights, of some keys only if given."""
    return sum(value.numel() for key, value in state.items() if keys is None or key in keys)


def stack_states(states: Sequence[Mapping[str, Tensor]]) -> State:
    """K states as one: every tensor gets a first dimension K."""
    if not states:
        raise AdapterError("There are no adapters to stack.")
    for index, state in enumerate(states):
        check_keys(state, states[0], f"lane {index}")
    return {key: torch.stack([state[key] for state in states]) for key in states[0]}


def unstack(stacked: Mapping[str, Tensor]) -> list[State]:
    """The K states of a stack, as copies."""
    lanes = len(next(iter(stacked.values())))
    return [{key: value[lane].clone() for key, value in stacked.items()} for lane in range(lanes)]


def mask_rank(state: Mapping[str, Tensor], rank: int) -> tuple[State, State]:
    """An adapter of a lower rank in the arrays of a higher one.

    Parameters
    ----------
    state : dict
        Start state of an adapter of the LoRA family (rows of A, columns of B) or of svf (singular values).
    rank : int
        The lower rank.

    Returns
    -------
    (state, mask)
        The state with unused rows of A and columns of B zero (unused entries of svf keep their identity value), and for
        every key a tensor of its shape: 1 where it may train, 0 where it must keep this first value. With A and B both
        zero their gradients are zero too, so that gradient steps keep it exactly; weight decay does as well.

    Notes
    -----
    rsLoRA's scaling depends on the rank: give each lane its own with :func:`lane_scaling`.

    Raises
    ------
    AdapterError
        For kinds whose arrays have no rank (prompts, prefix, IA³), and for a rank above the arrays'.
    """
    masks = {key: _rank_mask(key, value, rank) for key, value in state.items()}
    masked = {key: v.clone() if _is_svf(key) else v * masks[key] for key, v in state.items()}
    return masked, masks


def _is_svf(key: str) -> bool:
    return ".svf" in key


def _rank_mask(key: str, value: Tensor, rank: int) -> Tensor:
    mask = torch.ones_like(value)
    if ".lora_magnitude_vector" in key:
        return mask
    if ".lora_A." in key:
        size, rest = value.shape[-2], mask[..., rank:, :]
    elif ".lora_B." in key or _is_svf(key):
        size, rest = value.shape[-1], mask[..., rank:]
    else:
        raise AdapterError(
            f"{key} has no rank that could be lowered; train adapters of this kind and of different sizes one by one."
        )
    if rank > size and not _is_svf(key):
        raise AdapterError(f"Rank {rank} does not fit: {key} has {size}; inject the adapter with the largest rank.")
    rest.zero_()
    return mask


@contextmanager
def lane_scaling(module: nn.Module, scaling: Tensor | float, name: str = "default") -> Iterator[None]:
    """Within, the LoRA family in ``module`` scales B A by ``scaling``; under ``vmap`` it may be the lane's own."""
    modules: list[Any] = list(module.modules())
    layers = [m for m in modules if isinstance(getattr(m, "scaling", None), dict) and name in m.scaling]
    before = [layer.scaling[name] for layer in layers]
    try:
        for layer in layers:
            layer.scaling[name] = scaling
        yield
    finally:
        for layer, value in zip(layers, before, strict=True):
            layer.scaling[name] = value
