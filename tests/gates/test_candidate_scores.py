"""What candidates are scored by: the same numbers whichever way a candidate is handed in."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
import torch

from gates.best_single import BestSingleGate
from gates.best_single import fit as fit_best_single
from gates.dense import DenseGate, initial_tensors, stacked_gates
from gates.gate import GateState
from gates.mixing import mixture_margin
from gates.objective import attribution_gap
from gates.problem import EXPLAINED_ROWS, ExpertOutputs, GateProblem, explained_rows
from gates.settings import GateConfig
from gates.static_simplex import StaticSimplexGate
from gates.static_simplex import fit as fit_simplex
from gates.uniform import UniformGate
from gates.uniform import fit as fit_uniform
from metrics.points import point_values

if TYPE_CHECKING:
    from collections.abc import Callable

    from tasks.task import TaskView


def outputs(view: TaskView, rows: torch.Tensor, *, explained: bool = True) -> ExpertOutputs:
    g = torch.Generator().manual_seed(len(rows))
    logits = torch.randn(len(rows), 3, generator=g) * 2
    attributions = torch.randn(len(rows), 3, 4, generator=g) if explained else None
    return ExpertOutputs.of(view, rows, logits, attributions, "some")


@pytest.fixture
def view(make_view: Callable[..., TaskView]) -> TaskView:
    g = torch.Generator().manual_seed(0)
    labels, groups = torch.randint(0, 2, (240,), generator=g), torch.randint(0, 2, (240,), generator=g)
    return make_view(torch.randn(240, 4, generator=g), labels, groups, sensitive=2)


@pytest.fixture
def problem(view: TaskView) -> GateProblem:
    validation = outputs(view, view.split.validation)
    train = outputs(view, view.split.train)
    return GateProblem(view, train, validation, 0, 0.0, explained=explained_rows(validation, 0))


def dense() -> DenseGate:
    tensors = initial_tensors(4, 3, 8, torch.tensor([0.5, 0.3, 0.2]), torch.Generator().manual_seed(1))
    tensors["score_weight"] = torch.randn(8, 3, generator=torch.Generator().manual_seed(2))
    return DenseGate(**tensors, visible=torch.ones(4), temperature=torch.tensor(1.0))


def test_a_static_mixture_scores_the_same_as_a_point_and_as_a_gate(problem: GateProblem) -> None:
    points = torch.tensor([[0.2, 0.3, 0.5], [1.0, 0.0, 0.0]])
    scores = problem.score_points(points)
    for index, point in enumerate(points):
        single = problem.score(StaticSimplexGate(point))
        assert single.parts == pytest.approx(scores[index].parts, abs=1e-6)
    part = problem.validation
    margin = mixture_margin(points[0].expand(60, 3), part.state.logits)
    values = point_values(torch.sigmoid(margin)[None], part.labels, part.groups, 2)
    assert scores[0].utility == float(values["utility@1"]) and scores[0].fair_res == float(values["fair_res@1"])
    assert problem.rank_points(points).tolist() == scores.rank_key(0.0).tolist()


def test_reasons_of_one_expert_alone_are_its_own(problem: GateProblem) -> None:
    part = problem.validation
    assert part.attributions is not None
    own = float(attribution_gap(part.attributions[:, 1], part.groups, 2))
    assert problem.score_points(torch.tensor([[0.0, 1.0, 0.0]]))[0].fair_proc == pytest.approx(own, abs=1e-6)


def test_stacked_gates_score_as_each_alone(problem: GateProblem) -> None:
    gate = dense()
    other = gate.replace(score_bias=torch.tensor([0.0, 1.0, -1.0]))
    names = (*gate.trainable(), "temperature")
    both = gate.replace(**{name: torch.stack((getattr(gate, name), getattr(other, name))) for name in names})
    scores = problem.score_gates(both)
    for index, single in enumerate((gate, other)):
        assert problem.score(single).parts == pytest.approx(scores[index].parts, abs=1e-5)


def test_without_attributions_reasons_are_not_known(view: TaskView, problem: GateProblem) -> None:
    blind = replace(problem, validation=outputs(view, view.split.validation, explained=False), explained=None)
    assert explained_rows(blind.validation, 0) is None
    found = [blind.score(dense()), blind.score_points(torch.eye(3))[0]]
    assert all(score.fair_proc != score.fair_proc and score.final == score.utility - score.fair_res for score in found)


def test_a_costlier_procedural_score_replaces_the_chained_one(problem: GateProblem) -> None:
    score = problem.score(dense())
    assert problem.finish(dense(), score) == score
    assert replace(problem, procedural=lambda _: 0.25).finish(dense(), score) == replace(score, fair_proc=0.25)


def test_sensitive_columns_are_visible_unless_hidden(problem: GateProblem) -> None:
    assert problem.visible.tolist() == [1, 1, 1, 1]
    assert replace(problem, hide_sensitive=True).visible.tolist() == [1, 1, 0, 1]


def test_at_most_so_many_rows_are_explained_and_the_seed_draws_them(make_view: Callable[..., TaskView]) -> None:
    n = EXPLAINED_ROWS + 300
    view = make_view(torch.arange(4.0 * n).reshape(n, 4), torch.arange(n) % 2, torch.arange(n) % 2)
    every = outputs(view, torch.arange(n))
    one, again, two = explained_rows(every, 1), explained_rows(every, 1), explained_rows(every, 2)
    assert one is not None and again is not None and two is not None
    assert len(one.labels) == len(torch.unique(one.state.features[:, 0])) == EXPLAINED_ROWS
    assert torch.equal(one.state.features, again.state.features)
    assert not torch.equal(one.state.features, two.state.features)
    assert one.attributions is not None and every.attributions is not None
    rows = (one.state.features[:, 0] / 4).long()
    assert torch.equal(one.attributions, every.attributions[rows]) and torch.equal(one.labels, every.labels[rows])


def test_outputs_that_do_not_fit_the_view_are_refused(view: TaskView) -> None:
    rows = torch.arange(10)
    with pytest.raises(ValueError, match=r"have shape \(9, 3\) but the split has 10"):
        ExpertOutputs.of(view, rows, torch.zeros(9, 3), None, "some")
    with pytest.raises(ValueError, match="in the order of the split"):
        ExpertOutputs.of(view, rows, torch.zeros(10), None, "some")
    with pytest.raises(ValueError, match=r"expected \[rows, experts, columns\] = \(10, 3, 4\)"):
        ExpertOutputs.of(view, rows, torch.zeros(10, 3), torch.zeros(10, 3, 5), "some")


def test_stacked_gates_begin_near_the_start_at_every_temperature(problem: GateProblem) -> None:
    start = torch.tensor([0.5, 0.3, 0.2])
    lanes = replace(problem, configs=[GateConfig(temperature=t) for t in (0.25, 1.0, 4.0)])
    gates = stacked_gates(lanes, DenseGate, start, torch.Generator().manual_seed(0))
    weights = gates.weights(problem.validation.state)
    assert weights.shape == (3, 60, 3)
    assert float((weights - start).abs().max()) < 0.05
    torch.testing.assert_close(weights[0], weights[2])


def test_a_gate_in_double_precision_is_the_same_gate(problem: GateProblem) -> None:
    state = problem.validation.state
    wide = dense().to(torch.float64).weights(GateState(state.features.double(), state.logits.double()))
    assert wide.dtype == torch.float64
    torch.testing.assert_close(wide.float(), dense().weights(state))


def test_fits_of_static_gates_hold_what_validation_rows_prefer(problem: GateProblem) -> None:
    assert problem.experts == 3
    keys = problem.rank_points(torch.eye(3))
    best, uniform, simplex = (fit(problem) for fit in (fit_best_single, fit_uniform, fit_simplex))
    assert isinstance(best.gate, BestSingleGate) and best.gate.index == int(keys.argmax())
    assert isinstance(uniform.gate, UniformGate) and uniform.config is None
    assert best.score == problem.score_points(torch.eye(3))[best.gate.index]
    assert simplex.score.final >= max(best.score.final, uniform.score.final) - 1e-9
    blind = replace(problem, explained=None)
    assert blind.score_gates(dense().replace(temperature=torch.tensor([1.0])))[0].parts == pytest.approx(
        blind.score(dense()).parts, nan_ok=True
    )
