"""Estimators of any kind as experts."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from fairlearn.adversarial import AdversarialFairnessClassifier
from fairlearn.postprocessing import ThresholdOptimizer
from fairlearn.reductions import DemographicParity, ExponentiatedGradient
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression, Perceptron
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import LinearSVC

from benchmarks.methods.baseline_methods import baseline_methods
from benchmarks.methods.baseline_tuning import tune_baseline
from benchmarks.methods.baselines import load_baseline
from benchmarks.methods.estimator_expert import fit_estimator, margin_of
from benchmarks.methods.user_code import EstimatorError
from experts.evidence import collect_evidence
from experts.expert import Expert
from metrics.score import score
from metrics.value import Value
from tasks.load import load_task
from tasks.task import TaskView

SCM = load_task("scm", rows=600)
VIEW = SCM.view()
TRAIN, TEST = VIEW.split.train, VIEW.split.test
X, Y = VIEW.features.double().numpy(), VIEW.labels.numpy()
NAMES = np.array(VIEW.group_names)[VIEW.groups.numpy()]


class Ruled(ClassifierMixin, BaseEstimator):
    """Decides by the group's name alone, and remembers what it was given."""

    def __init__(self, random_state: Any = None) -> None:
        self.random_state = random_state

    def fit(self, X: Any, y: Any, sensitive_features: Any = None) -> Ruled:
        self.given_, self.classes_ = (X, y, sensitive_features), np.array([0, 1])
        return self

    def predict_proba(self, X: Any, sensitive_features: Any = None) -> Any:
        chance = np.where(np.asarray(sensitive_features) == "male", 0.9, 0.2)
        return np.column_stack((1 - chance, chance))

    def predict(self, X: Any, sensitive_features: Any = None) -> Any:
        return (self.predict_proba(X, sensitive_features)[:, 1] > 0.5).astype(int)


def test_margin_of() -> None:
    margins = margin_of([0, 0.5, 0.75, 1, np.nan])
    torch.testing.assert_close(margins[:4], torch.tensor([-30.0, 0.0, float(np.log(3)), 30.0]))
    assert margins[4].isnan()


def test_probabilities_come_before_a_decision_function_and_agree_with_it() -> None:
    expert = fit_estimator(lambda: LogisticRegression(C=0.5), VIEW, 3, name="own")
    model = LogisticRegression(C=0.5, random_state=3).fit(X[TRAIN], Y[TRAIN])
    assert expert.answer == "predict_proba"
    assert isinstance(expert, Expert)
    np.testing.assert_allclose(expert.logits(VIEW, TEST), model.decision_function(X[TEST]), rtol=1e-5)


def test_a_decision_function_is_the_margin_of_what_has_no_probabilities() -> None:
    expert = fit_estimator(lambda: LinearSVC(C=0.5), VIEW, 3, name="own")
    model = LinearSVC(C=0.5, random_state=3).fit(X[TRAIN], Y[TRAIN])
    assert expert.answer == "decision_function"
    np.testing.assert_allclose(expert.logits(VIEW, TEST), model.decision_function(X[TEST]), rtol=1e-5)


def test_probabilities_become_logits() -> None:
    expert = fit_estimator(lambda: KNeighborsClassifier(7), VIEW, 3, name="own")
    model = KNeighborsClassifier(7).fit(X[TRAIN], Y[TRAIN])
    assert expert.answer == "predict_proba"
    np.testing.assert_allclose(torch.sigmoid(expert.logits(VIEW, TEST)), model.predict_proba(X[TEST])[:, 1], atol=1e-6)


def test_hard_labels_become_margins_of_30() -> None:
    class Hard:
        def fit(self, X: Any, y: Any) -> None:
            self.cut = X[:, 1].mean()

        def predict(self, X: Any) -> Any:
            return X[:, 1] > self.cut

    expert = fit_estimator(Hard, VIEW, 3, name="own")
    expected = torch.where(VIEW.features[TEST, 1] > float(X[TRAIN, 1].mean()), 30.0, -30.0)
    assert torch.equal(expert.logits(VIEW, TEST), expected)


def test_an_own_threshold_is_not_lost() -> None:
    class Careful(LogisticRegression):
        def predict(self, X: Any) -> Any:
            return (self.predict_proba(X)[:, 1] > 0.8).astype(int)

    expert = fit_estimator(Careful, VIEW, 3, name="own")
    assert expert.answer == "predict"
    chance = LogisticRegression(random_state=3).fit(X[TRAIN], Y[TRAIN]).predict_proba(X[TEST])[:, 1]
    np.testing.assert_array_equal(expert.logits(VIEW, TEST) > 0, chance > 0.8)


def test_a_score_that_never_changes_sign_is_not_a_margin() -> None:
    model = AdversarialFairnessClassifier(
        backend="torch", predictor_model=[4, "relu"], adversary_model=[], batch_size=64, epochs=3, learning_rate=0.05
    )
    # Its decision function is a probability.
    expert = fit_estimator(lambda: model, VIEW, 3, name="own")
    decided = np.asarray(model.predict(X[TEST])).reshape(-1)
    np.testing.assert_array_equal((expert.logits(VIEW, TEST) > 0).numpy(), decided == 1)


def test_groups_are_handed_over_by_name_where_asked_for() -> None:
    expert = fit_estimator(Ruled, VIEW, 11, name="own")
    given_X, given_y, groups = expert.model.given_
    np.testing.assert_array_equal(given_X, X[TRAIN])
    np.testing.assert_array_equal(given_y, Y[TRAIN])
    np.testing.assert_array_equal(groups, NAMES[TRAIN])
    np.testing.assert_allclose(torch.sigmoid(expert.logits(VIEW, TEST)), np.where(NAMES[TEST] == "male", 0.9, 0.2))
    evidence = collect_evidence(expert, VIEW, TEST)
    assert evidence.counterfactual is not None
    np.testing.assert_allclose(evidence.counterfactual, np.tile([0.9, 0.2], (len(TEST), 1)))


def flip_rate(expert: Expert, view: TaskView) -> Value:
    """cfr@1 on test rows."""
    rows = view.split.test
    evidence = collect_evidence(expert, view, rows)
    labels = torch.arange(len(rows)) % 2
    return score(evidence, labels, view.groups[rows], view.group_names, seed=0, draws=20, permutations=20).values[
        "cfr@1"
    ]


def test_where_the_group_is_no_feature_the_flip_rate_of_what_is_told_the_group_is_an_answer() -> None:
    view = load_task("scm", rows=600, use_sensitive="drop").view()
    assert view.flip is None
    ruled = flip_rate(fit_estimator(Ruled, view, 11, name="own"), view)
    assert (ruled.status, ruled.estimate) == ("ok", 1.0)
    blind = flip_rate(fit_estimator(LogisticRegression, view, 11, name="own"), view)
    assert blind.status == "not_estimable"
    optimizer = load_baseline("threshold_optimizer")
    params = {"base": "logistic_regression", "C": 1.0, "constraint": "demographic_parity", "tol": 0.01}
    fitted = optimizer.fit(view, {**params, "objective": "accuracy_score"}, 0)
    found = flip_rate(fitted, view)
    assert found.status == "ok" and found.estimate > 0.02


@pytest.mark.parametrize("use_sensitive", ["keep", "drop"])
def test_methods_say_rightly_whether_they_know_the_group(use_sensitive: str) -> None:
    view = load_task("scm", rows=600, use_sensitive=use_sensitive).view()
    records = {method.id: method for method in baseline_methods() if method.reads == "tabular"}
    for name, record in records.items():
        trials = 3 if name == "linear_post" else 1  # its first two ask for less than its cuts can give, and say so
        tuned = tune_baseline(load_baseline(name), view, seed=0, trials=trials, floor=0.0)
        assert getattr(tuned.expert, "knows_group", False) == record.sensitive_at_prediction, name
        assert tuned.expert.explainer in record.explainer.split(" or "), name


def test_random_states_follow_the_seed() -> None:
    made = fit_estimator(lambda: make_pipeline(StandardScaler(), Perceptron()), VIEW, 2**40 + 5, name="own")
    assert made.model.get_params()["perceptron__random_state"] == 5
    forests = [
        fit_estimator(lambda: RandomForestClassifier(5), VIEW, seed, name="own").logits(VIEW, TEST)
        for seed in (1, 1, 2)
    ]
    assert torch.equal(forests[0], forests[1])
    assert not torch.equal(forests[0], forests[2])


def test_reductions_are_scored_by_their_expected_prediction() -> None:
    expert = fit_estimator(
        lambda: ExponentiatedGradient(LogisticRegression(), DemographicParity(), max_iter=10), VIEW, 3, name="own"
    )
    reduction = ExponentiatedGradient(LogisticRegression(random_state=3), DemographicParity(), max_iter=10)
    reduction.fit(X[TRAIN], Y[TRAIN], sensitive_features=NAMES[TRAIN])
    assert expert.answer == "_pmf_predict"
    np.testing.assert_allclose(
        torch.sigmoid(expert.logits(VIEW, TEST)), reduction._pmf_predict(X[TEST])[:, 1], atol=1e-6
    )


def test_thresholds_are_scored_by_their_expected_prediction() -> None:
    make = lambda: ThresholdOptimizer(estimator=LogisticRegression(random_state=3), constraints="equalized_odds")  # noqa: E731
    expert = fit_estimator(make, VIEW, 3, name="own")
    plain = make().fit(X[TRAIN], Y[TRAIN], sensitive_features=NAMES[TRAIN])
    pmf = plain._pmf_predict(X[TEST], sensitive_features=NAMES[TEST])[:, 1]
    np.testing.assert_allclose(torch.sigmoid(expert.logits(VIEW, TEST)), pmf, atol=1e-6)


def test_masking_and_attributions() -> None:
    expert = fit_estimator(LogisticRegression, VIEW, 3, name="own")
    rows = TEST[:10]
    nothing = torch.zeros(10, len(VIEW.columns), dtype=torch.bool)
    torch.testing.assert_close(expert.logits(VIEW, rows, nothing), torch.full((10,), float(expert.model.intercept_[0])))
    weight = torch.from_numpy(expert.model.coef_[0]).float()
    parts = VIEW.features[rows] * weight
    exact = torch.zeros(10, len(VIEW.columns)).index_add_(1, VIEW.column_of_feature, parts)
    torch.testing.assert_close(expert.attributions(VIEW, rows).float(), exact, atol=1e-4, rtol=1e-4)


def test_labels_of_test_rows_are_not_read() -> None:
    labels = VIEW.labels.clone()
    labels[TEST] = 1 - SCM.labels[TEST]
    view = dataclasses.replace(VIEW, labels=labels)
    make = lambda: RandomForestClassifier(5)  # noqa: E731
    expected = fit_estimator(make, VIEW, 3, name="own").logits(VIEW, TEST)
    assert torch.equal(fit_estimator(make, view, 3, name="own").logits(VIEW, TEST), expected)


def test_nan_is_not_repaired() -> None:
    class Lost(LogisticRegression):
        def decision_function(self, X: Any) -> Any:
            return np.where(X[:, 1] > 1.5, np.nan, super().decision_function(X))

        def predict(self, X: Any) -> Any:
            return (LogisticRegression.decision_function(self, X) > 0).astype(int)

    expert = fit_estimator(Lost, VIEW, 3, name="own")
    lost = VIEW.features[TEST, 1] > 1.5
    assert lost.any()
    assert torch.equal(expert.logits(VIEW, TEST).isnan(), lost)


class Own(LogisticRegression):
    """Its own probabilities beside the inherited decision function and ``predict``."""

    def predict_proba(self, X: Any, sensitive_features: Any) -> Any:
        chance = np.where(np.asarray(sensitive_features) == "male", 0.9, 0.2)
        return np.column_stack((1 - chance, chance))


def test_own_probabilities_are_not_passed_over_for_inherited_decisions() -> None:
    expert = fit_estimator(Own, VIEW, 3, name="own")
    assert expert.answer == "predict_proba" and expert.knows_group
    np.testing.assert_allclose(torch.sigmoid(expert.logits(VIEW, TEST)), np.where(NAMES[TEST] == "male", 0.9, 0.2))


def test_probabilities_that_raise_fail_the_method() -> None:
    class Raises(LogisticRegression):
        def predict_proba(self, X: Any) -> Any:
            raise KeyError("calibration")

    with pytest.raises(KeyError, match="calibration"):
        fit_estimator(Raises, VIEW, 3, name="own").logits(VIEW, TEST)


def test_probabilities_that_are_nan_stay_nan() -> None:
    class Nan(LogisticRegression):
        def predict_proba(self, X: Any) -> Any:
            return np.full((len(X), 2), np.nan)

        def predict(self, X: Any) -> Any:
            return (LogisticRegression.decision_function(self, X) > 0).astype(int)

    assert fit_estimator(Nan, VIEW, 3, name="own").logits(VIEW, TEST).isnan().all()


def says(numbers: Any) -> Any:
    """A factory of models whose ``predict_proba`` gives these numbers for every row."""

    class Says:
        def fit(self, X: Any, y: Any) -> None: ...

        def predict_proba(self, X: Any) -> Any:
            return np.resize(np.asarray(numbers), len(X))

    return Says


def test_a_probability_outside_by_rounding_is_1_and_by_more_is_told() -> None:
    expert = fit_estimator(says(np.array([1.0000001, 0.25], dtype=np.float32)), VIEW, 3, name="own")
    assert expert.logits(VIEW, TEST[:2]).tolist() == pytest.approx([30.0, np.log(1 / 3)])
    expert = fit_estimator(says([1.2, 0.5]), VIEW, 3, name="mine")
    with pytest.raises(EstimatorError, match=r"mine: predict_proba gave 5 of 10 rows .* such as 1\.2: they are no"):
        expert.logits(VIEW, TEST[:10])


def test_labels_that_are_words_are_told() -> None:
    class Words(LogisticRegression):
        def fit(self, X: Any, y: Any) -> Any:
            return super().fit(X, np.where(y == 1, "yes", "no"))

    with pytest.raises(EstimatorError, match=r"mine: .*\['no', 'yes'.*0 and 1"):
        fit_estimator(Words, VIEW, 3, name="mine").logits(VIEW, TEST)


def test_a_tensor_with_a_gradient_is_a_number_too() -> None:
    class Net:
        def fit(self, X: Any, y: Any) -> None:
            self.net = torch.nn.Linear(X.shape[1], 1).double()

        def predict_proba(self, X: Any) -> Any:
            return torch.sigmoid(self.net(torch.as_tensor(X))).squeeze(-1)

    margins = [fit_estimator(Net, VIEW, seed, name="own").logits(VIEW, TEST) for seed in (1, 1, 2)]
    assert bool(margins[0].isfinite().all()) and torch.equal(margins[0], margins[1])  # global generators are seeded
    assert not torch.equal(margins[0], margins[2])


@pytest.mark.parametrize(
    ("made", "said"),
    [
        (object(), "has no fit"),
        (StandardScaler(), "neither predict_proba, decision_function nor predict"),
    ],
)
def test_says_what_is_no_classifier(made: object, said: str) -> None:
    with pytest.raises(EstimatorError, match=f"mine.*{said}"):
        fit_estimator(lambda: made, VIEW, 0, name="mine")


def test_says_what_shape_is_wrong() -> None:
    class Wide(LogisticRegression):
        def predict(self, X: Any) -> Any:
            return np.ones((len(X), 2))

    with pytest.raises(EstimatorError, match=r"mine: predict returned shape \(\d+, 2\)"):
        fit_estimator(Wide, VIEW, 0, name="mine")


def test_saves_settings_and_seed(tmp_path: Path) -> None:
    fit_estimator(lambda: LogisticRegression(C=0.25), VIEW, 9, name="mine").save(tmp_path)
    facts = json.loads((tmp_path / "expert.json").read_text(encoding="utf-8"))
    assert facts["seed"] == 9
    assert facts["name"] == "mine"
    assert facts["settings"]["C"] == "0.25"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["estimator.skops", "expert.json"]
