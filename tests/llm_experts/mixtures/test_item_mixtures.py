"""Mixtures on items: the mixture's adapter is the base with the weighted sum in its matrices."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
import torch
from torch import Tensor

from llm_experts.adapters.delta import matrix
from llm_experts.adapters.deltas import adapter_deltas
from llm_experts.adapters.error import AdapterError
from llm_experts.adapters.injection import own_copy
from llm_experts.bases.base import Base
from llm_experts.data.example import Example
from llm_experts.decoder.program import Adapter
from llm_experts.mixtures.item_mixtures import ItemMixtures, mixed
from llm_experts.training.sequences.choices import Choices
from llm_experts.training.sequences.lanes import SequenceLanes
from tests.llm_experts.conftest import make_tiny_base

EXAMPLES = [Example(f"i{i}", f"Question {i}: is the applicant a good risk?\nAnswer:", "yes") for i in range(5)]
ANSWERS = [("yes", "no"), ("yes", "no", "unknown"), ("yes", "no"), ("23 years", "no"), ("yes", "female")]
BASE = make_tiny_base()


def expert(base: Base, kind: str, rank: int | None, seed: int, start: int = 1, size: float = 0.3) -> Adapter:
    """An adapter of the layers from ``start`` with random weights."""
    lanes = SequenceLanes.fresh(base, kind, [rank], [seed], start)
    generator = torch.Generator().manual_seed(seed)
    theta = lanes.start + size * torch.randn(lanes.start.shape, generator=generator) * (lanes.start.std() + 0.1)
    return lanes.adapter(0, theta[0])


def merged(experts: Sequence[Adapter], alpha: Sequence[float]) -> Tensor:
    """[n] margins of the base with Σ α_k ΔW_k written into its matrices."""
    own = own_copy(BASE)
    layers = own.model.get_decoder().layers
    for weight, adapter in zip(alpha, experts, strict=True):
        for place, delta in adapter_deltas(adapter.config, adapter.state, layers).items():
            assert delta.a is not None and delta.b is not None
            matrix(layers, place).weight += weight * delta.scaling * delta.b @ delta.a
    choices = Choices.of(own, EXAMPLES, ANSWERS, style="plain")
    return choices.base_margins(SequenceLanes.fresh(own, "lora", [2], [0]))


def mixtures(experts: Sequence[Adapter], lanes: int = 2) -> ItemMixtures:
    choices = Choices.of(BASE, EXAMPLES, ANSWERS, style="plain")
    swapped = Choices.of(BASE, EXAMPLES[3:], [("23", "no"), ("no", "yes")], style="plain")
    names = tuple(f"e{k}" for k in range(len(experts)))
    return ItemMixtures(names, tuple(experts), choices, swapped, torch.tensor([3, 4]), lanes)


LOW = [expert(BASE, "lora", 2, 1), expert(BASE, "rslora", 3, 2, start=2), expert(BASE, "lora_fa", 4, 3)]
SVF = [expert(BASE, "svf", None, 4), expert(BASE, "svf", None, 5)]


@pytest.mark.parametrize("alpha", [(1.0, 0.0, 0.0), (0.4, 1.3, 0.2), (-0.7, 2.5, 0.0), (0.0, 0.0, 0.0)])
def test_ranks_end_to_end_are_the_merged_weights(alpha: tuple[float, ...]) -> None:
    found = mixtures(LOW).margins(torch.tensor([alpha], dtype=torch.float64))
    torch.testing.assert_close(found[0], merged(LOW, alpha), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("experts", [LOW[:1] * 2, SVF])
def test_no_weight_is_the_base_and_one_is_that_expert(experts: list[Adapter]) -> None:
    model = mixtures(experts)
    found = model.margins(torch.tensor([[0.0, 0.0], [0.0, 1.0]], dtype=torch.float64))
    torch.testing.assert_close(found[0], model.base_margins(), atol=1e-5, rtol=1e-5)
    alone = SequenceLanes.of(BASE, [experts[1]], 1)
    torch.testing.assert_close(found[1], model.choices.margins(alone, alone.start)[0], atol=1e-5, rtol=1e-5)
    assert float((found[0] - found[1]).abs().min()) > 1e-3


def test_a_mixture_has_one_value_whatever_is_asked_with_it() -> None:
    model, alphas = mixtures(LOW), torch.rand(5, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    together = model.margins(alphas)
    assert torch.equal(together[2:3], model.margins(alphas[2:3]))
    assert torch.equal(together[[4, 0, 1]], model.margins(alphas[[4, 0, 1]]))


def test_swapped_items_stand_at_their_items_place() -> None:
    model, alphas = mixtures(LOW), torch.tensor([[0.5, 0.5, 0.5]], dtype=torch.float64)
    found = model.moved(alphas)
    assert found.shape == (1, 5, 1) and not found[0, :3].any()
    alone = ItemMixtures(model.names, model.experts, model.swapped, lanes=2)  # type: ignore[arg-type]
    assert torch.equal(found[0, 3:, 0], alone.margins(alphas)[0])
    assert not alone.moved(alphas).any()


def test_latency_counts_weights() -> None:
    model = mixtures(LOW)
    alphas = torch.tensor([[0.0, 0, 0], [2.0, 0, 0], [1.0, 0, -1.0]], dtype=torch.float64)
    ms = model.latency_ms(alphas)
    per_layer = 64 * (64 + 32 + 32 + 64) + 3 * 64 * 128  # q, k, v, o; gate, up, down
    weights = 3 * per_layer + len(BASE.tokenizer) * 64
    of_a_rank = (64 + 64) + 2 * (64 + 32) + (64 + 64) + 3 * (64 + 128)
    assert float(ms[1] / ms[0]) == pytest.approx(1 + 2 * 2 * of_a_rank / weights)  # rank 2, two layers
    assert float(ms[2]) > float(ms[1])
    of_svf = mixtures(SVF).latency_ms(torch.tensor([[0.0, 0], [1.0, 2.0]], dtype=torch.float64))
    assert float(of_svf[0]) == float(of_svf[1]) == float(ms[0])


def test_identity_follows_experts_and_items() -> None:
    model = mixtures(LOW)
    assert model.hash == mixtures(LOW).hash
    assert model.hash != mixtures(LOW[::-1]).hash
    assert model.hash != ItemMixtures(model.names, model.experts, model.choices).hash


@pytest.mark.parametrize(
    ("kinds", "said"),
    [(("dora", "dora"), "rslora"), (("ia3", "lora"), "svf"), (("prefix", "prefix"), "no weighted sum"),
     (("svf", "lora"), "one kind")],
)  # fmt: skip
def test_kinds_without_an_exact_mixture_are_refused(kinds: tuple[str, str], said: str) -> None:
    start = 0 if "prefix" in kinds else 1
    experts = [expert(BASE, kind, None if kind == "svf" else 2, 0, start) for kind in kinds]
    with pytest.raises(AdapterError, match=said):
        mixed(experts, torch.zeros(2))


def test_one_weight_per_expert() -> None:
    with pytest.raises(AdapterError, match="one weight per expert"):
        mixed(LOW, torch.zeros(2))
