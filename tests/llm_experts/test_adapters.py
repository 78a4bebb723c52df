"""Kinds of adapters: configuration, deterministic start, state, lanes."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.func import functional_call, grad, vmap

from llm_experts.adapters.registry import (
    ADAPTERS,
    KINDS,
    AdapterError,
    State,
    adapter_parameters,
    adapter_state,
    count_parameters,
    inject,
    kind_named,
    kind_of,
    lane_scaling,
    mask_rank,
    own_copy,
    parameter_names,
    remove,
    set_adapter_state,
    stack_states,
    start_state,
    trainable_names,
    unstack,
)
from llm_experts.base import Base

WEIGHT_KINDS = [name for name in KINDS if not ADAPTERS[name].needs_full_model]
LOW_RANK = ["lora", "rslora", "dora", "lora_fa"]
IDS = torch.tensor([[5, 9, 31, 7, 80], [11, 12, 13, 14, 15]])


def logits(model: nn.Module) -> Tensor:
    with torch.no_grad():
        found: Tensor = model(input_ids=IDS, attention_mask=torch.ones_like(IDS)).logits
    return found


def weights(base: Base) -> dict[str, Tensor]:
    return {name: value.clone() for name, value in base.model.state_dict().items()}


def noisy(state: State, seed: int, size: float = 0.1) -> State:
    generator = torch.Generator().manual_seed(seed)
    return {key: value + size * torch.randn(value.shape, generator=generator) for key, value in state.items()}


def injected(base: Base, kind: str, layers: list[int] | None = None, rank: int | None = 4, seed: int = 0):
    copy = own_copy(base)
    return inject(copy.model, ADAPTERS[kind].make_config(rank, layers, copy.model), seed)


def layer_forward(base: Base, layer: nn.Module) -> Callable[[dict[str, Tensor]], Tensor]:
    """The last decoder layer as a function of parameters by the layer's own names."""
    generator = torch.Generator().manual_seed(7)
    hidden = torch.randn(2, 5, base.hidden_size, generator=generator)
    rotary = base.model.get_decoder().rotary_emb(hidden, torch.arange(5)[None])
    mask = torch.full((5, 5), -1e9).triu(1)[None, None]
    layer.self_attn.config._attn_implementation = "eager"

    def forward(parameters: dict[str, Tensor]) -> Tensor:
        return functional_call(
            layer, parameters, (hidden,), {"attention_mask": mask, "position_embeddings": rotary}, strict=False
        )

    return forward


@pytest.mark.parametrize("kind", WEIGHT_KINDS)
def test_lanes_equal_separate_passes_and_gradients(tiny_base: Base, kind: str) -> None:
    model = injected(tiny_base, kind, layers=[2])
    layer = model.get_base_model().model.layers[2]
    names = parameter_names(layer, model)
    forward = layer_forward(tiny_base, layer)
    states = [noisy(start_state(model, seed), seed) for seed in range(3)]

    def lane(state: State) -> Tensor:
        return forward({names[key]: value for key, value in state.items()})

    def loss(state: State) -> Tensor:
        return lane(state).square().mean()

    together, apart = vmap(lane)(stack_states(states)), [lane(state) for state in states]
    assert (apart[0] - apart[1]).abs().max() > 1e-3
    torch.testing.assert_close(together, torch.stack(apart), atol=1e-5, rtol=1e-5)
    gradients = unstack(vmap(grad(loss))(stack_states(states)))
    for found, state in zip(gradients, states, strict=True):
        expected = grad(loss)(state)
        for key in state:
            torch.testing.assert_close(found[key], expected[key], atol=1e-5, rtol=1e-4)
