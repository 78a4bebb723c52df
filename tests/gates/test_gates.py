from __future__ import annotations

from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from gates.adaptive import AdaptiveGate
from gates.best_single import BestSingleGate, best_expert
from gates.dense import DenseGate, initial_tensors, opinion_features
from gates.family_means import FamilyMeansGate
from gates.gate import Gate, GateState, ProjectedGate
from gates.greedy import GreedyGate
from gates.grid import best_point, default_parts, simplex_grid
from gates.oracle import OracleGate
from gates.registry import gate_definition, gate_names, load_gate, save_gate
from gates.shrunk_dense import ShrunkDenseGate
from gates.simplex import SimplexGate
from gates.stacking import StackingGate
from gates.static_simplex import StaticSimplexGate
from gates.topk import TopKGate
from gates.uniform import UniformGate


def generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def state(rows: int = 40, features: int = 5, experts: int = 3, seed: int = 0) -> GateState:
    g = generator(seed)
    return GateState(torch.randn(rows, features, generator=g), torch.randn(rows, experts, generator=g) * 3)


def dense(features: int = 5, experts: int = 3, *, temperature: float = 1.0, k: int | None = None) -> DenseGate:
    tensors = initial_tensors(features, experts, 8, torch.full((experts,), 1 / experts), generator(1))
    tensors["score_weight"] = torch.randn(8, experts, generator=generator(2))
    tensors |= {"visible": torch.ones(features), "temperature": torch.tensor(temperature)}
    return DenseGate(**tensors) if k is None else TopKGate(**tensors, k=k)


def every_gate() -> list[ProjectedGate]:
    simplex = StaticSimplexGate(torch.tensor([0.2, 0.3, 0.5]))
    point = simplex.simplex
    learnt: list[ProjectedGate] = [
        GreedyGate(point), FamilyMeansGate(point), AdaptiveGate(point, 0.3), SimplexGate(point),
        StackingGate(point, 0.1, 1.2), shrunk(),
    ]  # fmt: skip
    return [dense(), dense(k=2), UniformGate(3), BestSingleGate(1, 3), simplex, *learnt]


def shrunk(features: int = 5) -> ShrunkDenseGate:
    """Two families of one and two experts."""
    members = torch.tensor([[1.0, 0.0, 0.0], [0.0, 0.4, 0.6]])
    weights = (torch.randn(rows, 2, generator=generator(3)) for rows in (features, 5))
    return ShrunkDenseGate(torch.ones(features), members, torch.tensor([0.3, 0.7]), *weights)


@pytest.mark.parametrize("gate", every_gate(), ids=lambda g: g.name)
def test_weights_are_on_the_simplex(gate: ProjectedGate) -> None:
    weights = gate.weights(state())
    assert weights.shape == (40, 3)
    assert bool((weights >= 0).all())
    torch.testing.assert_close(weights.sum(-1), torch.ones(40))


@pytest.mark.parametrize("gate", every_gate(), ids=lambda g: g.name)
def test_projection_is_linear_and_leads_to_the_same_weights(gate: ProjectedGate) -> None:
    rows = state()
    projected = gate.project(rows.features)
    torch.testing.assert_close(gate.project(0.3 * rows.features), 0.3 * projected)
    torch.testing.assert_close(gate.weights_of(projected, rows.logits), gate.weights(rows))


@pytest.mark.parametrize("gate", every_gate(), ids=lambda g: g.name)
def test_saved_gate_is_the_same_gate(gate: ProjectedGate, tmp_path: Path) -> None:
    save_gate(gate, tmp_path)
    loaded = load_gate(tmp_path)
    assert type(loaded) is type(gate)
    assert torch.equal(loaded.weights(state()), gate.weights(state()))
    assert isinstance(loaded, Gate)


def test_every_registered_gate_was_tested() -> None:
    assert {gate.name: type(gate) for gate in every_gate()} == {n: gate_definition(n).gate for n in gate_names()}


def test_oracle_is_neither_registered_nor_saved(tmp_path: Path) -> None:
    gate = OracleGate(torch.tensor([1, 0]))
    assert gate.name not in gate_names()
    with pytest.raises(ValueError, match="cannot be saved"):
        save_gate(gate, tmp_path)  # type: ignore[arg-type]


def test_oracle_picks_the_expert_that_says_most_for_the_label() -> None:
    logits = torch.tensor([[2.0, -1.0, 3.0], [2.0, -1.0, 3.0]])
    weights = OracleGate(torch.tensor([1, 0])).weights(GateState(logits[:, :0], logits))
    assert weights.tolist() == [[0, 0, 1], [0, 1, 0]]
    with pytest.raises(ValueError, match="exactly these rows"):
        OracleGate(torch.tensor([1])).weights(GateState(logits[:, :0], logits))


def test_opinions_of_a_known_row() -> None:
    logits = torch.logit(torch.tensor([[0.2, 0.9, 0.5]]))
    expected = torch.tensor([[0.2, 0.9, 0.5, 0.8, 0.9, 0.5, (0.7 + 0.3 + 0.4) / 3]])
    torch.testing.assert_close(opinion_features(logits), expected)


def test_a_new_dense_gate_begins_near_its_starting_point() -> None:
    start = torch.tensor([0.6, 0.4, 0.0])
    gate = dense().replace(**initial_tensors(5, 3, 8, start, generator(0)))
    expected = start.clamp(min=0.02)
    assert float((gate.weights(state()) - expected / expected.sum()).abs().max()) < 0.05


def test_hidden_features_have_no_influence() -> None:
    gate, rows = dense(), state()
    blind = gate.replace(visible=torch.tensor([1.0, 0, 1, 1, 1]))
    changed = GateState(rows.features + torch.tensor([0.0, 5, 0, 0, 0]), rows.logits)
    assert torch.equal(blind.weights(rows), blind.weights(changed))
    assert not torch.equal(gate.weights(rows), gate.weights(changed))


def test_temperature_sharpens() -> None:
    cold, hot = dense(temperature=0.1).weights(state()), dense(temperature=10.0).weights(state())
    assert cold.amax(-1).mean() > hot.amax(-1).mean()


def test_stacked_gates_equal_single_gates() -> None:
    first, second = dense(), dense(temperature=0.5).replace(score_bias=torch.tensor([1.0, 0, -1]))
    names = (*first.trainable(), "temperature")
    both = first.replace(**{n: torch.stack((getattr(first, n), getattr(second, n))) for n in names})
    torch.testing.assert_close(both.weights(state()), torch.stack((first.weights(state()), second.weights(state()))))
    torch.testing.assert_close(both.lane(1).weights(state()), second.weights(state()))


@given(st.integers(1, 5), st.integers(2, 5), st.integers(0, 1000))
def test_topk_keeps_the_k_largest_and_their_ratios(k: int, experts: int, seed: int) -> None:
    rows = state(experts=experts, seed=seed)
    sparse, full = dense(experts=experts, k=k).weights(rows), dense(experts=experts).weights(rows)
    kept = sparse > 0
    assert bool((kept.sum(-1) <= k).all())
    largest = torch.zeros_like(full).scatter(-1, full.topk(min(k, experts), -1).indices, 1.0) * full
    torch.testing.assert_close(sparse, largest / largest.sum(-1, keepdim=True))


def test_dense_gate_is_differentiable_in_features_logits_and_parameters() -> None:
    gate, rows = dense(), state()
    leaves = [rows.features.requires_grad_(), rows.logits.requires_grad_()]
    leaves += [t.requires_grad_() for t in gate.trainable().values()]
    gradients = torch.autograd.grad(gate.weights(rows)[:, 0].sum(), leaves)
    assert all(float(g.abs().sum()) > 0 for g in gradients)


@pytest.mark.parametrize(("experts", "parts", "count"), [(3, 20, 231), (2, 4, 5), (1, 7, 1), (4, 3, 20)])
def test_grid_has_all_points_once(experts: int, parts: int, count: int) -> None:
    grid = simplex_grid(experts, parts)
    assert len(torch.unique((grid * parts).round(), dim=0)) == len(grid) == count
    torch.testing.assert_close(grid.sum(1), torch.ones(count))
    assert bool((grid >= 0).all())


def test_grid_that_is_too_large_says_so() -> None:
    with pytest.raises(ValueError, match="take fewer parts"):
        simplex_grid(8, 20)
    assert [default_parts(m) for m in (1, 2, 3, 4, 5, 8)] == [20, 20, 20, 20, 10, 5]


def test_static_simplex_finds_a_planted_optimum() -> None:
    planted = torch.tensor([0.15, 0.05, 0.8])
    found = best_point(3, lambda points: -(points - planted).abs().sum(-1))
    torch.testing.assert_close(found, planted)


def test_static_simplex_prefers_the_uniform_mixture_in_a_tie() -> None:
    found = best_point(2, lambda points: torch.zeros(len(points)))
    torch.testing.assert_close(found, torch.tensor([0.5, 0.5]))


def test_best_single_finds_the_best() -> None:
    gate = BestSingleGate(best_expert(3, lambda points: points @ torch.tensor([1.0, 3.0, 2.0])), 3)
    assert gate.index == 1
    assert gate.weights(state())[0].tolist() == [0, 1, 0]


@pytest.mark.parametrize("bad", [[0.5, 0.6], [-0.5, 1.5]])
def test_points_off_the_simplex_are_refused(bad: list[float]) -> None:
    with pytest.raises(ValueError, match="not a point of the simplex"):
        StaticSimplexGate(torch.tensor(bad))


def test_static_gate_refuses_another_number_of_experts() -> None:
    with pytest.raises(ValueError, match="weighs 2 experts but the state has logits of 3"):
        UniformGate(2).weights(state())


def test_best_single_refuses_an_expert_that_does_not_exist() -> None:
    with pytest.raises(ValueError, match="counted from 0"):
        BestSingleGate(3, 3)


def test_the_largest_grid_and_the_coarsest_default() -> None:
    assert len(simplex_grid(2, 19_999)) == 20_000
    with pytest.raises(ValueError, match="20001 points, more than 20000"):
        simplex_grid(2, 20_000)
    assert [default_parts(m) for m in (62, 63)] == [2, 1]  # 1,953 and 2,016 points of step 1/2
    assert [default_parts(m) for m in (9, 10, 13, 14, 21, 22)] == [5, 4, 4, 3, 3, 2]


def test_the_best_point_does_not_depend_on_how_many_are_scored_at_once() -> None:
    sizes: list[int] = []

    def score(points: torch.Tensor) -> torch.Tensor:
        sizes.append(len(points))
        return -(points - torch.tensor([0.25, 0.75])).abs().sum(-1)

    assert best_point(2, score, parts=4, chunk=2).tolist() == best_point(2, score, parts=4).tolist() == [0.25, 0.75]
    assert sizes == [2, 2, 1, 5]


def test_static_weights_look_at_no_feature_and_may_lie_at_the_edge_of_the_simplex() -> None:
    gate = StaticSimplexGate(torch.tensor([1.0, 0.0, 0.0]))
    assert gate.project(state().features).shape == (40, 0)
    assert gate.weights(state())[7].tolist() == [1, 0, 0]
    StaticSimplexGate(torch.tensor([0.5, 0.500001]))  # rounding
    with pytest.raises(ValueError, match="not a point of the simplex"):
        StaticSimplexGate(torch.tensor([0.5, 0.5001]))
    with pytest.raises(ValueError, match="not a point of the simplex"):
        StaticSimplexGate(torch.tensor([[0.5, 0.5]]))


def test_best_single_knows_its_first_expert_and_none_before_it() -> None:
    assert BestSingleGate(0, 2).point.tolist() == [1, 0]
    with pytest.raises(ValueError, match="counted from 0"):
        BestSingleGate(-1, 3)
    assert best_expert(3, lambda points: points @ torch.tensor([1.0, 3.0, 3.0])) == 1, "the first in a tie"


def test_static_weights_of_several_lanes_of_experts() -> None:
    gate, logits = UniformGate(3), torch.zeros(2, 40, 3)
    assert gate.weights_of(torch.zeros(40, 0), logits).shape == (2, 40, 3)
    with pytest.raises(ValueError, match="weighs 3 experts but the state has logits of 4"):
        gate.weights_of(torch.zeros(40, 0), torch.zeros(2, 3, 4))


def test_a_dense_gate_is_the_network_that_its_formula_says() -> None:
    g, rows = generator(5), state(features=2, experts=2)
    shapes = {"feature_weight": (2, 4), "opinion_weight": (5, 4), "hidden_bias": (4,), "score_weight": (4, 2)}
    tensors = {name: torch.randn(*shape, generator=g) for name, shape in shapes.items()}
    bias, temperature = torch.tensor([0.3, -0.4]), torch.tensor(0.7)
    gate = DenseGate(torch.tensor([1.0, 0.0]), **tensors, score_bias=bias, temperature=temperature)
    seen = torch.cat((rows.features * torch.tensor([1.0, 0.0]), opinion_features(rows.logits)), 1)
    inner = torch.cat((tensors["feature_weight"], tensors["opinion_weight"]))
    scores = torch.tanh(seen @ inner + tensors["hidden_bias"]) @ tensors["score_weight"] + bias
    torch.testing.assert_close(gate.weights(rows), torch.softmax(scores / 0.7, -1))


def test_a_new_dense_gate_has_hidden_inputs_of_unit_size() -> None:
    tensors = initial_tensors(400, 3, 200, torch.full((3,), 1 / 3), generator(0))
    assert float(tensors["feature_weight"].std()) == pytest.approx(400**-0.5, rel=0.05)
    assert float(tensors["opinion_weight"].std()) == pytest.approx(7**-0.5, rel=0.05)
    assert float(tensors["score_weight"].std()) == pytest.approx(0.01, rel=0.1)


def test_one_expert_never_disagrees_with_itself() -> None:
    torch.testing.assert_close(opinion_features(torch.zeros(1, 1)), torch.tensor([[0.5, 0.5, 0.0]]))
    two = opinion_features(torch.logit(torch.tensor([[0.2, 0.9]])))
    torch.testing.assert_close(two, torch.tensor([[0.2, 0.9, 0.8, 0.9, 0.7]]))


def test_topk_keeps_lanes_apart() -> None:
    first, second = dense(k=2), dense(k=2).replace(score_bias=torch.tensor([1.0, 0, -1]))
    names = (*first.trainable(), "temperature")
    both = first.replace(**{n: torch.stack((getattr(first, n), getattr(second, n))) for n in names})
    torch.testing.assert_close(both.weights(state()), torch.stack((first.weights(state()), second.weights(state()))))
