"""Lanes compute what single adapters compute, for every kind, and leave the base as it is."""

from __future__ import annotations

import pytest
import torch

from llm_experts.adapters.error import AdapterError
from llm_experts.adapters.injection import inject, own_copy
from llm_experts.adapters.registry import ADAPTERS
from llm_experts.decoder.lanes import AdapterLanes
from llm_experts.training.text_blocks import TaskTexts
from tests.llm_experts.lane_fixtures import NO, YES, make_texts

KINDS = sorted(ADAPTERS)


@pytest.fixture(scope="module")
def whole() -> TaskTexts:
    return make_texts(80, start=0)


@pytest.fixture(scope="module")
def upper() -> TaskTexts:
    return make_texts(80, start=-1)


def lanes_of(texts: TaskTexts, kind: str, ranks: list[int | None], seeds: list[int]) -> AdapterLanes:
    return AdapterLanes.fresh(texts.cut, (NO, YES), kind, ranks, seeds)


def moved(lanes: AdapterLanes, seed: int = 0) -> torch.Tensor:
    """Weights away from the start, where LoRA is the base."""
    noise = torch.randn(lanes.start.shape, generator=torch.Generator().manual_seed(seed))
    return lanes.start + 0.05 * noise


def margins(lanes: AdapterLanes, theta: torch.Tensor, texts: TaskTexts) -> torch.Tensor:
    given = texts.rows(texts.view.split.train).take(torch.arange(6))
    parts = [lanes.answers(theta[part], part, given).margin for part in lanes.chunks(1 << 62, 1, 1)]
    return torch.cat(parts)


@pytest.mark.parametrize("kind", KINDS)
def test_a_lane_is_the_adapter_in_the_library(whole: TaskTexts, kind: str) -> None:
    ranks = ADAPTERS[kind].rank_choices
    lanes = lanes_of(whole, kind, [ranks[0], ranks[0], ranks[-1]], [1, 2, 3])
    theta = moved(lanes)
    found = margins(lanes, theta, whole)
    rows = whole.view.split.train[:6]
    read = whole.reader.margins([lanes.adapter(lane, theta[lane]) for lane in range(3)], whole.view, rows)
    torch.testing.assert_close(found, read, atol=1e-5, rtol=1e-4)
    assert float((found[0] - found[1]).abs().max()) > 1e-4


@pytest.mark.parametrize("kind", ["lora", "dora", "svf"])
def test_a_lane_is_the_full_model_with_the_adapter(upper: TaskTexts, kind: str) -> None:
    """An adapter of the last layer, in PEFT's own model, one unpadded text at a time."""
    from llm_experts.adapters.state import set_adapter_state

    rank = ADAPTERS[kind].rank_choices[0]
    lanes = lanes_of(upper, kind, [rank], [5])
    theta = moved(lanes)
    base = own_copy(upper.cut.base)
    config = ADAPTERS[kind].make_config(rank, [1], base.model)
    model = inject(base.model, config, seed=0)
    set_adapter_state(model, lanes.state(0, theta[0]))
    packed = upper.prompts.pack(upper.view, upper.view.split.train[:3])
    for row, margin in enumerate(margins(lanes, theta, upper)[0, :3]):
        by_order = []
        for tail in (1, 2):
            seen = (packed.segment[row] == 0) | (packed.segment[row] == tail)
            logits = model(input_ids=packed.ids[row][seen][None]).logits[0, -1]
            by_order.append(logits[YES] - logits[NO])
        torch.testing.assert_close(margin, torch.stack(by_order).mean(), atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("kind", [k for k in KINDS if k not in ("soft_prompt", "prefix")])
def test_before_training_a_lane_is_the_base(upper: TaskTexts, kind: str) -> None:
    lanes = lanes_of(upper, kind, [ADAPTERS[kind].rank_choices[0]], [3])
    base = upper.reader.margins([None], upper.view, upper.view.split.train[:6])
    torch.testing.assert_close(margins(lanes, lanes.start, upper), base, atol=1e-5, rtol=1e-4)


def test_first_weights_depend_on_the_seed_alone(upper: TaskTexts) -> None:
    state = torch.random.get_rng_state()
    one, two = lanes_of(upper, "lora", [4, 4], [7, 8]), lanes_of(upper, "lora", [4, 4, 8], [9, 7, 7])
    assert torch.equal(torch.random.get_rng_state(), state)
    size = one.start.shape[1]
    assert torch.equal(one.start[0], two.start[1, :size])
    assert not torch.equal(one.start[0], one.start[1])


def test_the_base_stays_as_it_is(upper: TaskTexts) -> None:
    lanes_of(upper, "lora", [4], [0])
    assert not any("lora" in name for name, _ in upper.cut.base.model.named_modules())


def test_selected_lanes_compute_what_they_did(upper: TaskTexts) -> None:
    lanes = lanes_of(upper, "lora", [4, 4, 8], [1, 2, 3])
    theta = moved(lanes)
    some = torch.tensor([0, 2])
    torch.testing.assert_close(margins(lanes.select(some), theta[some], upper), margins(lanes, theta, upper)[some])


def test_trained_adapters_become_lanes_again(upper: TaskTexts) -> None:
    lanes = lanes_of(upper, "lora_fa", [4, 8], [1, 2])
    theta = moved(lanes)
    again = AdapterLanes.of(upper.cut, (NO, YES), [lanes.adapter(0, theta[0]), lanes.adapter(1, theta[1])])
    torch.testing.assert_close(margins(again, again.start, upper), margins(lanes, theta, upper))


def test_chunks_bound_memory_and_keep_configurations_apart(upper: TaskTexts) -> None:
    lanes = lanes_of(upper, "lora", [4, 4, 4, 8], [1, 2, 3, 4])
    assert lanes.chunks(2 * lanes.floats(8, 20), 8, 20) == [slice(0, 2), slice(2, 3), slice(3, 4)]
    assert lanes.chunks(1, 8, 20) == [slice(i, i + 1) for i in range(4)]


def test_frozen_halves_of_lora_fa_stay_frozen(upper: TaskTexts) -> None:
    lanes = lanes_of(upper, "lora_fa", [4, 4], [1, 2])
    before, after = lanes.state(0, lanes.start[0]), lanes.state(0, moved(lanes)[0])
    for key, value in before.items():
        assert torch.equal(after[key], value) == (".lora_A." in key)


def test_lora_fa_projects_its_gradient(upper: TaskTexts) -> None:
    """g (A Aᵀ)⁻¹ / s², by hand for one matrix."""
    lanes = lanes_of(upper, "lora_fa", [4, 4], [1, 2])
    gradient = torch.randn(lanes.start.shape, generator=torch.Generator().manual_seed(0))
    projected = lanes.state(1, lanes.precondition(gradient.clone())[1])
    plain = lanes.state(1, gradient[1])
    key = next(k for k in plain if ".lora_B." in k)
    a = plain[key.replace("lora_B", "lora_A")]
    torch.testing.assert_close(projected[key], plain[key] @ torch.linalg.inv(a @ a.T) / 4, atol=1e-4, rtol=1e-3)


def test_weight_decay_draws_to_the_identity(upper: TaskTexts) -> None:
    ia3 = lanes_of(upper, "ia3", [1], [0])
    assert torch.equal(ia3.anchor, torch.ones_like(ia3.anchor))
    lora = lanes_of(upper, "lora", [4], [0])
    assert float(lora.anchor.abs().max()) == 0 < float(lora.start.abs().max())


def test_virtual_tokens_need_all_layers(upper: TaskTexts) -> None:
    with pytest.raises(AdapterError, match="start at layer 0"):
        lanes_of(upper, "soft_prompt", [8], [0])


def test_hidden_states_are_the_same_kept_or_not() -> None:
    kept, anew = make_texts(60), make_texts(60, cache_bytes=0)
    rows = kept.view.split.train
    index = torch.tensor([5, 0, 11])
    one, two = kept.rows(rows).take(index), anew.rows(rows).take(index)
    torch.testing.assert_close(one.hidden, two.hidden)
    assert torch.equal(one.columns, two.columns)
    part = kept.rows(rows).select(torch.tensor([11, 5])).take(torch.tensor([1]))
    length = part.hidden.shape[1]
    torch.testing.assert_close(part.hidden, one.hidden[:1, :length])


def test_moved_texts_keep_the_order_of_rows() -> None:
    texts = make_texts(60, n_groups=3)
    rows = texts.view.split.train[:9]
    groups = torch.tensor([2, 0, 1, 0, 2, 1, 1, 0, 2])
    block = texts.moved(rows, groups)
    for place, group in enumerate(groups.tolist()):
        alone = texts.prompts.pack(texts.view.moved_to(group), rows[place : place + 1])
        length = int(alone.lengths[0])
        assert torch.equal(block._packed.ids[place, :length], alone.ids[0, :length])


def test_masked_texts_say_unknown_once() -> None:
    texts = make_texts(60)
    rows, count = texts.view.split.validation[:3], len(texts.view.columns)
    block = texts.masked(rows)
    assert len(block) == 3 * count
    unknown = (block._packed.ids == 299).sum(1)
    assert unknown.tolist() == [1] * (3 * count)
    first = block._packed.columns[block._packed.ids == 299]
    assert first.tolist() == list(range(count)) * 3
