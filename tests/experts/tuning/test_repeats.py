"""The chosen configuration trained again with other seeds."""

import dataclasses
import math

import pytest
import torch

from experts.graph.network import GraphNetwork
from experts.graph.settings import GraphSettings
from experts.networks.lanes import LaneParameters
from experts.networks.network import MLP
from experts.networks.trainer import Budget
from experts.networks.twin import train_fixed, twin
from experts.tuning.networks import trial_probabilities, tune
from experts.tuning.out_of_fold import out_of_fold_logits
from experts.tuning.repeats import repeat
from experts.tuning.trials import TuningError
from metrics.points import point_values

BUDGET = Budget(steps=40, eval_every=10, patience=9, warm_up=5, hidden=5, rungs=(0.5,), attribution_rows=64)
SEEDS = [7, 8, 9]


@pytest.fixture(scope="module")
def view():
    from tests.experts.conftest import build_graph_view

    return build_graph_view()


@pytest.fixture(
    scope="module",
    params=[MLP, GraphNetwork(GraphSettings("gcn")), GraphNetwork(GraphSettings("sage", 2))],
    ids=["mlp", "gcn", "sage2"],
)
def tuning(request, view, tmp_path_factory):
    return tune(
        view, "result", seed=1, folder=tmp_path_factory.mktemp("tuned"), budget=BUDGET, trials=6, batch=3,
        space="wide", utility_floor=0.5, network=request.param,
    )  # fmt: skip


def test_repeats_are_the_configuration_with_their_own_seeds(view, tuning):
    repeats = repeat(view, tuning, SEEDS)
    assert [found.seed for found in repeats] == SEEDS
    assert {found.train_seed for found in repeats} == {repeat(view, tuning, SEEDS[:1])[0].train_seed}
    assert len({found.lane.seed for found in repeats}) == 3
    rows = view.split.validation
    for found in repeats:
        assert dataclasses.replace(found.lane, seed=0) == dataclasses.replace(tuning.lane, seed=0)
        assert found.best_params == tuning.best_params and found.network == tuning.network
        assert not torch.allclose(found.expert.parameters.theta, tuning.expert.parameters.theta, atol=1e-2)
        probability = found.expert.logits(view, rows).sigmoid()[None]
        values = point_values(probability, view.labels[rows], view.groups[rows], 2)
        assert math.isclose(found.best_score, float(values["fair_res@1"]), rel_tol=1e-5, abs_tol=1e-6)
        assert found.best_metrics["fair_res@1"] == found.best_score
        assert found.feasible == (found.note == "")


def test_a_repeat_trains_again_to_the_same_expert(view, tuning):
    for found in repeat(view, tuning, SEEDS)[1:]:
        again = train_fixed(
            view, found.role, found.lane, found.budget, seed=found.train_seed, utility_floor=found.floor,
            network=found.network,
        )  # fmt: skip
        torch.testing.assert_close(again.parameters.theta, found.expert.parameters.theta, atol=1e-4, rtol=1e-3)


def test_twin_and_out_of_fold_of_a_repeat_are_its_own(view, tuning):
    first, second = repeat(view, tuning, SEEDS[:2])
    twins = [twin(view, found).parameters.theta for found in (first, second)]
    assert not torch.allclose(*twins, atol=1e-2)
    none = dataclasses.replace(first.lane, lambdas=dict.fromkeys(first.lane.lambdas, 0.0))
    untold = dataclasses.replace(tuning, lane=none)
    again = repeat(view, untold, SEEDS[:1])[0]  # the repeat of a tuning without fairness terms is the twin
    torch.testing.assert_close(again.expert.parameters.theta, twins[0], atol=1e-5, rtol=1e-4)
    logits = out_of_fold_logits(view, [first.recipe, second.recipe], budget=BUDGET, seed=0, folds=2)
    assert logits.isfinite().all() and not torch.allclose(logits[:, 0], logits[:, 1], atol=1e-2)


def test_repeats_of_another_view_or_without_seeds_are_refused(view, tuning):
    with pytest.raises(ValueError, match="Repeats need seeds"):
        repeat(view, tuning, [])
    with pytest.raises(ValueError, match="Repeats need seeds"):
        repeat(dataclasses.replace(view, hash="other"), tuning, SEEDS)


def test_a_repeat_that_fails_says_which(view, tuning):
    wild = dataclasses.replace(tuning, lane=dataclasses.replace(tuning.lane, lr=float("inf")))
    with pytest.raises(TuningError, match=r"trained again with seed 7, failed: .*lower the learning rate"):
        repeat(view, wild, SEEDS)


def test_every_started_trial_answers_at_the_place_of_its_number(view, tuning):
    """Also the trials that halving stopped: with the checkpoint that their metrics are of."""
    rows = view.split.validation
    found = trial_probabilities(view, tuning, rows)
    assert "PRUNED" in {row["state"] for row in tuning.trials}
    assert [row["number"] for row in tuning.trials] == list(range(6)) and found.shape == (6, len(rows))
    values = point_values(found, view.labels[rows], view.groups[rows], 2)
    for row in tuning.trials:
        value = float(values["fair_res@1"][row["number"]])
        assert math.isclose(value, row["objective"], rel_tol=1e-5, abs_tol=1e-6)
    best = found[tuning.best_trial]
    torch.testing.assert_close(best, torch.sigmoid(tuning.expert.logits(view, rows)), atol=1e-6, rtol=1e-5)


def test_a_trial_that_failed_is_a_row_of_nan(view, tmp_path):

    tuned = tune(view, "utility", seed=1, folder=tmp_path, budget=BUDGET, trials=3, batch=3, space="wide", network=MLP)
    failed = dataclasses.replace(
        tuned, trials=[{**row, "state": "FAIL"} if row["number"] == 1 else row for row in tuned.trials],
        candidates=LaneParameters(tuned.candidates.theta[[0, 2]], tuned.candidates.n_features, BUDGET.hidden),
    )  # fmt: skip
    rows = view.split.test
    found, every = trial_probabilities(view, failed, rows), trial_probabilities(view, tuned, rows)
    assert bool(found[1].isnan().all())
    torch.testing.assert_close(found[[0, 2]], every[[0, 2]])
