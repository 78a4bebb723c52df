"""Baselines against hand-worked answers and against the libraries that they stand on."""

from __future__ import annotations

import dataclasses

import lightgbm
import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from torch import Tensor

from benchmarks.methods.baselines import _reductions, correlation_remover, grid_search, threshold_optimizer
from benchmarks.methods.baselines._model import ModelExpert
from benchmarks.methods.baselines._reductions import (
    LinearVotes,
    LogisticOracle,
    TreesOracle,
    TreeVotes,
    exponentiated_gradient,
    linear_votes,
    newton_logistic,
    training_arrays,
    tree_votes,
)
from benchmarks.methods.baselines.correlation_remover import OnUncorrelated, uncorrelated
from benchmarks.methods.baselines.grid_search import grid_size, lattice_points
from benchmarks.methods.baselines.reweighing import reweighing_weights
from benchmarks.methods.baselines.threshold_optimizer import GroupThresholds, _unseen_scores
from benchmarks.methods.user_code import EstimatorError
from experts.evidence import collect_evidence
from tasks.load import load_task

SCM = load_task("scm", rows=1200)
VIEW = SCM.view()
TRAIN, TEST = VIEW.split.train, VIEW.split.test
X, Y, S = training_arrays(VIEW)

TREES = {"base": "lightgbm", "C": 1.0, "num_leaves": 8}
LINEAR = {"base": "logistic_regression", "C": 1.0, "num_leaves": 8}


# Reweighing


def test_reweighing_weights_by_hand() -> None:
    # Ten rows: group 0 has 4 of class 0 and 2 of class 1, group 1 has 1 and 3.
    groups = torch.tensor([0] * 6 + [1] * 4)
    labels = torch.tensor([0, 0, 0, 0, 1, 1, 0, 1, 1, 1])
    # P(s=0) P(y=0) / P(s=0, y=0) = 0.6 * 0.5 / 0.4, and so on.
    expected = [0.75] * 4 + [1.5] * 2 + [2.0] + [2 / 3] * 3
    torch.testing.assert_close(reweighing_weights(labels, groups), torch.tensor(expected, dtype=torch.float64))


def test_reweighing_makes_group_and_label_independent() -> None:
    labels, groups = VIEW.labels[TRAIN], VIEW.groups[TRAIN]
    weights = reweighing_weights(labels, groups)
    rates = [float((weights * labels)[groups == g].sum() / weights[groups == g].sum()) for g in (0, 1)]
    assert rates[0] == pytest.approx(rates[1], abs=1e-12)
    assert rates[0] == pytest.approx(float(labels.double().mean()), abs=1e-12)
    assert float(weights.mean()) == pytest.approx(1)
    before = [float(labels[groups == g].double().mean()) for g in (0, 1)]
    assert abs(before[0] - before[1]) > 0.05  # there was something to do


# Reductions


@pytest.mark.parametrize("C", [1e-3, 1.0, 30.0])
def test_newton_finds_the_optimum_of_scikit_learn(C: float) -> None:
    weights = np.random.default_rng(0).exponential(size=len(Y))
    rows = np.column_stack((X, np.ones(len(X), np.float32)))
    ours = rows @ newton_logistic(rows, Y, C * weights)
    model = LogisticRegression(C=C, tol=1e-10, max_iter=10_000).fit(X.astype(float), Y, sample_weight=weights)
    np.testing.assert_allclose(ours, model.decision_function(X.astype(float)), atol=2e-3)


def test_newton_survives_rows_that_are_told_apart() -> None:
    rows = np.column_stack((X, np.ones(len(X), np.float32)))
    labels = S  # the sensitive column is a feature
    found = newton_logistic(rows, labels, np.full(len(labels), 1e4), np.full(rows.shape[1], -20.0))
    assert np.isfinite(found).all()
    assert (((rows @ found) > 0) == (labels > 0)).all()


@pytest.mark.parametrize("constraint", _reductions.CONSTRAINTS)
def test_linear_votes_are_the_expected_prediction_of_fairlearn(constraint: str) -> None:
    reduction = exponentiated_gradient(VIEW, LogisticOracle(1.0), constraint, 0.02, 20)
    features = VIEW.features[TEST]
    ours = torch.sigmoid(linear_votes(reduction, features.shape[1]).margins(features).double())
    np.testing.assert_allclose(ours, reduction._pmf_predict(features.numpy())[:, 1], atol=1e-6)


def test_tree_votes_are_the_expected_prediction_of_fairlearn() -> None:
    oracle = TreesOracle({"num_leaves": 4, "seed": 1}, 10)
    reduction = exponentiated_gradient(VIEW, oracle, "demographic_parity", 0.02, 20)
    features = VIEW.features[TEST]
    ours = torch.sigmoid(tree_votes(reduction).margins(features).double())
    np.testing.assert_allclose(ours, reduction._pmf_predict(features.numpy())[:, 1], atol=1e-6)


def test_votes_are_averaged_by_their_shares() -> None:
    # Three classifiers of one feature: x > 0, x > 1, always.
    weight, bias = torch.tensor([[1.0], [1.0], [0.0]]), torch.tensor([0.0, -1.0, 30.0])
    votes = LinearVotes(weight, bias, torch.tensor([0.5, 0.3, 0.2], dtype=torch.float64))
    chances = torch.sigmoid(votes.margins(torch.tensor([[-1.0], [0.5], [2.0]])))
    torch.testing.assert_close(chances, torch.tensor([0.2, 0.7, 1.0]))
    constants = TreeVotes((30.0, -30.0), torch.tensor([0.25, 0.75], dtype=torch.float64))
    torch.testing.assert_close(torch.sigmoid(constants.margins(torch.zeros(2, 1))), torch.tensor([0.25, 0.25]))


def test_reduction_keeps_its_constraint() -> None:
    gaps = {}
    for eps in (0.005, 0.5):
        reduction = exponentiated_gradient(VIEW, LogisticOracle(1.0), "demographic_parity", eps, 20)
        chance = reduction._pmf_predict(X)[:, 1]
        gaps[eps] = abs(chance[S == 0].mean() - chance[S == 1].mean())
    # The gap of each group to all rows is at most eps (and 1/100 of slack), so that of two groups at most twice that.
    assert gaps[0.005] <= 2 * (0.005 + 0.01)
    assert gaps[0.5] > 0.1


def test_trees_oracle_bins_rows_once_and_gives_the_same_trees() -> None:
    settings = {"num_leaves": 4, "seed": 1}
    oracle = TreesOracle(settings, 5)
    first, second = oracle.__sklearn_clone__(), oracle.__sklearn_clone__()
    weights = np.random.default_rng(1).uniform(size=len(Y))
    first.fit(X, 1 - Y, weights)
    second.fit(X, Y, weights)
    assert first.shared.rows is second.shared.rows
    alone = TreesOracle(settings, 5).fit(X, Y, weights)
    assert second.model is not None
    assert alone.model is not None
    assert torch.equal(second.model.margins(VIEW.features), alone.model.margins(VIEW.features))


@pytest.mark.parametrize(("dimensions", "units"), [(1, 6), (2, 2), (3, 1), (3, 2), (5, 3)])
def test_lattice_points(dimensions: int, units: int) -> None:
    axes = np.meshgrid(*[np.arange(-units, units + 1)] * dimensions)
    assert lattice_points(dimensions, units) == int((sum(np.abs(axis) for axis in axes) <= units).sum())


def test_grid_is_a_whole_lattice() -> None:
    assert [grid_size(d) for d in (1, 2, 3, 4, 9)] == [13, 13, 7, 9, 19]


def test_grid_search_is_the_chosen_predictor_of_fairlearn() -> None:
    from fairlearn.reductions import DemographicParity, GridSearch

    params = {"constraint": "demographic_parity", "constraint_weight": 0.7, "grid_limit": 0.5, "C": 1.0}
    expert = grid_search.fit(VIEW, params, 0)
    model = LogisticRegression(C=1.0, tol=1e-10, max_iter=10_000)
    plain = GridSearch(model, DemographicParity(), constraint_weight=0.7, grid_limit=0.5, grid_size=13)
    plain.fit(X.astype(float), Y, sensitive_features=S)
    chance = plain.predict_proba(VIEW.features[TEST].double().numpy())[:, 1]
    np.testing.assert_allclose(torch.sigmoid(expert.logits(VIEW, TEST)), chance, atol=2e-3)


# Thresholds


@pytest.mark.parametrize("base", [TREES, LINEAR], ids=["trees", "linear"])
@pytest.mark.parametrize("constraint", ["demographic_parity", "equalized_odds"])
def test_thresholds_are_scored_by_the_pmf_of_fairlearn(base: dict[str, object], constraint: str) -> None:
    params = {**base, "constraint": constraint, "tol": 0.01, "objective": "accuracy_score"}
    expert = threshold_optimizer.fit(VIEW, params, 5)
    model = expert.model
    assert isinstance(model, GroupThresholds)
    scores = model.base.margins(VIEW.features[TEST]).double()[:, None].numpy()
    optimizer = threshold_optimizer.fitted_optimizer(VIEW, params, 5)
    pmf = optimizer._pmf_predict(scores, sensitive_features=VIEW.groups[TEST].numpy())
    np.testing.assert_allclose(torch.sigmoid(expert.logits(VIEW, TEST)), pmf[:, 1], atol=1e-6)


def test_thresholds_keep_demographic_parity_on_rows_not_fitted() -> None:
    params = {**LINEAR, "constraint": "demographic_parity", "tol": 0.001, "objective": "accuracy_score"}
    optimizer = threshold_optimizer.fitted_optimizer(VIEW, params, 5)
    scores = _unseen_scores(VIEW, params, 1)[:, None].double().numpy()
    chance = optimizer._pmf_predict(scores, sensitive_features=S)[:, 1]
    assert abs(chance[S == 0].mean() - chance[S == 1].mean()) < 0.03


def test_thresholds_say_which_group_has_one_class_only() -> None:
    labels = VIEW.labels.clone()
    labels[TRAIN[VIEW.groups[TRAIN] == 1]] = 0
    view = dataclasses.replace(VIEW, labels=labels)
    params = {**LINEAR, "constraint": "demographic_parity", "tol": 0.01, "objective": "accuracy_score"}
    with pytest.raises(
        EstimatorError, match=r"threshold_optimizer .* scm: all \d+ training rows of the group 'female'"
    ):
        threshold_optimizer.fit(view, params, 0)


def test_rows_moved_to_another_group_get_its_thresholds() -> None:
    params = {**LINEAR, "constraint": "demographic_parity", "tol": 0.001, "objective": "accuracy_score"}
    expert = threshold_optimizer.fit(VIEW, params, 5)
    moved = VIEW.moved_to(1)
    assert moved.groups.tolist() == [1] * len(VIEW.rows)
    assert torch.equal(moved.labels, VIEW.labels)
    evidence = collect_evidence(expert, VIEW, TEST)
    assert evidence.counterfactual is not None
    scores = expert.model.base.margins(moved.features[TEST]).double()[:, None].numpy()
    optimizer = threshold_optimizer.fitted_optimizer(VIEW, params, 5)
    pmf = optimizer._pmf_predict(scores, sensitive_features=np.ones(len(TEST)))
    np.testing.assert_allclose(evidence.counterfactual[:, 1], pmf[:, 1], atol=1e-6)


# CorrelationRemover


def test_features_without_correlation_with_the_group() -> None:
    blind = torch.tensor([False] + [True] * 7)
    features, groups = VIEW.features[TRAIN], VIEW.groups[TRAIN]

    def covariance(made: Tensor) -> float:
        centred = groups.double() - groups.double().mean()
        return float((centred @ made.double() / len(made)).abs().max())

    made = uncorrelated(features, groups, blind, 2, 1.0)(features, groups)
    assert made.shape == (len(TRAIN), 7)
    assert covariance(made) < 1e-6
    assert covariance(features[:, 1:]) > 0.05
    half = uncorrelated(features, groups, blind, 2, 0.5)(features, groups)
    torch.testing.assert_close(half, (made + features[:, 1:]) / 2)


def test_three_groups_have_the_same_means_after_it() -> None:
    features = VIEW.features[TRAIN]
    groups = torch.arange(len(TRAIN)) % 3
    features = features + groups[:, None] ** 2
    made = uncorrelated(features, groups, torch.ones(8, dtype=torch.bool), 3, 1.0)(features, groups)
    means = torch.stack([made[groups == g].mean(0) for g in range(3)])
    torch.testing.assert_close(means, means[:1].expand(3, -1), atol=1e-5, rtol=0)


def test_it_reads_the_group_and_not_the_sensitive_column() -> None:
    expert = correlation_remover.fit(VIEW, {**LINEAR, "alpha": 1.0}, 0)
    assert isinstance(expert.model, OnUncorrelated)
    features = VIEW.features.clone()
    features[:, 0] *= -1
    assert torch.equal(expert.logits(VIEW.with_features(features), TEST), expert.logits(VIEW, TEST))
    assert not torch.equal(expert.logits(VIEW.moved_to(1), TEST), expert.logits(VIEW.moved_to(0), TEST))
    assert (expert.attributions(VIEW, TEST)[:, 0] == 0).all()
    assert expert.explainer == "integrated_gradients"


# Plain models


def test_lightgbm_is_its_booster(tmp_path: object) -> None:
    from benchmarks.methods.baselines.lightgbm import METHOD

    params = {
        "learning_rate": 0.1, "num_leaves": 8, "min_data_in_leaf": 10, "lambda_l2": 0.1, "feature_fraction": 0.7,
    }  # fmt: skip
    expert = METHOD.fit(VIEW, params, 7)
    assert isinstance(expert, ModelExpert)
    given = {
        **params, "objective": "binary", "seed": 7, "deterministic": True, "force_row_wise": True, "num_threads": 1,
        "verbosity": -1,
    }  # fmt: skip
    data = lightgbm.Dataset(X, Y, params=given)
    watched = VIEW.split.validation
    stop = data.create_valid(VIEW.features[watched].numpy(), VIEW.labels[watched].numpy())
    booster = lightgbm.train(given, data, 300, [stop], callbacks=[lightgbm.early_stopping(20, verbose=False)])
    assert booster.best_iteration < 300
    raw = booster.predict(VIEW.features[TEST].numpy(), raw_score=True)
    np.testing.assert_allclose(expert.logits(VIEW, TEST), raw, rtol=1e-6)
    chance = booster.predict(VIEW.features[TEST].numpy())
    np.testing.assert_allclose(torch.sigmoid(expert.logits(VIEW, TEST)), chance, rtol=1e-5)


def test_logistic_regression_is_that_of_scikit_learn() -> None:
    from benchmarks.methods.baselines.logistic_regression import fit

    expert = fit(VIEW, {"C": 0.1}, 0)
    model = LogisticRegression(C=0.1, tol=1e-10, max_iter=10_000).fit(X.astype(float), Y)
    margins = model.decision_function(VIEW.features[TEST].double().numpy())
    np.testing.assert_allclose(expert.logits(VIEW, TEST), margins, atol=1e-4)
    features = VIEW.features[TEST]
    expected = torch.stack(
        [features[:, list(c.features)] @ expert.model.weight[list(c.features)] for c in VIEW.columns], 1
    )
    torch.testing.assert_close(expert.attributions(VIEW, TEST), expected)


@pytest.mark.data
@pytest.mark.slow
@pytest.mark.parametrize(
    "name", ["correlation_remover", "exponentiated_gradient", "grid_search", "threshold_optimizer"]
)
def test_ten_groups_of_adult(name: str) -> None:
    from benchmarks.methods.baselines import load_baseline

    view = load_task("adult:sex+race", split=0).view()
    params = {
        **LINEAR, "alpha": 1.0, "constraint": "equalized_odds", "eps": 0.05, "constraint_weight": 0.5,
        "grid_limit": 0.5, "tol": 0.05, "objective": "accuracy_score",
    }  # fmt: skip
    logits = load_baseline(name).fit(view, params, 0).logits(view, view.split.test)
    assert logits.isfinite().all()
    assert 0.02 < float((logits > 0).double().mean()) < 0.5
