"""Where PEFT is silently wrong: shown, refused, and computed right."""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from llm_experts.adapters.composition import add_adapter, mixed_batch_forward, set_adapters, weighted_adapter
from llm_experts.adapters.composition.weighted import best_factors
from llm_experts.adapters.error import AdapterError
from llm_experts.adapters.injection import inject, own_copy
from llm_experts.adapters.registry import ADAPTERS
from llm_experts.adapters.state import adapter_state, set_adapter_state
from llm_experts.adapters.svf import spectra_in
from llm_experts.bases.base import Base
from llm_experts.mixtures.bank import AdapterBank
from tests.llm_experts.conftest import make_tiny_base

IDS = torch.tensor([[5, 9, 31, 7, 80], [11, 12, 13, 14, 15], [3, 2, 1, 90, 91]])
BATCH = {"input_ids": IDS, "attention_mask": torch.ones_like(IDS)}
NAMES = ["second", "__base__", "first"]


@pytest.fixture(scope="module")
def tiny_base() -> Base:
    """One for all tests of this file: adapters are injected into copies."""
    return make_tiny_base()


@pytest.fixture(autouse=True)
def no_svd_cache() -> Iterator[None]:
    with spectra_in(None):
        yield


def logits(model: nn.Module, **options: Any) -> Tensor:
    with torch.no_grad():
        found: Tensor = model(**BATCH, **options).logits[:, -IDS.shape[1] :]
    return found


def two(base: Base, kind: str, ranks: tuple[int, int] = (4, 4), size: float = 0.1) -> Any:
    """A PEFT model with two adapters that have learnt different things."""
    model: Any = own_copy(base).model
    for seed, (name, rank) in enumerate(zip(("first", "second"), ranks, strict=True)):
        model = inject(model, ADAPTERS[kind].make_config(rank, None, base.model), seed, name)
        generator = torch.Generator().manual_seed(seed)
        state = adapter_state(model, name)
        new = {k: v + size * torch.randn(v.shape, generator=generator) for k, v in state.items()}
        set_adapter_state(model, new, name)
    return model


def of(model: Any, name: str) -> Tensor:
    model.set_adapter(name)
    return logits(model)


def peft_weighted(model: Any, names: list[str], weights: list[float], **options: Any) -> Tensor:
    """What PEFT's own method computes (behind the guard)."""
    model.base_model.add_weighted_adapter(names, weights, "peft", **options)
    model.set_adapter("peft")
    found = logits(model)
    model.set_adapter("first")
    model.delete_adapter("peft")
    return found


def exact_sum(base: Base, model: Any, weights: list[float]) -> Tensor:
    """A copy of the base whose weights are W + Σ w ΔW, by dense matrices."""
    dense = copy.deepcopy(base.model)
    modules = dict(model.get_base_model().named_modules())
    with torch.no_grad():
        for name, module in dense.named_modules():
            layer: Any = modules.get(name)
            if hasattr(layer, "lora_A"):
                for weight, adapter in zip(weights, ("first", "second"), strict=True):
                    b, a = layer.lora_B[adapter].weight, layer.lora_A[adapter].weight
                    module.weight += weight * layer.scaling[adapter] * b @ a
    return logits(dense)


# -- one adapter per row ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", list(ADAPTERS))
def test_every_row_gets_its_adapter(tiny_base: Base, kind: str) -> None:
    model = two(tiny_base, kind)
    expected = torch.stack([of(model, "second")[0], logits(tiny_base.model)[1], of(model, "first")[2]])
    trains = {name: p.requires_grad for name, p in model.named_parameters()}
    with torch.no_grad():
        found = mixed_batch_forward(model, BATCH, NAMES)
    torch.testing.assert_close(found[:, -1], expected[:, -1], atol=2e-5, rtol=1e-4)
    assert model.active_adapter == "first"
    assert trains == {name: p.requires_grad for name, p in model.named_parameters()}


@pytest.mark.parametrize("kind", ["ia3", "soft_prompt", "prefix"])
def test_peft_ignores_adapter_names_and_is_refused(tiny_base: Base, kind: str) -> None:
    model = two(tiny_base, kind)
    model.set_adapter("first")
    with pytest.raises(AdapterError, match=f"takes no notice of adapter_names for adapters of kind {kind}"):
        model(**BATCH, adapter_names=NAMES)
    silent = logits_without_guard(model, adapter_names=NAMES)
    assert torch.equal(silent, logits(model))  # every row got the active adapter, __base__ too
    assert (silent[1, -1] - logits(tiny_base.model)[1, -1]).abs().max() > 1e-2


def logits_without_guard(model: Any, **options: Any) -> Tensor:
    with torch.no_grad():
        found: Tensor = model.forward(**BATCH, **options).logits[:, -IDS.shape[1] :]
    return found


def test_dora_with_adapter_names_is_refused_with_a_remedy(tiny_base: Base) -> None:
    model = two(tiny_base, "dora")
    with pytest.raises(ValueError, match="when DoRA is enabled"):
        model.forward(**BATCH, adapter_names=NAMES)
    with pytest.raises(AdapterError, match="mixed_batch_forward"):
        model(**BATCH, adapter_names=NAMES)


def test_names_have_to_fit_the_batch(tiny_base: Base) -> None:
    model = two(tiny_base, "lora")
    with pytest.raises(AdapterError, match="3 rows, but 2 adapters"):
        mixed_batch_forward(model, BATCH, NAMES[:2])
    with pytest.raises(AdapterError, match="no adapter 'third'; there are first, second"):
        mixed_batch_forward(model, BATCH, ["third", "first", "first"])


# -- several adapters as one ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["lora", "rslora", "lora_fa"])
@pytest.mark.parametrize("ranks", [(4, 4), (4, 8)])
def test_the_exact_sum_is_exact(tiny_base: Base, kind: str, ranks: tuple[int, int]) -> None:
    model = two(tiny_base, kind, ranks)
    weights = [0.7, -0.4]
    found = weighted_adapter(model, ["first", "second"], weights)
    assert found.error == 0 and found.config.r == sum(ranks)
    expected = exact_sum(tiny_base, model, weights)
    assert (expected - logits(tiny_base.model)).abs().max() > 0.1
    alone = inject(own_copy(tiny_base).model, found.config, None)
    set_adapter_state(alone, found.state)
    torch.testing.assert_close(logits(alone), expected, atol=5e-5, rtol=1e-4)
    beside = add_adapter(model, weighted_adapter(model, ["first", "second"], weights), "mixture")
    assert beside.active_adapters == ["mixture"]
    torch.testing.assert_close(logits(beside), expected, atol=5e-5, rtol=1e-4)


def test_peft_sums_factors_and_so_adds_cross_terms(tiny_base: Base) -> None:
    model = two(tiny_base, "lora")
    weights = [0.5, 0.5]
    expected = exact_sum(tiny_base, model, weights)
    effect = (expected - logits(tiny_base.model)).norm()
    for combination in ("linear", "svd"):
        wrong = peft_weighted(model, ["first", "second"], weights, combination_type=combination)
        assert (wrong - expected).norm() > 0.1 * effect
    right = peft_weighted(model, ["first", "second"], weights, combination_type="cat")
    torch.testing.assert_close(right, expected, atol=5e-5, rtol=1e-4)
    with pytest.raises(AdapterError, match="cross terms"):
        model.add_weighted_adapter(["first", "second"], weights, "peft")


@pytest.mark.parametrize("kind", ["lora", "rslora", "lora_fa", "dora", "ia3"])
def test_one_adapter_with_weight_1_is_itself(tiny_base: Base, kind: str) -> None:
    model = two(tiny_base, kind)
    expected = of(model, "first")
    if kind == "dora":  # a scaled W is of full rank
        found = weighted_adapter(model, ["first"], [1.0], "recompress", rank=64)
    else:
        found = weighted_adapter(model, ["first"], [1.0])
    alone = inject(own_copy(tiny_base).model, found.config, None)
    set_adapter_state(alone, found.state)
    torch.testing.assert_close(logits(alone), expected, atol=5e-5, rtol=1e-4)
    assert found.error < 1e-6
    if kind in ("rslora", "dora"):
        effect = (expected - logits(tiny_base.model)).norm()
        assert (peft_weighted(model, ["first"], [1.0]) - expected).norm() > 0.1 * effect


def test_weights_of_zero_are_the_base_also_for_gains(tiny_base: Base) -> None:
    model = two(tiny_base, "ia3")
    base = logits(tiny_base.model)
    wrong = peft_weighted(model, ["first", "second"], [0.0, 0.0])
    assert (wrong - base).abs().max() > 0.1
    mixture = add_adapter(model, weighted_adapter(model, ["first", "second"], [0.0, 0.0]), "none")
    torch.testing.assert_close(logits(mixture), base, atol=1e-5, rtol=1e-5)
    mixture = add_adapter(model, weighted_adapter(model, ["first", "second"], [0.3, 0.6]), "some")
    sources = [(model.peft_config[name], adapter_state(model, name)) for name in ("first", "second")]
    with AdapterBank.from_adapters(tiny_base, sources).gate(torch.tensor([0.3, 0.6])):
        torch.testing.assert_close(logits(mixture), logits(tiny_base.model), atol=2e-5, rtol=1e-4)


def test_best_factors_are_those_of_the_dense_matrix() -> None:
    generator = torch.Generator().manual_seed(0)
    a, b = torch.randn(12, 40, generator=generator), torch.randn(30, 12, generator=generator)
    dense = b @ a
    u, s, vh = torch.linalg.svd(dense, full_matrices=False)
    small_a, small_b, error = best_factors(a, b, 5)
    torch.testing.assert_close(small_b @ small_a, (u[:, :5] * s[:5]) @ vh[:5], atol=1e-4, rtol=1e-4)
    assert error == pytest.approx(float(s[5:].norm() / s.norm()), rel=1e-5)
    assert error == pytest.approx(float((dense - small_b @ small_a).norm() / dense.norm()), rel=1e-4)
    same_a, same_b, none = best_factors(a, b, 20)
    assert same_a.shape == (20, 40) and none == pytest.approx(0, abs=1e-12)
    torch.testing.assert_close(same_b @ same_a, dense, atol=1e-4, rtol=1e-4)
    zero_a, zero_b, nothing = best_factors(torch.zeros(2, 4), torch.zeros(3, 2), 1)
    assert nothing == 0 and not zero_a.any() and not zero_b.any()


@pytest.mark.parametrize("kind", ["lora", "rslora", "dora"])
def test_recompression_reports_its_error(tiny_base: Base, kind: str) -> None:
    model = two(tiny_base, kind, (4, 6))
    found = weighted_adapter(model, ["first", "second"], [0.5, 0.8], "recompress")
    assert found.config.r == 6 and 0.05 < found.error < 1
    full = 64 if kind == "dora" else 10
    exact = weighted_adapter(model, ["first", "second"], [0.5, 0.8], "recompress", rank=full)
    assert exact.error < 1e-6
    sources = [(model.peft_config[name], adapter_state(model, name)) for name in ("first", "second")]
    with AdapterBank.from_adapters(tiny_base, sources).gate(torch.tensor([0.5, 0.8])):
        expected = logits(tiny_base.model)
    mixture = add_adapter(model, exact, "mixture")
    torch.testing.assert_close(logits(mixture), expected, atol=5e-5, rtol=1e-4)


@pytest.mark.parametrize(
    ("kind", "wanted", "match"),
    [
        ("dora", "exact", "drop the learnt magnitudes"),
        ("soft_prompt", "exact", "no weighted sum"),
        ("svf", "exact", "svf_mixture"),
        ("ia3", "recompress", "kind='exact'"),
    ],
)
def test_sums_that_do_not_exist_are_refused(tiny_base: Base, kind: str, wanted: Any, match: str) -> None:
    model = two(tiny_base, kind)
    with pytest.raises(AdapterError, match=match):
        weighted_adapter(model, ["first", "second"], [0.5, 0.5], wanted)


def test_odd_requests_are_refused(tiny_base: Base) -> None:
    model = two(tiny_base, "lora")
    with pytest.raises(AdapterError, match="one weight per adapter"):
        weighted_adapter(model, ["first"], [0.5, 0.5])
    with pytest.raises(AdapterError, match="no adapter 'third'"):
        weighted_adapter(model, ["third"], [0.5])
    with pytest.raises(AdapterError, match="rank 0"):
        weighted_adapter(model, ["first"], [0.5], "recompress", rank=0)


# -- several active adapters ------------------------------------------------------------------------------------------


def test_several_active_adapters_add_up_or_are_refused(tiny_base: Base) -> None:
    model = two(tiny_base, "lora")
    with pytest.raises(TypeError, match="unhashable"):
        model.set_adapter(["first", "second"])
    set_adapters(model, ["first", "second"])
    torch.testing.assert_close(logits(model), exact_sum(tiny_base, model, [1.0, 1.0]), atol=5e-5, rtol=1e-4)
    set_adapters(model, ["first"])
    assert model.active_adapters == ["first"]
    with pytest.raises(AdapterError, match="no adapter 'third'"):
        set_adapters(model, ["first", "third"])


def test_active_dora_adapters_are_no_sum(tiny_base: Base) -> None:
    model = two(tiny_base, "dora", size=0.3)
    with pytest.raises(AdapterError, match="of DoRA the second rescales"):
        set_adapters(model, ["first", "second"])
    model.base_model.set_adapter(["first", "second"])
    together = logits(model)
    sources = [(model.peft_config[name], adapter_state(model, name)) for name in ("first", "second")]
    with AdapterBank.from_adapters(tiny_base, sources).gate(torch.ones(2)):
        expected = logits(tiny_base.model)
    assert (together - expected).abs().max() > 0.1


def test_copies_of_a_model_refuse_as_well(tiny_base: Base) -> None:
    model = copy.deepcopy(two(tiny_base, "ia3"))
    with pytest.raises(AdapterError, match="takes no notice"):
        model(**BATCH, adapter_names=NAMES)
    with pytest.raises(AdapterError, match="weighted_adapter"):
        model.add_weighted_adapter(["first"], [1.0], "x")
    assert math.isfinite(float(logits(model).sum()))
