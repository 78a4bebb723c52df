"""Lanes of token sequences: the same numbers as PEFT in the base's own forward pass."""

from collections.abc import Sequence

import pytest
import torch
from torch import Tensor

from llm_experts.adapters.injection import inject, own_copy
from llm_experts.adapters.registry import KINDS, kind_named
from llm_experts.adapters.state import set_adapter_state
from llm_experts.bases.base import Base
from llm_experts.training.sequences.batch import Batch, Item, Row, collate
from llm_experts.training.sequences.lanes import SequenceLanes
from llm_experts.training.sequences.lower import LowerLayers
from tests.llm_experts.conftest import make_tiny_base

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def base() -> Base:
    return make_tiny_base()


def item(row: int, ids: Sequence[int], prompt: int) -> Item:
    return Item(row, (), (Row.of(ids, [place >= prompt for place in range(len(ids))]),))


def items(seed: int = 0) -> list[Item]:
    generator = torch.Generator().manual_seed(seed)
    sizes = ((9, 4), (5, 2), (12, 7))
    return [item(row, torch.randint(3, 300, (n,), generator=generator).tolist(), p) for row, (n, p) in enumerate(sizes)]


def moved(lanes: SequenceLanes, size: float = 0.05) -> Tensor:
    return lanes.start + size * torch.randn(lanes.start.shape, generator=torch.Generator().manual_seed(1))


def by_peft(base: Base, lanes: SequenceLanes, lane: int, theta: Tensor, batch: Batch) -> Tensor:
    """[b, t] log-probabilities of the learnt tokens, row by row and without padding."""
    adapter = lanes.adapter(lane, theta)
    model = inject(own_copy(base).model, adapter.config, None)
    set_adapter_state(model, adapter.state)
    found = torch.zeros(batch.ids.shape)
    for row, ids in enumerate(batch.ids):
        end = int((batch.segments[row] >= 0).sum())
        logits = model(input_ids=ids[None, :end], use_cache=False).logits[0, -end:]
        logprobs = logits.float().log_softmax(-1)
        for at in range(1, end):
            if batch.learnt[row, at]:
                found[row, at] = logprobs[at - 1, ids[at]]
    return found


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_computes_what_peft_computes(base: Base, kind: str) -> None:
    lanes = SequenceLanes.fresh(base, kind, [4, 4], [0, 1])
    theta, batch = moved(lanes), collate([items()], CPU)
    with torch.no_grad():
        found = lanes.token_logprobs(theta, batch)
    for lane in range(2):
        with torch.no_grad():
            expected = by_peft(base, lanes, lane, theta[lane], batch)
        assert torch.allclose(found[lane], expected, atol=2e-4)
    assert (found != 0).sum() == 2 * batch.learnt.sum()


@pytest.mark.parametrize("kind", KINDS)
def test_packed_texts_do_not_see_each_other(base: Base, kind: str) -> None:
    lanes = SequenceLanes.fresh(base, kind, [3], [5])
    theta, apart = moved(lanes), collate([items()], CPU)
    rows = [one.parts[0] for one in items()]
    whole = Row(
        tuple(i for row in rows for i in row.ids),
        tuple(i for row in rows for i in row.learnt),
        tuple(i for row in rows for i in row.positions),
        tuple(number for number, row in enumerate(rows) for _ in row.ids),
    )
    packed = collate([[Item(0, (), (whole,))]], CPU)
    with torch.no_grad():
        alone, together = (lanes.token_logprobs(theta, batch)[0] for batch in (apart, packed))
    assert torch.allclose(alone[apart.learnt], together[packed.learnt], atol=2e-4)


@pytest.mark.parametrize("start", [1, 2, -1])
def test_kept_lower_layers_change_nothing(base: Base, start: int) -> None:
    layers = list(range(start % base.n_layers, base.n_layers))
    lower = LowerLayers(base, start)
    lanes = SequenceLanes.fresh(base, "lora", [4, 4], [0, 1], start, lower=lower)
    theta, batch = moved(lanes), collate([items()], CPU)
    config = kind_named("lora").make_config(4, layers, base.model)
    assert sorted(lanes.layers.config.layers_to_transform) == sorted(config.layers_to_transform)
    with torch.no_grad():
        for _ in range(2):  # computed, then kept
            found = lanes.token_logprobs(theta, batch)
            assert torch.allclose(found[1], by_peft(base, lanes, 1, theta[1], batch), atol=2e-4)
    assert lower.computed == 3


def test_a_full_cache_computes_again(base: Base) -> None:
    lower = LowerLayers(base, 1, most_bytes=9 * base.hidden_size * 4)  # room for the first text alone
    lanes = SequenceLanes.fresh(base, "lora", [4], [0], 1, lower=lower)
    for _ in range(2):
        lanes.token_logprobs(lanes.start, collate([items()], CPU))
    assert lower.computed == 3 + 2


def test_lanes_with_texts_of_their_own(base: Base) -> None:
    lanes = SequenceLanes.fresh(base, "dora", [4, 4], [0, 1])
    theta, theirs = moved(lanes), [items(0), items(7)[:2]]
    both = collate(theirs, CPU)
    assert both.ids.shape == (2, 3, 12) and both.rows.tolist() == [[0, 1, 2], [0, 1, -1]]
    with torch.no_grad():
        found = lanes.token_logprobs(theta, both)
        for lane, own in enumerate(theirs):
            batch = collate([own], CPU)
            alone = by_peft(base, lanes, lane, theta[lane], batch)
            assert torch.allclose(found[lane, : len(own), : alone.shape[1]], alone, atol=2e-4)
            assert not found[lane, len(own) :].any()


@pytest.mark.parametrize("kind", ["lora", "dora", "ia3", "svf", "prefix", "soft_prompt"])
def test_gradients_are_those_of_peft(base: Base, kind: str) -> None:
    lanes = SequenceLanes.fresh(base, kind, [3, 3], [0, 1])
    theta, batch = moved(lanes).requires_grad_(), collate([items()], CPU)
    (found,) = torch.autograd.grad(lanes.token_logprobs(theta, batch).sum(), theta)
    (again,) = _with_checkpointing(lanes, theta, batch)
    assert torch.allclose(found, again, atol=1e-5)
    adapter = lanes.adapter(1, theta[1].detach())
    model = inject(own_copy(base).model, adapter.config, None)
    set_adapter_state(model, adapter.state)
    model.requires_grad_(False)
    from llm_experts.adapters.state import adapter_parameters

    live = adapter_parameters(model)
    trained = [live[key].requires_grad_() for key in lanes.layers.trained]
    total = torch.zeros(())
    for row, ids in enumerate(batch.ids):
        end = int((batch.segments[row] >= 0).sum())
        logprobs = model(input_ids=ids[None, :end], use_cache=False).logits[0, -end:].float().log_softmax(-1)
        total = total + sum(logprobs[at - 1, ids[at]] for at in range(1, end) if batch.learnt[row, at])
    expected = torch.cat([g.flatten() for g in torch.autograd.grad(total, trained)])
    assert torch.allclose(found[1], expected, rtol=1e-3, atol=1e-3 * float(expected.abs().max()))


def _with_checkpointing(lanes: SequenceLanes, theta: Tensor, batch: Batch) -> tuple[Tensor, ...]:
    with lanes.checkpointing():
        return torch.autograd.grad(lanes.token_logprobs(theta, batch).sum(), theta)


def test_the_base_and_its_logits(base: Base) -> None:
    lanes = SequenceLanes.fresh(base, "lora", [4, 4], [0, 1])
    theta, batch = moved(lanes), collate([items()], CPU)
    with torch.no_grad():
        untouched = lanes.token_logprobs(lanes.start, batch)
        assert torch.allclose(lanes.base_logprobs(batch), untouched[0], atol=1e-5)
        assert torch.equal(lanes.base_logprobs(batch), lanes.base_logprobs(batch))
        logits, words = lanes.logits(theta, batch), batch.ids[batch.learnt]
        assert logits.shape == (2, len(words), len(lanes.head))
        chosen = logits.log_softmax(-1)[:, torch.arange(len(words)), words]
        assert torch.allclose(chosen, lanes.token_logprobs(theta, batch)[:, batch.learnt], atol=1e-4)
        assert torch.allclose(lanes.base_logits(batch), lanes.logits(lanes.start, batch)[1], atol=1e-4)


@pytest.mark.parametrize("kind", ["lora", "svf", "prefix", "soft_prompt"])
@pytest.mark.parametrize("start", [0, 1])
def test_greedy_answers_are_those_of_the_library(base: Base, kind: str, start: int) -> None:
    if start and kind_named(kind).needs_full_model:
        pytest.skip("virtual tokens start at layer 0")
    lanes = SequenceLanes.fresh(base, kind, [3, 3], [0, 1], start)
    theta, prompts = moved(lanes), [list(one.parts[0].ids) for one in items()]
    found = lanes.sample(theta, prompts, max_new_tokens=6)
    for lane in range(2):
        adapter = lanes.adapter(lane, theta[lane])
        model = inject(own_copy(base).model, adapter.config, None)
        set_adapter_state(model, adapter.state)
        for prompt, said in zip(prompts, found[lane], strict=True):
            ids = list(prompt)
            for token in said.ids:
                with torch.no_grad():
                    assert int(model(input_ids=torch.tensor([ids]), use_cache=False).logits[0, -1].argmax()) == token
                ids.append(token)
            assert len(said.ids) == 6 or said.ended


def test_drawn_answers_depend_on_a_lane_s_seed_alone(base: Base) -> None:
    lanes = SequenceLanes.fresh(base, "lora", [4, 4], [0, 0])
    prompts = [list(one.parts[0].ids) for one in items()]
    both = lanes.sample(lanes.start, prompts, max_new_tokens=8, temperature=1.0, seed=[3, 4])
    other = lanes.sample(lanes.start, prompts, max_new_tokens=8, temperature=1.0, seed=[4, 3])
    assert both[0] == other[1] and both[1] == other[0] and both[0] != both[1]
    own = lanes.sample(lanes.start, [prompts, prompts[:2]], max_new_tokens=8, temperature=1.0, seed=[3, 3])
    assert own[0] == both[0] and [len(answers) for answers in own] == [3, 2]


def test_a_stop_text_ends_an_answer(base: Base) -> None:
    lanes = SequenceLanes.fresh(base, "lora", [4], [0])
    ((whole,),) = lanes.sample(lanes.start, [[5, 6, 7]], max_new_tokens=12)
    mark = whole.text[4:6]
    ((said,),) = lanes.sample(lanes.start, [[5, 6, 7]], max_new_tokens=12, stop=(mark,))
    assert said.text == whole.text[: whole.text.find(mark)] and said.ended
    assert len(said.ids) <= len(whole.ids)
