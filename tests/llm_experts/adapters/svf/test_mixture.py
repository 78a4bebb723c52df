"""Mixtures of SVF adapters in multiplier space, and lanes."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from peft import get_peft_model
from torch.func import functional_call, grad, vmap

from llm_experts.adapters.error import AdapterError
from llm_experts.adapters.svf import SVFConfig, expert_vectors, mixed_z, svf_layers, svf_mixture
from llm_experts.adapters.svf.multipliers import offsets
from llm_experts.decoder.cut import CutBase
from llm_experts.decoder.layout import Layout
from tests.llm_experts.adapters.svf.svf_fixtures import IDS, far, logits, own_cache, shake, svf_model  # noqa: F401
from tests.llm_experts.conftest import make_tiny_base

NAMES = ["default", "second", "third"]
RANKS = (None, 12, 40)
ALPHA = torch.tensor([[0.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.4, 0.3, 0.3], [1.5, -0.5, 0.2]])


@pytest.fixture
def three() -> Any:
    """A model with three adapters of different ranks, factored."""
    model = svf_model(make_tiny_base(), forward="factored")
    for seed, (name, rank) in enumerate(zip(NAMES, RANKS, strict=True)):
        if name != "default":
            model.add_adapter(name, SVFConfig(task_type="CAUSAL_LM", rank=rank, forward="factored"))
        shake(model, name, seed=seed, size=0.2)
    return model


def test_worked_example():
    zs = torch.tensor([[2.0, 1.0, 0.5], [0.0, 1.0, 3.0]])
    torch.testing.assert_close(mixed_z(zs, torch.tensor([0.5, 0.25])), torch.tensor([1.25, 1.0, 1.25]))
    torch.testing.assert_close(mixed_z(zs, torch.tensor([0.0, 2.0])), torch.tensor([0.0, 1.0, 5.0]))  # not below zero
    rows = mixed_z(list(zs), torch.tensor([[0.0, 0.0], [1.0, 0.0], [1.0, 1.0]]))
    torch.testing.assert_close(rows, torch.tensor([[1.0, 1, 1], [2, 1, 0.5], [1, 1, 2.5]]))


@given(
    st.lists(st.floats(0, 4, width=32), min_size=3, max_size=3),
    st.lists(st.floats(-2, 3, width=32), min_size=4, max_size=4),
)
@settings(max_examples=40, deadline=None)
def test_identities(z, alpha):
    one = torch.tensor(z)
    weights = torch.tensor(alpha)
    assert torch.equal(mixed_z(one.repeat(4, 1), torch.zeros(4)), torch.ones(3))
    hot = mixed_z(torch.stack([one, one + 1, one * 2, one]), torch.eye(4)[0])
    torch.testing.assert_close(hot, one)
    simplex = weights.softmax(0)
    torch.testing.assert_close(mixed_z(one.repeat(4, 1), simplex), one, atol=1e-5, rtol=1e-5)
    assert bool((mixed_z(one.repeat(4, 1), weights) >= 0).all())


def test_offsets_keep_small_changes_and_sums():
    p, s = torch.tensor([1e-9, -1e-9, 0.3]), torch.tensor([5.0, 2.0, 1.0])
    assert offsets(p, s, False)[0] == p[0]
    z = 1 + offsets(torch.tensor([0.4, -0.2, 1.0]), s, True)
    assert float((s * z).sum()) == pytest.approx(8.0)
    torch.testing.assert_close(z[2] / z[0], torch.tensor(0.6).exp())
    assert torch.equal(offsets(torch.zeros(3), s, True), torch.zeros(3))
    assert torch.equal(offsets(torch.zeros(2), torch.zeros(2), True), torch.zeros(2))


@pytest.mark.parametrize("forward", ["factored", "materialised", "auto"])
def test_zero_is_the_base_and_one_hot_the_expert(three, forward):
    base = logits(make_tiny_base().model)
    for layer in svf_layers(three):
        layer.settings = {name: s._replace(forward=forward) for name, s in layer.settings.items()}
    with svf_mixture(three, NAMES, torch.zeros(3)):
        assert far(logits(three), base) == 0
    for index, name in enumerate(NAMES):
        three.set_adapter(name)
        with svf_mixture(three, NAMES, torch.eye(3)[index]):
            mixed = logits(three)
        assert far(mixed, logits(three)) == 0
        assert far(mixed, base) > 0.1
    with svf_mixture(three, NAMES, torch.ones(3)), three.disable_adapter():
        assert far(logits(three), base) == 0


def test_rows_have_their_own_mixtures(three):
    base = logits(make_tiny_base().model)
    with svf_mixture(three, NAMES, ALPHA):
        together = logits(three)
    assert far(together[0], base[0]) == 0
    for row, alpha in enumerate(ALPHA):
        with svf_mixture(three, NAMES, alpha):
            alone = logits(three, IDS[row : row + 1])
        assert far(together[row], alone[0]) <= 1e-5


def test_a_mixture_is_the_adapter_with_the_mixed_multipliers(three):
    alpha = torch.tensor([0.4, 0.3, -0.2])
    vectors = [expert_vectors(three, name) for name in NAMES]
    single = svf_model(make_tiny_base(), forward="factored")
    for module, layer in zip(vectors[0], svf_layers(single), strict=True):
        r = len(layer.svf_p["default"])
        zs = torch.stack([torch.cat([v[module], torch.ones(r - len(v[module]))]) for v in vectors])
        with torch.no_grad():
            layer.svf_p["default"].copy_(mixed_z(zs, alpha).log())
    with svf_mixture(three, NAMES, alpha):
        assert far(logits(three), logits(single)) <= 1e-4
    # several active adapters of PEFT add up
    three.base_model.set_adapter(NAMES[1:])
    active = logits(three)
    with svf_mixture(three, NAMES, torch.tensor([0.0, 1.0, 1.0])):
        assert far(logits(three), active) == 0


def test_a_layer_without_an_adapter_is_the_base():
    model = svf_model(make_tiny_base(), target_modules=["q_proj"], forward="factored")
    model.add_adapter("second", SVFConfig(task_type="CAUSAL_LM", target_modules=["up_proj"], forward="factored"))
    shake(model)
    shake(model, "second", seed=1)
    model.set_adapter("default")
    first = logits(model)
    with svf_mixture(model, ["default", "second"], torch.tensor([1.0, 0.0])):
        assert far(logits(model), first) == 0
    with svf_mixture(model, ["second"], torch.tensor([0.0])):
        assert far(logits(model), logits(make_tiny_base().model)) == 0


def test_contexts_nest_and_end(three):
    three.set_adapter("third")
    outside = logits(three)
    with svf_mixture(three, ["default"], torch.ones(1)):
        inner = logits(three)
        with svf_mixture(three, NAMES, torch.zeros(3)):
            pass
        assert far(logits(three), inner) == 0
        with pytest.raises(AdapterError, match="cannot be merged inside svf_mixture"):
            three.merge_adapter()
    assert far(logits(three), outside) == 0


def test_the_gradient_of_alpha(three):
    alpha = torch.tensor([0.4, 0.3, -0.2], requires_grad=True)

    def loss(weights: torch.Tensor) -> torch.Tensor:
        with svf_mixture(three, NAMES, weights):
            return three(input_ids=IDS, labels=IDS).loss

    (found,) = torch.autograd.grad(loss(alpha), alpha)
    for k in range(3):
        step = torch.eye(3)[k] * 1e-2
        ends = [float(loss(alpha.detach() + sign * step).detach()) for sign in (1, -1)]
        assert float(found[k]) == pytest.approx((ends[0] - ends[1]) / 2e-2, rel=0.05, abs=2e-3)


@pytest.mark.parametrize(
    ("names", "alpha", "text"),
    [
        (["default", "nobody"], torch.zeros(2), "no SVF adapter 'nobody'; there are default, second, third"),
        ([], torch.zeros(0), "no SVF adapter named"),
        (["default"], torch.zeros(2), "does not weigh 1 adapters"),
        (["default"], torch.zeros(2, 2, 1), r"\[K\] for all rows or \[rows, K\]"),
    ],
)
def test_what_cannot_be_mixed(three, names, alpha, text):
    with pytest.raises(AdapterError, match=text), svf_mixture(three, names, alpha):
        pass


def test_a_model_without_adapters_and_a_batch_of_another_size(three):
    with pytest.raises(AdapterError, match="no SVF adapters to mix"), svf_mixture(torch.nn.Linear(1, 1), ["a"], ALPHA):
        pass
    with pytest.raises(AdapterError, match="has 3 rows and the batch has 4"), svf_mixture(three, NAMES, ALPHA[:3]):
        logits(three)


def prompts() -> tuple[torch.Tensor, Layout]:
    """Two packed prompts: shared text, then the tails of both orders."""
    generator = torch.Generator().manual_seed(2)
    ids = torch.randint(3, 300, (2, 10), generator=generator)
    segment = torch.tensor([[0] * 6 + [1] * 2 + [2] * 2] * 2, dtype=torch.int8)
    positions = torch.tensor([[*range(8), 6, 7]] * 2)
    return ids, Layout(positions, segment, torch.tensor([[7, 9]] * 2))


@pytest.fixture
def top() -> tuple[Any, torch.Tensor, Layout]:
    """The last two layers with one SVF adapter, and what enters them."""
    base = make_tiny_base()
    get_peft_model(base.model, SVFConfig(layers_to_transform=[1, 2], target_modules=["v_proj", "up_proj", "o_proj"]))
    ids, layout = prompts()
    cut = CutBase(base, 1)
    return cut.top((7, 9)), cut.lower(ids, layout), layout


def lanes_of(module: Any, count: int, size: float = 0.3) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(4)
    named = {n: p for n, p in module.named_parameters() if "svf_p" in n}
    assert len(named) == 6
    return {n: torch.randn(count, *p.shape, generator=generator) * size for n, p in named.items()}


def test_lanes_equal_separate_passes(top):
    module, hidden, layout = top
    lanes = lanes_of(module, 3)
    together = vmap(lambda p: functional_call(module, p, (hidden, layout)).margin)(lanes)
    assert float(together.std(0).min()) > 1e-3
    for lane in range(3):
        alone = functional_call(module, {n: p[lane] for n, p in lanes.items()}, (hidden, layout)).margin
        assert far(together[lane], alone) <= 1e-6 * max(1.0, float(alone.detach().abs().max()))
    with torch.no_grad():  # the identity, stored as a lane
        zero = {n: torch.zeros_like(p) for n, p in lanes.items()}
        start = vmap(lambda p: functional_call(module, p, (hidden, layout)).margin)(zero)
    assert far(start[0], module(hidden, layout).margin) <= 1e-6


def test_lanes_have_the_gradients_of_separate_passes(top):
    module, hidden, layout = top
    lanes = lanes_of(module, 3)

    def loss(p: dict[str, torch.Tensor]) -> torch.Tensor:
        return functional_call(module, p, (hidden, layout)).margin.square().sum()

    together = vmap(grad(loss))(lanes)
    for lane in range(3):
        single = {n: p[lane].clone().requires_grad_() for n, p in lanes.items()}
        expected = torch.autograd.grad(loss(single), list(single.values()))
        for name, value in zip(single, expected, strict=True):
            torch.testing.assert_close(together[name][lane], value, rtol=1e-4, atol=1e-5)


def test_many_mixtures_at_once(top):
    module, hidden, layout = top
    shake(module)
    alphas = torch.tensor([[0.0], [0.5], [1.0], [2.0]])

    def margin(alpha: torch.Tensor) -> torch.Tensor:
        with svf_mixture(module, ["default"], alpha):
            return module(hidden, layout).margin

    with torch.no_grad():
        together = vmap(margin)(alphas)
        for alpha, found in zip(alphas, together, strict=True):
            assert far(margin(alpha), found) <= 1e-5
        per_row = vmap(margin)(alphas.reshape(2, 2, 1))  # mixtures × rows
        assert far(per_row[0], torch.stack([together[0, 0], together[1, 1]])) <= 1e-5
