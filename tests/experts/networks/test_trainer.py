from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable

import pytest
import torch

from experts.expert import Role
from experts.networks import batches, trainer
from experts.networks.lanes import LaneParameters, margins
from experts.networks.trainer import Budget, LaneConfig, LaneResult, train_lanes
from experts.scores import OUTCOME_METRICS, REASON_METRICS
from metrics.points import point_values
from tasks.task import HIDDEN, TaskView

Views = Callable[..., TaskView]
SHORT = Budget(steps=60, eval_every=20, warm_up=20, hidden=6, rungs=(), patience=100)
ONCE = dataclasses.replace(SHORT, eval_every=60)
FAIR: dict[Role, dict[str, float]] = {
    "utility": {},
    "result": {"lambda_rep": 1.0, "lambda_fair": 2.0},
    "procedural": {"lambda_attention": 5.0, "lambda_adv": 0.5},
}


def lanes(count: int = 3, lambdas: dict[str, float] | None = None, lr: float = 1e-2) -> list[LaneConfig]:
    return [LaneConfig(lr * 0.8**k, 1e-4, lambdas or {}, k) for k in range(count)]


@pytest.fixture
def mini_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batches, "FULL_BATCH_ROWS", 10)


@pytest.mark.parametrize("role", ["result", "procedural"])
@pytest.mark.parametrize("batch_rows", [64, 1024])
def test_without_weights_a_fair_lane_is_bit_identical_to_the_utility_lane(
    make_view: Views, mini_batches: None, role: Role, batch_rows: int
) -> None:
    view, budget = make_view(300), dataclasses.replace(ONCE, batch_rows=batch_rows)
    zeros = dict.fromkeys(FAIR[role], 0.0)
    utility = train_lanes(view, "utility", lanes(), budget, seed=3)
    twin = train_lanes(view, role, lanes(lambdas=zeros), budget, seed=3)
    assert torch.equal(utility.parameters.theta, twin.parameters.theta)
    assert utility.step == twin.step == [60, 60, 60]


@pytest.mark.parametrize("role", ["result", "procedural"])
def test_the_fairness_terms_reduce_what_they_are_about(make_view: Views, role: Role) -> None:
    view, budget = make_view(600), dataclasses.replace(ONCE, steps=200, eval_every=200)
    name = "fair_res@1" if role == "result" else "att_jsd@1"
    lambdas = {"lambda_fair": 5.0} if role == "result" else {"lambda_attention": 30.0}
    plain = train_lanes(view, role, lanes(4), budget, seed=0)
    fair = train_lanes(view, role, lanes(4, lambdas), budget, seed=0)
    assert sum(m[name] for m in fair.metrics) < 0.7 * sum(m[name] for m in plain.metrics)


@pytest.mark.parametrize("role", ["utility", "result", "procedural"])
def test_a_lane_trains_as_if_it_were_alone(make_view: Views, role: Role) -> None:
    view, configs = make_view(300), lanes(3, FAIR[role])
    together = train_lanes(view, role, configs, SHORT, seed=1)
    alone = train_lanes(view, role, configs[1:2], SHORT, seed=1)
    torch.testing.assert_close(together.parameters.theta[1], alone.parameters.theta[0], rtol=1e-3, atol=1e-4)
    assert together.step[1] == alone.step[0]


@pytest.mark.parametrize("role", ["utility", "result", "procedural"])
def test_chunks_of_lanes_change_nothing(make_view: Views, role: Role, monkeypatch: pytest.MonkeyPatch) -> None:
    view, configs = make_view(300), lanes(5, FAIR[role])
    whole = train_lanes(view, role, configs, ONCE, seed=1)
    monkeypatch.setattr(trainer, "lane_chunk", lambda rows, hidden_units: 2)
    parts = train_lanes(view, role, configs, ONCE, seed=1)
    torch.testing.assert_close(whole.parameters.theta, parts.parameters.theta, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("role", ["utility", "result", "procedural"])
def test_mini_batches_learn(make_view: Views, mini_batches: None, role: Role) -> None:
    budget = dataclasses.replace(SHORT, steps=150, eval_every=50, batch_rows=64)
    result = train_lanes(make_view(600), role, lanes(2, FAIR[role]), budget, seed=0)
    assert all(m["auc@1"] > 0.7 for m in result.metrics)


def test_the_same_call_gives_the_same_lanes_and_seeds_matter(make_view: Views) -> None:
    view = make_view(300)
    one, two = (train_lanes(view, "procedural", lanes(2, FAIR["procedural"]), SHORT, seed=4) for _ in range(2))
    assert torch.equal(one.parameters.theta, two.parameters.theta)
    assert one.metrics == two.metrics
    other = train_lanes(view, "procedural", lanes(2, FAIR["procedural"]), SHORT, seed=5)
    assert not torch.equal(one.parameters.theta, other.parameters.theta)


def test_metrics_are_those_of_the_chosen_weights(make_view: Views) -> None:
    view = make_view(400)
    result = train_lanes(view, "result", lanes(3, FAIR["result"]), SHORT, seed=0, utility_floor=0.5)
    rows = view.split.validation
    probability = torch.sigmoid(margins(result.parameters, view.features[rows]))
    values = point_values(probability, view.labels[rows], view.groups[rows], 2, metrics=OUTCOME_METRICS)
    for lane, row in enumerate(result.metrics):
        assert set(row) == {*OUTCOME_METRICS, *REASON_METRICS}
        assert all(row[name] == pytest.approx(float(values[name][lane]), abs=1e-6) for name in OUTCOME_METRICS)
        assert result.objective[lane] == row["fair_res@1"]


def _history(result: LaneResult, lane: int) -> list[dict[str, float]]:
    return [row for row in result.history if row["lane"] == lane]


def test_utility_lanes_keep_their_highest_utility(make_view: Views) -> None:
    result = train_lanes(make_view(300), "utility", lanes(), SHORT, seed=0)
    for lane in range(3):
        rows = _history(result, lane)
        assert [row["step"] for row in rows] == [20, 40, 60]
        best = max(rows, key=lambda row: row["utility@1"])
        assert (result.objective[lane], result.step[lane]) == (best["utility@1"], best["step"])


@pytest.mark.parametrize(("role", "score"), [("result", "fair_res@1"), ("procedural", "fair_proc@1")])
def test_fair_lanes_keep_the_smallest_gap_above_the_floor(make_view: Views, role: Role, score: str) -> None:
    budget = dataclasses.replace(SHORT, steps=200)
    free = train_lanes(make_view(300), role, lanes(3, FAIR[role]), budget, seed=0)
    utilities = sorted(row["utility@1"] for row in free.history if row["step"] > budget.warm_up)
    floor = utilities[len(utilities) // 2]
    result = train_lanes(make_view(300), role, lanes(3, FAIR[role]), budget, seed=0, utility_floor=floor)
    for lane in range(3):
        rows = [row for row in _history(result, lane) if row["step"] > budget.warm_up]
        allowed = [row for row in rows if row["utility@1"] >= floor]
        best = min(allowed, key=lambda row: row[score]) if allowed else max(rows, key=lambda row: row["utility@1"])
        assert result.feasible[lane] == bool(allowed)
        assert result.step[lane] == best["step"]


def test_an_unreachable_floor_gives_the_highest_utility_marked_infeasible(make_view: Views) -> None:
    result = train_lanes(make_view(300), "result", lanes(2, FAIR["result"]), SHORT, seed=0, utility_floor=2.0)
    assert result.feasible == [False, False]
    for lane in range(2):
        rows = [row for row in _history(result, lane) if row["step"] > SHORT.warm_up]
        assert result.metrics[lane]["utility@1"] == max(row["utility@1"] for row in rows)


def test_checkpoints_of_fair_roles_come_after_warm_up(make_view: Views) -> None:
    budget = dataclasses.replace(SHORT, warm_up=40)
    result = train_lanes(make_view(300), "result", lanes(3, FAIR["result"]), budget, seed=0)
    assert set(result.step) == {60}


def test_patience_counts_from_the_end_of_warm_up(make_view: Views) -> None:
    budget = dataclasses.replace(SHORT, steps=400, warm_up=200, patience=2)
    result = train_lanes(make_view(300), "result", lanes(3, {"lambda_fair": 1.0}, lr=1e-9), budget, seed=0)
    assert result.state == ["early_stopped"] * 3
    assert all(max(row["step"] for row in _history(result, lane)) == 260 for lane in range(3))
    assert "2 evaluations" in result.reason[0]


def test_a_diverging_lane_fails_alone(make_view: Views) -> None:
    configs = lanes(3)
    configs[1] = dataclasses.replace(configs[1], lr=1e38)
    result = train_lanes(make_view(300), "utility", configs, SHORT, seed=0)
    healthy = train_lanes(make_view(300), "utility", lanes(3), SHORT, seed=0)
    assert result.state == ["completed", "failed", "completed"]
    assert "lower the learning rate" in result.reason[1]
    assert math.isnan(result.objective[1]) and not result.feasible[1]
    torch.testing.assert_close(result.parameters.theta[[0, 2]], healthy.parameters.theta[[0, 2]])


def test_rungs_keep_the_better_lanes(make_view: Views) -> None:
    budget = dataclasses.replace(SHORT, rungs=(0.3, 0.6), keep=0.5, steps=100)
    configs = [dataclasses.replace(config, lr=1e-2 if k % 2 else 1e-7) for k, config in enumerate(lanes(8))]
    result = train_lanes(make_view(300), "utility", configs, budget, seed=0)
    assert result.state.count("pruned") == 6
    assert all(result.state[k] == "pruned" for k in range(0, 8, 2))
    assert {max(row["step"] for row in _history(result, k)) for k in range(0, 8, 2)} == {40}
    survivors = [k for k in range(8) if result.state[k] == "completed"]
    unpruned = train_lanes(make_view(300), "utility", configs, dataclasses.replace(budget, rungs=()), seed=0)
    torch.testing.assert_close(
        result.parameters.theta[survivors], unpruned.parameters.theta[survivors], rtol=1e-3, atol=1e-4
    )


def test_rungs_rank_feasible_lanes_first(make_view: Views) -> None:
    budget = dataclasses.replace(SHORT, rungs=(0.5,), warm_up=10)
    configs = [*lanes(2, FAIR["result"]), *lanes(2, FAIR["result"], lr=1e-7)]  # the latter: low gap, no utility
    result = train_lanes(make_view(600), "result", configs, budget, seed=0, utility_floor=0.7)
    assert result.state[:2] == ["completed", "completed"]
    assert result.state[2:] == ["pruned", "pruned"]


def test_rows_without_weight_are_out_of_the_lane(make_view: Views) -> None:
    view = make_view(300)
    folds = torch.ones(2, 150)
    folds[0, :50], folds[1, 100:] = 0, 0
    before = train_lanes(view, "result", lanes(2, FAIR["result"]), ONCE, seed=0, row_weights=folds)
    features = view.features.clone()
    features[view.split.train[:50]] = 3.0
    changed = view.with_features(features)
    after = train_lanes(changed, "result", lanes(2, FAIR["result"]), ONCE, seed=0, row_weights=folds)
    torch.testing.assert_close(before.parameters.theta[0], after.parameters.theta[0], rtol=1e-3, atol=1e-4)
    assert not torch.allclose(before.parameters.theta[1], after.parameters.theta[1], rtol=0.1)


def test_row_weights_of_a_fold_equal_training_on_the_fold(make_view: Views) -> None:
    view, budget = make_view(300), dataclasses.replace(ONCE, dropout=0.0)
    used = torch.arange(150) % 3 != 0
    part = dataclasses.replace(view, split=dataclasses.replace(view.split, train=view.split.train[used]))
    whole = train_lanes(view, "utility", lanes(2), budget, seed=0, row_weights=used.float().expand(2, 150))
    fold = train_lanes(part, "utility", lanes(2), budget, seed=0)
    torch.testing.assert_close(whole.parameters.theta, fold.parameters.theta, rtol=1e-3, atol=1e-4)


def test_progress_and_evaluation_rows(make_view: Views) -> None:
    view, seen = make_view(300), []
    result = train_lanes(
        view, "utility", lanes(2), SHORT, seed=0, eval_rows=view.split.train, progress=lambda *at: seen.append(at)
    )
    assert seen == [(20, 60), (40, 60), (60, 60)]  # the compiled kernel comes back for evaluations
    assert result.metrics[0]["acc@1"] * 150 == pytest.approx(round(result.metrics[0]["acc@1"] * 150), abs=1e-6)


def test_more_groups_than_two(make_view: Views) -> None:
    view = make_view(500, n_groups=4)
    for role in FAIR:
        result = train_lanes(view, role, lanes(2, FAIR[role]), SHORT, seed=0)
        assert all(math.isfinite(value) for value in result.objective)


def test_what_does_not_fit_is_refused(make_view: Views) -> None:
    view = make_view(100)
    with pytest.raises(ValueError, match="no configuration"):
        train_lanes(view, "utility", [], SHORT, seed=0)
    with pytest.raises(ValueError, match="lambda_adv"):
        train_lanes(view, "result", lanes(1, {"lambda_adv": 1.0}), SHORT, seed=0)
    with pytest.raises(ValueError, match="negative or infinite"):
        train_lanes(view, "result", lanes(1, {"lambda_rep": -1.0}), SHORT, seed=0)
    with pytest.raises(ValueError, match="lower warm_up"):
        train_lanes(view, "result", lanes(1), dataclasses.replace(SHORT, warm_up=60), seed=0)
    with pytest.raises(ValueError, match="hidden labels"):
        train_lanes(view, "utility", lanes(1), SHORT, seed=0, eval_rows=view.split.test)
    assert bool((view.labels[view.split.test] == HIDDEN).all())


def test_chosen_weights_are_copies(make_view: Views) -> None:
    result = train_lanes(make_view(300), "utility", lanes(2), SHORT, seed=0)
    assert isinstance(result.parameters, LaneParameters)
    assert not result.parameters.theta.requires_grad
    picked = result.parameters.select([1])
    picked.theta.zero_()
    assert bool(result.parameters.theta[1].any())
