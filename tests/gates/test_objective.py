from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from gates.dense import DenseGate, initial_tensors
from gates.gate import GateState
from gates.mixing import mixture_margin
from gates.objective import attribution_gap, chained_attributions, mixture_terms, pairwise_jsd


def generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def dense(features: int = 4, experts: int = 3) -> DenseGate:
    tensors = initial_tensors(features, experts, 8, torch.full((experts,), 1 / experts), generator(1))
    tensors["score_weight"] = torch.randn(8, experts, generator=generator(2))
    return DenseGate(**tensors, visible=torch.ones(features), temperature=torch.tensor(1.0))


def data(rows: int = 60) -> tuple[GateState, Tensor, Tensor]:
    g = generator(3)
    state = GateState(torch.randn(rows, 4, generator=g), torch.randn(rows, 3, generator=g) * 2)
    return state, torch.randint(0, 2, (rows,), generator=g), torch.randint(0, 2, (rows,), generator=g)


def test_terms_of_a_known_batch() -> None:
    weights = torch.tensor([[1.0, 0.0], [0.5, 0.5]])
    logits = torch.logit(torch.tensor([[0.8, 0.1], [0.2, 0.6]]))
    terms = mixture_terms(weights, logits, torch.tensor([1, 1]), torch.tensor([0, 1]), 2)
    assert float(terms.utility) == pytest.approx(-(math.log(0.8) + math.log(0.4)) / 2)
    assert float(terms.fair) == pytest.approx(0.4)
    mean = (0.75, 0.25)
    assert float(terms.balance) == pytest.approx(1 + sum(p * math.log2(p) for p in mean))
    assert float(terms.decision) == pytest.approx(0.5)


@pytest.mark.parametrize("term", ["utility", "fair", "balance", "decision", "attention"])
def test_every_term_moves_the_gate(term: str) -> None:
    state, labels, groups = data()
    leaves = {name: t.requires_grad_() for name, t in dense().trainable().items()}
    gate = dense().replace(**leaves)
    if term == "attention":
        own = torch.randn(60, 3, 4, generator=generator(9))
        value = attribution_gap(chained_attributions(gate, state, own, torch.arange(4)), groups, 2)
    else:
        value = getattr(mixture_terms(gate.weights(state), state.logits, labels, groups, 2), term)
    gradients = torch.autograd.grad(value, list(leaves.values()))
    assert all(bool(torch.isfinite(g).all()) for g in gradients)
    assert sum(float(g.abs().sum()) for g in gradients) > 1e-6


@pytest.mark.parametrize(
    ("p", "q", "expected"), [((0.5, 0.5), (0.9, 0.1), 0.146793), ((1, 0), (0, 1), 1.0), ((0.3, 0.7), (0.3, 0.7), 0.0)]
)
def test_divergence_of_hand_cases(p: tuple[float, float], q: tuple[float, float], expected: float) -> None:
    assert float(pairwise_jsd(torch.tensor([p, q]).double())) == pytest.approx(expected, abs=1e-6)


def test_attribution_gap_is_the_largest_of_the_pairs_and_skips_empty_groups() -> None:
    attributions = torch.tensor([[1.0, 0.0], [-1.0, 0.0], [0.0, 2.0]])
    assert float(attribution_gap(attributions, torch.tensor([0, 1, 3]), 4)) == pytest.approx(1.0, abs=1e-4)
    assert float(attribution_gap(attributions, torch.tensor([2, 2, 2]), 4)) == 0


def test_chained_attributions_of_linear_experts_are_gradient_times_input_of_the_whole_mixture() -> None:
    state, _, _ = data()
    slopes = torch.randn(3, 4, generator=generator(7))
    x = state.features.clone().requires_grad_()
    logits = x @ slopes.T
    margin = mixture_margin(dense().weights(GateState(x, logits)), logits)
    expected = torch.autograd.grad(margin.sum(), x)[0] * state.features
    own = state.features[:, None, :] * slopes
    chained = chained_attributions(dense(), GateState(state.features, logits.detach()), own, torch.arange(4))
    torch.testing.assert_close(chained.detach(), expected, rtol=1e-4, atol=1e-5)


@given(st.integers(0, 500))
def test_lanes_are_independent(seed: int) -> None:
    state, labels, groups = data()
    weights = torch.softmax(torch.randn(4, 60, 3, generator=generator(seed)), -1)
    together = mixture_terms(weights, state.logits, labels, groups, 2)
    alone = mixture_terms(weights[2], state.logits, labels, groups, 2)
    for name in ("utility", "fair", "balance", "decision"):
        torch.testing.assert_close(getattr(together, name)[2], getattr(alone, name))


def test_one_expert_alone_has_nothing_to_balance_or_to_decide() -> None:
    terms = mixture_terms(torch.ones(2, 1), torch.zeros(2, 1), torch.tensor([1, 0]), torch.tensor([0, 1]), 2)
    assert (float(terms.balance), float(terms.decision)) == (1.0, 0.0)
    assert float(terms.utility) == pytest.approx(math.log(2))


def test_attribution_gap_of_a_hand_case_weighs_rows_of_a_group_equally() -> None:
    # group 0: shares (1, 0) and (1/2, 1/2), mean (3/4, 1/4); group 1: (1/4, 3/4)
    attributions = torch.tensor([[2.0, 0.0], [5.0, -5.0], [0.1, 0.3]], dtype=torch.float64)
    middle = sum(-p * math.log2(p) for p in (0.5, 0.5))
    side = sum(-p * math.log2(p) for p in (0.75, 0.25))
    found = float(attribution_gap(attributions, torch.tensor([0, 0, 1]), 2))
    assert found == pytest.approx(middle - side, abs=1e-6)


def test_a_column_of_several_features_gets_all_they_contribute() -> None:
    state, _, _ = data(5)
    none = torch.zeros(5, 3, 2)
    apart = chained_attributions(dense(), state, torch.zeros(5, 3, 4), torch.arange(4))
    together = chained_attributions(dense(), state, none, torch.tensor([0, 1, 1, 0]))
    torch.testing.assert_close(together, torch.stack((apart[:, [0, 3]].sum(1), apart[:, [1, 2]].sum(1)), 1))
