"""Similarities of domains: worked by hand, and gradients against finite differences."""

import numpy as np
import pytest
import torch

from llm_experts.bases.base import Base
from llm_experts.data.error import DataError
from llm_experts.discovery.measuring.domain import scenarios
from llm_experts.discovery.measuring.domains import domains_named
from llm_experts.discovery.planning.evidence import Evidence, gather
from llm_experts.discovery.planning.evidences import gradients
from llm_experts.discovery.planning.evidences.errors import KINDS
from llm_experts.discovery.planning.evidences.gradients import gradient_vectors
from llm_experts.training.sequences.choices import Choices
from llm_experts.training.sequences.lanes import SequenceLanes

DOMAINS = domains_named("lookup", "classification", "strings")


def test_cosines_of_mean_vectors() -> None:
    """Means (2, 0) and (1, 1): cosine 1 / √2; a domain whose blocks cancel is like nothing."""
    vectors = np.array([[[1, 0], [3, 0]], [[2, 0], [0, 2]], [[1, 1], [-1, -1]]], dtype=np.float64)
    found = Evidence.of("gradients", ["a", "b", "c"], vectors)
    np.testing.assert_allclose(found.similarity(), [[1, 0.5**0.5, 0], [0.5**0.5, 1, 0], [0, 0, 1]], atol=1e-12)
    one_block = found.similarity(np.array([[1.0, 0], [0, 1], [1, 0]]))
    np.testing.assert_allclose(one_block, [[1, 0, 0.5**0.5], [0, 1, 0.5**0.5], [0.5**0.5, 0.5**0.5, 1]], atol=1e-12)


def test_reliability_is_the_share_of_the_length_that_is_no_noise() -> None:
    """Blocks (1, 1) and (1, -1): of the mean's squared length 1 the products of different blocks explain 0."""
    found = Evidence.of("gradients", ["a", "b"], np.array([[[1, 1], [1, -1]], [[2, 0], [2, 0]]], dtype=np.float64))
    np.testing.assert_allclose(found.reliability(), [0, 1])


def test_intervals_hold_the_similarity_and_are_narrow_where_blocks_agree() -> None:
    draw = np.random.default_rng(0)
    mean = draw.normal(size=(2, 1, 50))
    calm, noisy = (
        Evidence.of("gradients", ["a", "b"], mean + noise * draw.normal(size=(2, 20, 50))) for noise in (0.01, 1.0)
    )
    widths = []
    for found in (calm, noisy):
        low, high = found.intervals()
        assert (low <= found.similarity()).all() and (found.similarity() <= high).all()
        widths.append(high[0, 1] - low[0, 1])
    assert widths[0] < 0.02 < widths[1]


def test_shuffled_blocks_keep_their_products() -> None:
    found = Evidence.of("gradients", ["a", "b"], np.random.default_rng(0).normal(size=(2, 3, 4)))
    dealt = found.shuffled(1)
    np.testing.assert_allclose(np.sort(dealt.gram, None), np.sort(found.gram, None))
    assert not np.array_equal(dealt.gram, found.gram)


@pytest.mark.parametrize(("kind", "rank"), [("lora", None), ("lora", 2), ("svf", None)])
def test_gradients_are_those_of_the_log_probability_of_the_right_answer(
    tiny_base: Base, kind: str, rank: int | None
) -> None:
    """Against central differences of the float32 log-probabilities, along the gradient itself."""
    vectors = gradient_vectors(tiny_base, DOMAINS[:1], items=4, block=4, kind=kind, rank=rank)
    gradient = torch.from_numpy(vectors[0, 0])
    lanes = SequenceLanes.fresh(tiny_base, kind, [rank], [0])
    told = scenarios(DOMAINS[:1], "capability", 4)
    choices = Choices.of(tiny_base, [item.example for item in told], [item.answers for item in told])

    def mean_log_p(theta: torch.Tensor) -> float:
        return float(choices.logprobs(lanes, theta).log_softmax(-1)[0, :, 0].mean())

    step = 0.02 * gradient / gradient.norm()
    slope = (mean_log_p(lanes.start + step) - mean_log_p(lanes.start - step)) / 0.04
    assert slope == pytest.approx(float(gradient.norm()), rel=0.02)


def test_long_gradients_are_folded_and_keep_their_cosines(tiny_base: Base, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = gradient_vectors(tiny_base, DOMAINS, items=10, block=5)
    monkeypatch.setattr(gradients, "MOST_NUMBERS", 1 << 12)
    folded = gradient_vectors(tiny_base, DOMAINS, items=10, block=5)
    assert folded.shape == (3, 2, 1 << 12) and whole.shape[2] > 1 << 12
    one, other = (Evidence.of("gradients", "abc", vectors).similarity() for vectors in (whole, folded))
    assert abs(one - other).max() < 0.1  # standard error 1 / 64


def test_errors_are_counted_by_their_form() -> None:
    kinds = {name for name, kind in KINDS.items() if kind("no", "on")}
    assert kinds == {"any", "same letters in another order", "another word"}
    assert {name for name, kind in KINDS.items() if kind("12", "123")} == {
        "any", "longer", "same beginning", "the right one and more", "another number",
    }  # fmt: skip


@pytest.mark.parametrize("kind", ["gradients", "errors", "random"])
def test_the_same_seed_gives_the_same_evidence(tiny_base: Base, kind: str) -> None:
    one, other = (gather(tiny_base, DOMAINS, kind, items=10, seed=3) for _ in range(2))  # type: ignore[arg-type]
    assert np.array_equal(one.gram, other.gram) and one.domains == ("lookup", "classification", "strings")
    assert one.blocks == 2 and np.isfinite(one.gram).all()


def test_too_few_items_are_refused(tiny_base: Base) -> None:
    with pytest.raises(DataError, match=r"9 items.*give 10"):
        gather(tiny_base, DOMAINS, items=9)
    with pytest.raises(ValueError, match="no evidence 'tea leaves'"):
        gather(tiny_base, DOMAINS, "tea leaves")  # type: ignore[arg-type]
