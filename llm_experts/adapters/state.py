"""An adapter's weights: read, set, and stacked into lanes.

A *state* maps the keys of PEFT's own file format (no adapter name in them) to tensors. Lanes are states of one kind
stacked along a new first dimension; ``torch.func.functional_call`` takes them under a module's own parameter names,
which :func:`parameter_names` gives.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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


def stack_states(states: Sequence[Mapping[str, Tensor]]) -> State:
    """K states as one: every tensor gets a first dimension K."""
    if not states:
        raise AdapterError("There are no adapters to stack.")
    for index, state in enumerate(states):
        check_keys(state, states[0], f"lane {index}")
    return {key: torch.stack([state[key] for state in states]) for key in states[0]}


def flat_states(state: Mapping[str, Tensor], keys: Sequence[str]) -> Tensor:
    """[K, P] float32 of a stacked state: the weights of ``keys``, one behind the other."""
    first = next(iter(state.values()))
    empty = first.new_zeros((len(first), 0), dtype=torch.float32)
    return torch.cat([empty, *(state[key].flatten(1).float() for key in keys)], 1)
