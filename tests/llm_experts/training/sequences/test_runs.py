"""Lanes with texts of unlike size: several passes, and the numbers of one."""

import pytest
import torch

from llm_experts.bases.base import Base
from llm_experts.training.sequences import runs
from llm_experts.training.sequences.batch import Batch, Item, Row, collate
from llm_experts.training.sequences.lanes import SequenceLanes
from llm_experts.training.sequences.runs import cheapest_runs, like_sizes
from tests.llm_experts.conftest import make_tiny_base


@pytest.fixture(scope="module")
def base() -> Base:
    return make_tiny_base()


def texts(count: int, length: int, seed: int) -> list[Item]:
    generator = torch.Generator().manual_seed(seed)
    rows = [torch.randint(3, 300, (length - at,), generator=generator).tolist() for at in range(count)]
    return [Item(0, (), (Row.of(row, [place >= 2 for place in range(len(row))]),)) for row in rows]


def unlike() -> Batch:
    """A lane of many short texts, one of few long ones, one without texts, and one like the first."""
    return collate([texts(5, 6, 0), texts(2, 30, 1), [], texts(4, 7, 2)], torch.device("cpu"))


def test_runs_by_hand() -> None:
    """Two lanes of 10 and one of 100 tokens: together 300, in two runs 20 + 100 and what the second run costs."""
    sizes = [(1, 10), (1, 10), (1, 100)]
    assert cheapest_runs(sizes, 179) == [slice(0, 2), slice(2, 3)]
    assert cheapest_runs(sizes, 181) == [slice(0, 3)]
    assert cheapest_runs(sizes, 0) == [slice(0, 2), slice(2, 3)]  # what costs the same goes together
    assert cheapest_runs([(2, 5), (5, 2)], 4) == [slice(0, 1), slice(1, 2)]  # 10 + 10 and not 2 · 5 · 5
    assert cheapest_runs([], 1) == []


def test_lanes_of_like_size_go_together(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(runs.PASS_TOKENS, "cpu", 50)
    assert like_sizes(unlike()) == [[0, 3], [1]]
    monkeypatch.setitem(runs.PASS_TOKENS, "cpu", 10**6)
    assert like_sizes(unlike()) == [[0, 1, 3]]


def test_a_lane_of_pairs_has_rows_in_both_halves() -> None:
    """Of lanes with two pairs and with one, the second's rows are the first and the third of four."""
    both = [
        Item(0, (), (one.parts[0], other.parts[0])) for one, other in zip(texts(2, 6, 0), texts(2, 9, 1), strict=True)
    ]
    batch = collate([both, both[:1]], torch.device("cpu"))
    part = batch.of_lanes([1])
    assert part.ids.shape == (1, 3, 9) and part.lengths.tolist() == [[6, 0, 9]]


@pytest.mark.parametrize("kind", ["lora", "dora", "svf", "prefix", "soft_prompt"])
def test_several_passes_have_the_numbers_and_gradients_of_one(
    base: Base, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    lanes, batch = SequenceLanes.fresh(base, kind, [3] * 4, [0, 1, 2, 3]), unlike()
    noise = torch.randn(lanes.start.shape, generator=torch.Generator().manual_seed(1))
    theta = (lanes.start + 0.05 * noise).requires_grad_()
    found = []
    for cost in (10**6, 0):
        monkeypatch.setitem(runs.PASS_TOKENS, "cpu", cost)
        assert len(like_sizes(batch)) == (1 if cost else 3)
        told = lanes.token_logprobs(theta, batch)
        (slope,) = torch.autograd.grad((told * torch.arange(1, 5)[:, None, None]).sum(), theta)
        found.append((told.detach(), slope))
    torch.testing.assert_close(found[1][0], found[0][0], rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(found[1][1], found[0][1], rtol=1e-4, atol=1e-5 * float(found[0][1].abs().max()))
    assert not found[1][0][2].any() and not found[1][1][2].any()


def test_lanes_above_kept_layers_in_several_passes(base: Base, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(runs.PASS_TOKENS, "cpu", 0)
    lanes, batch = SequenceLanes.fresh(base, "lora", [3] * 4, [0, 1, 2, 3], -1), unlike()
    first, again = (lanes.token_logprobs(lanes.start, batch) for _ in range(2))
    torch.testing.assert_close(first, again, rtol=0, atol=0)
    torch.testing.assert_close(first, lanes.base_logprobs(batch), rtol=1e-5, atol=1e-5)
