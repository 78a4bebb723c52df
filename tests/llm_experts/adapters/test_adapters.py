"""Kinds of adapters: configuration, deterministic start, state, lanes."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.func import functional_call, grad, vmap

from llm_experts.adapters.error import AdapterError
from llm_experts.adapters.injection import inject, own_copy, remove, start_state, trainable_names
from llm_experts.adapters.registry import ADAPTERS, KINDS, kind_named, kind_of
from llm_experts.adapters.state import (
    State,
    adapter_parameters,
    adapter_state,
    parameter_names,
    set_adapter_state,
    stack_states,
)
from llm_experts.bases.base import Base

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
    gradients = vmap(grad(loss))(stack_states(states))
    for lane_of, state in enumerate(states):
        expected = grad(loss)(state)
        for key in state:
            torch.testing.assert_close(gradients[key][lane_of], expected[key], atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("kind", KINDS)
def test_start_depends_on_the_seed_alone(tiny_base: Base, kind: str) -> None:
    before = torch.random.get_rng_state()
    one, again = (adapter_state(injected(tiny_base, kind, seed=3)) for _ in range(2))
    torch.random.manual_seed(123)
    other_global = adapter_state(injected(tiny_base, kind, seed=3))
    torch.random.set_rng_state(before)
    for key in one:
        assert torch.equal(one[key], again[key]) and torch.equal(one[key], other_global[key])
    model = injected(tiny_base, kind, seed=3)
    for key, value in start_state(model, 3).items():
        assert torch.equal(value, one[key])
    other = start_state(model, 4)
    differ = any(not torch.equal(other[key], one[key]) for key in one)
    assert differ == (kind not in ("ia3", "svf"))


def test_injecting_leaves_the_global_generator_alone(tiny_base: Base) -> None:
    before = torch.random.get_rng_state()
    injected(tiny_base, "lora")
    assert torch.equal(torch.random.get_rng_state(), before)


@pytest.mark.parametrize("kind", KINDS)
def test_an_adapter_in_and_out_leaves_the_base_as_it_was(tiny_base: Base, kind: str) -> None:
    before, said = weights(tiny_base), logits(tiny_base.model)
    model = inject(tiny_base.model, ADAPTERS[kind].make_config(4, None, tiny_base.model), 0)
    set_adapter_state(model, noisy(adapter_state(model), 1))
    assert (logits(model)[:, -1] - said[:, -1]).abs().max() > 1e-3
    after = remove(model)
    assert after is tiny_base.model
    assert weights(tiny_base).keys() == before.keys()
    assert all(torch.equal(value, before[name]) for name, value in weights(tiny_base).items())
    assert torch.equal(logits(after), said)
    assert not any(p.requires_grad for p in after.parameters())
    inject(after, ADAPTERS[kind].make_config(4, None, after), 0)  # and it takes another one without a warning


@pytest.mark.parametrize("kind", WEIGHT_KINDS)
def test_weight_adapters_start_as_the_base_and_spare_a_copy(tiny_base: Base, kind: str) -> None:
    said = logits(tiny_base.model)
    model = injected(tiny_base, kind)
    torch.testing.assert_close(logits(model), said, atol=1e-5, rtol=1e-5)
    assert torch.equal(logits(tiny_base.model), said)
    assert not any(hasattr(m, "base_layer") for m in tiny_base.model.modules())


@pytest.mark.parametrize("kind", WEIGHT_KINDS)
def test_layers_restrict_the_adapter(tiny_base: Base, kind: str) -> None:
    few, all_of_them = (adapter_state(injected(tiny_base, kind, layers)) for layers in ([2], None))
    assert few and all(".layers.2." in key for key in few)
    assert len(all_of_them) == 3 * len(few)
    for key in few:
        assert torch.equal(few[key], all_of_them[key])


@pytest.mark.parametrize(("kind", "most"), [("lora", 64), ("dora", 64), ("lora_fa", 64), ("prefix", 1024)])
def test_a_rank_above_what_the_base_has_is_refused(tiny_base: Base, kind: str, most: int) -> None:
    with pytest.raises(AdapterError, match=rf"cannot have rank {most + 1}: the base's \w+ is {most}\. Give one"):
        kind_named(kind).make_config(most + 1, None, tiny_base.model)
    assert kind_named(kind).make_config(most, None, tiny_base.model)


def test_scaling_does_not_depend_on_the_rank_except_for_rslora(tiny_base: Base) -> None:
    def scaling(kind: str, rank: int) -> float:
        model = injected(tiny_base, kind, [0], rank)
        return model.get_base_model().model.layers[0].mlp.up_proj.scaling["default"]

    assert scaling("lora", 4) == scaling("lora", 16) == scaling("dora", 8) == 2
    assert scaling("rslora", 4) == 4 and scaling("rslora", 16) == 2


def test_all_linear_and_ia3_targets(tiny_base: Base) -> None:
    targets = {key.split(".")[-3] for key in adapter_state(injected(tiny_base, "lora")) if "lora_A" in key}
    assert targets == {"q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"}
    gains = adapter_state(injected(tiny_base, "ia3", [1]))
    assert {key.split(".")[-2]: tuple(value.shape) for key, value in gains.items()} == {
        "k_proj": (32, 1),
        "v_proj": (32, 1),
        "down_proj": (1, 128),
    }


def test_trainable_names_are_what_requires_gradients(tiny_base: Base) -> None:
    for kind in KINDS:
        model = injected(tiny_base, kind)
        live = adapter_parameters(model)
        trains = {key for key, p in live.items() if p.requires_grad}
        assert trains == set(trainable_names(model))
        assert {id(p) for p in model.parameters() if p.requires_grad} == {id(live[key]) for key in trains}
    assert all(".lora_B." in key for key in trainable_names(injected(tiny_base, "lora_fa")))
    model = injected(tiny_base, "lora_fa", [0])
    state = adapter_state(model)
    assert sum(state[key].numel() for key in trainable_names(model)) == 4 * (64 + 32 + 32 + 64 + 128 + 128 + 64)


def test_lora_fa_projection_is_that_of_the_library(tiny_base: Base) -> None:
    from peft.optimizers import create_lorafa_optimizer

    from llm_experts.adapters import lora_fa

    model = injected(tiny_base, "lora_fa", [2])
    set_adapter_state(model, noisy(adapter_state(model), 0))
    state = adapter_state(model)
    factors = lora_fa.projections(state, 2.0)
    key = next(iter(factors))
    a = state[key.replace("lora_B", "lora_A")]
    torch.testing.assert_close(factors[key], torch.linalg.inv(a @ a.T) / 4, atol=1e-4, rtol=1e-3)
    config = model.peft_config["default"]
    optimiser = create_lorafa_optimizer(model=model, r=config.r, lora_alpha=config.lora_alpha, lr=1e-3)
    model(input_ids=IDS, labels=IDS).loss.backward()
    gradients = {k: p.grad.clone() for k, p in adapter_parameters(model).items() if p.grad is not None}
    assert set(gradients) == set(trainable_names(model))
    optimiser.step()
    after = adapter_state(model)
    projected = lora_fa.project(gradients, factors)
    assert set(projected) == set(gradients)
    for k in state:  # Adam's first step is lr · sign of the projected gradient
        if ".lora_A." in k:
            assert torch.equal(after[k], state[k])
            continue
        large = projected[k].abs() > 0.1 * projected[k].abs().max()
        agree = torch.sign(state[k] - after[k])[large] == torch.sign(projected[k])[large]
        assert agree.all()


@pytest.mark.parametrize("kind", ["soft_prompt", "prefix"])
def test_virtual_tokens_that_start_as_a_text_are_that_text(tiny_base: Base, kind: str) -> None:
    text = "Is the applicant a good credit risk?"
    ids = tiny_base.tokenizer(text, add_special_tokens=False)["input_ids"]
    copy = own_copy(tiny_base)
    options = {"text": text, "tokenizer": tiny_base.tokenizer}
    model = inject(copy.model, ADAPTERS[kind].make_config(len(ids), None, copy.model, **options), 0)
    whole = torch.cat([torch.tensor([ids, ids]), IDS], 1)
    expected = tiny_base.model(input_ids=whole).logits[:, -IDS.shape[1] :]
    torch.testing.assert_close(logits(model)[:, -IDS.shape[1] :], expected, atol=2e-5, rtol=1e-4)
    longer = ADAPTERS[kind].make_config(len(ids) + 3, None, copy.model, **options)
    assert longer.fairmoe_ids == (*ids, *ids[:3])


def test_prompts_start_as_words_or_as_asked(tiny_base: Base) -> None:
    table = tiny_base.model.get_input_embeddings().weight
    copy = own_copy(tiny_base)
    kind = ADAPTERS["soft_prompt"]
    words = start_state(inject(copy.model, kind.make_config(5, None, copy.model), 0), 0)["prompt_embeddings"]
    assert all((table == row).all(1).any() for row in words)
    copy = own_copy(tiny_base)
    random = start_state(inject(copy.model, kind.make_config(5, None, copy.model, start="random"), 0), 0)
    assert not any((table == row).all(1).any() for row in random["prompt_embeddings"])
    assert random["prompt_embeddings"].std() == pytest.approx(float(table.std()), rel=0.2)
    with pytest.raises(AdapterError, match="need text="):
        kind.make_config(5, None, copy.model, start="text")


def test_bad_requests_say_what_is_there(tiny_base: Base) -> None:
    lora = ADAPTERS["lora"]
    with pytest.raises(AdapterError, match="choose one of lora, rslora"):
        kind_named("lokr")
    with pytest.raises(AdapterError, match="layers 0 to 2"):
        lora.make_config(4, [3], tiny_base.model)
    with pytest.raises(AdapterError, match="rank 0"):
        lora.make_config(0, None, tiny_base.model)
    with pytest.raises(AdapterError, match="every layer sees"):
        ADAPTERS["prefix"].make_config(4, [2], tiny_base.model)
    model = injected(tiny_base, "lora")
    with pytest.raises(AdapterError, match="already"):
        inject(model, lora.make_config(4, None, model.get_base_model()), 0)
    for name in ("", "a.b", "lora"):
        with pytest.raises(AdapterError, match="Choose another name"):
            inject(model, lora.make_config(4, None, model.get_base_model()), 0, name)
    with pytest.raises(AdapterError, match="no adapter 'other'; there are default"):
        adapter_state(model, "other")
    state = adapter_state(model)
    with pytest.raises(AdapterError, match="keys differ"):
        set_adapter_state(model, {key: state[key] for key in list(state)[1:]})
    with pytest.raises(AdapterError, match="The rank or the base differs"):
        set_adapter_state(model, adapter_state(injected(tiny_base, "lora", rank=8)))
    with pytest.raises(AdapterError, match="are not in the module"):
        parameter_names(model.get_base_model().model.layers[0], model)
    with pytest.raises(AdapterError, match="no adapters to stack"):
        stack_states([])


def test_several_adapters_of_a_kind_live_in_one_model(tiny_base: Base) -> None:
    model = injected(tiny_base, "lora")
    copy = model.get_base_model()
    inject(model, ADAPTERS["lora"].make_config(8, None, copy), 1, "second")
    assert adapter_state(model).keys() == adapter_state(model, "second").keys()
    assert model.active_adapters == ["second"]
    key = next(iter(adapter_state(model)))
    assert adapter_state(model)[key].shape[0] == 4 and adapter_state(model, "second")[key].shape[0] == 8


def test_kinds_are_read_from_configurations(tiny_base: Base) -> None:
    for name in KINDS:
        config = ADAPTERS[name].make_config(4, None, tiny_base.model)
        assert kind_of(config).name == name
        del config.fairmoe_kind
        assert kind_of(config).name == ("lora" if name == "lora_fa" else name)
        json.dumps(config.to_dict(), default=list)


def test_kinds_have_what_tuning_needs() -> None:
    for name, kind in ADAPTERS.items():
        assert kind.name == name and kind.label and kind.about and kind.rank_choices
        assert 0 < kind.lr_range[0] < kind.lr_range[1]
