"""New tensors are made where their inputs are: a device without numbers finds those that are not, on any machine."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensor, FakeTensorMode

from llm_experts.adapters.registry import ADAPTERS
from llm_experts.adapters.svf import mixed_z
from llm_experts.decoder.layout import Layout, Pair
from llm_experts.decoder.program import AttachedTop
from llm_experts.decoder.shared_prefix import Branches, branch_off
from llm_experts.prompts.prompts import Packed
from tests.llm_experts.expert_fixtures import BASE, make_adapter

ANSWERS = (7, 9)
TEXT = 9


def layout(texts: int = 2) -> Layout:
    positions = torch.arange(TEXT).expand(texts, -1).clone()
    segment = torch.tensor([[0] * (TEXT - 2) + [1, 2]] * texts, dtype=torch.int8)
    return Layout(positions, segment, torch.tensor([[TEXT - 2, TEXT - 1]] * texts))


def branches() -> Branches:
    rest = Layout(torch.arange(4, TEXT).expand(3, -1), layout().segment[:1, 4:].expand(3, -1), layout(3).answers - 4)
    return Branches(torch.tensor([0, 1, 1]), torch.tensor([4, 4, 3]), 4, torch.ones(3, 5, dtype=torch.int64), rest)


def elsewhere(value: Any) -> Any:
    """The same on a device without numbers."""
    if isinstance(value, tuple):
        return type(value)(*(elsewhere(part) for part in value))
    return value.to("meta") if isinstance(value, Tensor) else value


@pytest.mark.parametrize("kind", ADAPTERS)
@pytest.mark.parametrize("lanes", [1, 2])
def test_a_program_makes_nothing_on_the_cpu(kind: str, lanes: int) -> None:
    start = 0 if ADAPTERS[kind].needs_full_model else 1
    adapter = make_adapter(kind, start=start)
    program = AttachedTop(BASE, start, ANSWERS, adapter.config)
    program.top.to("meta")
    state = {key: torch.stack([value] * lanes).to("meta") for key, value in adapter.state.items()}
    at = elsewhere(layout())
    state = {key: value.requires_grad_() for key, value in state.items()}
    with torch.enable_grad():
        call: Any = torch.vmap(program.answer, in_dims=(0, None, None))
        answers = call(state, torch.randn(2, TEXT, 64, device="meta"), at)
    (gradient, *_) = torch.autograd.grad(answers.margin.sum(), list(state.values()), allow_unused=True)
    assert answers.logits.device.type == "meta" and (gradient is None or gradient.device.type == "meta")


def test_branches_make_nothing_on_the_cpu() -> None:
    there = elsewhere(branches())
    assert there.allowed().device.type == there.allowed_to_answers().device.type == "meta"
    assert there.shifted(3).allowed().shape == (3, 1, 5, 7 + 5)
    past = there.past(Pair(*torch.zeros(2, 2, 2, TEXT, 16, device="meta")))
    assert past.keys.shape == (3, 2, 4, 16) and past.keys.device.type == "meta"


def on_a_gpu(mode: FakeTensorMode, value: Tensor) -> Tensor:
    """A tensor that says that it is on a GPU; mixing it with another of the CPU raises."""
    return FakeTensor(mode, value.to("meta"), torch.device("cuda:0"))


@pytest.mark.parametrize("rows", [(), (5,)])
def test_a_mixture_of_multipliers_takes_weights_from_anywhere(rows: tuple[int, ...]) -> None:
    mode = FakeTensorMode()
    z, alpha = on_a_gpu(mode, torch.ones(3, 4)), torch.zeros(*rows, 3, dtype=torch.float64)
    with mode:
        found = mixed_z(z, mode.from_tensor(alpha))
    assert found.device == z.device and found.shape == (*rows, 4) and found.dtype == z.dtype


def test_texts_branch_off_where_they_are() -> None:
    """The one index that branching makes is made beside the texts."""
    ids = torch.tensor([[5, 6, 7, 8, 9, 10]])
    at = torch.arange(6)[None], torch.tensor([[0, 0, 0, 0, 1, 2]], dtype=torch.int8), torch.tensor([[4, 5]])
    plain, changed = (Packed(words, *at, torch.full((1, 6), -1)) for words in (ids, ids.where(ids != 7, 3)))
    found = branch_off(plain, changed, torch.tensor([0]))
    assert found.shared.tolist() == [2] and found.ids.tolist() == [[3, 8, 9, 10]]
    assert {part.device for part in (found.ids, *found.layout)} == {ids.device}
