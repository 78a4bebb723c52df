import numpy as np
import pandas as pd
import pytest
import sklearn
from sklearn.base import clone
from sklearn.metrics import accuracy_score, make_scorer
from sklearn.model_selection import cross_validate
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

from experts.classifier import FairnessInactiveWarning
from experts.estimator import ProceduralFairClassifier, ResultFairClassifier, UtilityClassifier
from tests.experts.biased_data import biased_data, parity_gap

CLASSIFIERS = (UtilityClassifier, ResultFairClassifier, ProceduralFairClassifier)
FAIR = (ResultFairClassifier, ProceduralFairClassifier)


# The checks fit without groups, which the fair classifiers warn about; that warning has its own test.
@pytest.mark.filterwarnings("ignore::experts.classifier.FairnessInactiveWarning")
@parametrize_with_checks([make(steps=60, lr=0.05) for make in CLASSIFIERS])
def test_scikit_learn_estimator_checks(estimator, check):
    check(estimator)


@pytest.mark.parametrize("make", FAIR)
def test_without_groups_a_fair_classifier_warns_and_is_the_utility_classifier(make):
    x, y, _ = biased_data()
    with pytest.warns(FairnessInactiveWarning, match="Pass sensitive_features"):
        fair = make(steps=40).fit(x, y)
    assert not fair.fairness_active_
    plain = UtilityClassifier(steps=40).fit(x, y)
    np.testing.assert_array_equal(fair.decision_function(x), plain.decision_function(x))


@pytest.mark.parametrize("make", FAIR)
def test_a_single_group_is_no_group(make):
    x, y, _ = biased_data()
    with pytest.warns(FairnessInactiveWarning):
        make(steps=10).fit(x, y, sensitive_features=["same"] * len(y))


def test_result_fair_classifier_narrows_the_parity_gap():
    x, y, groups = biased_data()
    plain = UtilityClassifier(steps=300, lr=0.03).fit(x, y, sensitive_features=groups)
    fair = ResultFairClassifier(steps=300, lr=0.03, lambda_fair=5.0, epsilon=0.2).fit(x, y, sensitive_features=groups)
    assert fair.fairness_active_
    assert parity_gap(fair.predict(x), groups) < parity_gap(plain.predict(x), groups) - 0.1


def test_procedural_classifier_learns_with_groups():
    x, y, groups = biased_data()
    fair = ProceduralFairClassifier(steps=100, lr=0.03).fit(x, y, sensitive_features=groups)
    assert fair.fairness_active_
    assert accuracy_score(y, fair.predict(x)) > 0.7


def test_string_labels_and_mixed_hashable_groups():
    x, y, groups = biased_data()
    mixed = [("a", 1) if g == "a" else 7 for g in groups]
    fitted = ResultFairClassifier(steps=30).fit(x, y, sensitive_features=mixed)
    assert list(fitted.classes_) == ["no", "yes"]
    assert len(fitted.groups_) == 2
    assert set(fitted.predict(x)) <= {"no", "yes"}


def test_two_sensitive_columns_are_intersections():
    x, y, groups = biased_data()
    table = pd.DataFrame({"first": groups, "second": np.arange(len(y)) % 2})
    fitted = ResultFairClassifier(steps=20).fit(x, y, sensitive_features=table)
    assert fitted.groups_ == [("a", 0), ("a", 1), ("b", 0), ("b", 1)]


def test_names_of_groups_do_not_matter():
    x, y, groups = biased_data()
    first = ResultFairClassifier(steps=40).fit(x, y, sensitive_features=groups)
    second = ResultFairClassifier(steps=40).fit(x, y, sensitive_features=(groups == "b").astype(int))
    np.testing.assert_array_equal(first.decision_function(x), second.decision_function(x))


def test_random_state_decides():
    x, y, _ = biased_data()
    first = UtilityClassifier(steps=40, random_state=1).fit(x, y).decision_function(x)
    np.testing.assert_array_equal(first, UtilityClassifier(steps=40, random_state=1).fit(x, y).decision_function(x))
    assert not np.array_equal(first, UtilityClassifier(steps=40, random_state=2).fit(x, y).decision_function(x))


def test_lengths_must_agree():
    x, y, groups = biased_data()
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        ResultFairClassifier(steps=10).fit(x, y, sensitive_features=groups[:-1])


@pytest.mark.parametrize(
    "wrong",
    [
        {"lr": 0.0}, {"lr": -0.1}, {"lr": np.nan}, {"steps": 0}, {"dropout": 1.0}, {"dropout": 1.5},
        {"lambda_fair": -1.0}, {"random_state": "seed"}, {"epsilon": -1.0}, {"epsilon": np.nan},
        {"validation_fraction": 7}, {"validation_fraction": 0.0}, {"validation_fraction": 1.0},
    ],
)  # fmt: skip
def test_parameters_out_of_range_are_refused_by_name(wrong):
    x, y, groups = biased_data(40)
    with pytest.raises(ValueError, match=f"'{next(iter(wrong))}' parameter of ResultFairClassifier"):
        ResultFairClassifier(**wrong).fit(x, y, sensitive_features=groups)


@pytest.mark.parametrize("nothing", [None, np.nan, pd.NA, pd.NaT])
@pytest.mark.parametrize("columns", [1, 2])
def test_missing_groups_are_refused_with_the_remedy(nothing, columns):
    """NaN is not equal to itself: forty of them would be forty groups."""
    x, y, groups = biased_data(200)
    with_gaps = pd.Series(groups, dtype=object)
    with_gaps[[3, *range(10, 49)]] = nothing
    table = with_gaps if columns == 1 else pd.DataFrame({"one": groups, "two": with_gaps})
    with pytest.raises(ValueError, match=r"missing .* for 40 of 200 rows, the first is row 3\. .*\"unknown\""):
        ResultFairClassifier(steps=10).fit(x, y, sensitive_features=table)


def test_a_continuous_attribute_is_refused_with_a_hint_to_bin():
    x, y, _ = biased_data(200)
    with pytest.raises(ValueError, match=r"200 different values in 200 rows; at most 50 .*Bin a continuous"):
        UtilityClassifier(steps=10).fit(x, y, sensitive_features=np.linspace(0, 1, 200))
    binned = pd.cut(np.linspace(0, 1, 200), 4).astype(str)
    assert len(ResultFairClassifier(steps=10).fit(x, y, sensitive_features=binned).groups_) == 4
    most = np.arange(200) % 50
    assert len(UtilityClassifier(steps=5).fit(x, y, sensitive_features=most).groups_) == 50


def test_one_class_is_refused():
    x, y, _ = biased_data()
    with pytest.raises(ValueError, match="one class"):
        UtilityClassifier(steps=10).fit(x, np.zeros(len(y)))


def test_a_class_with_a_single_row_trains_and_validates_on_all_rows():
    x, y, _ = biased_data()
    y = np.where(np.arange(len(y)) == 3, 1, 0)
    assert np.isfinite(UtilityClassifier(steps=20).fit(x, y).decision_function(x)).all()


@pytest.mark.parametrize("make", FAIR)
def test_groups_are_routed_and_sliced_by_cross_validation(make):
    x, y, groups = biased_data(120)

    def gap(y_true, y_pred, *, sensitive_features):
        assert len(sensitive_features) == len(y_true)
        return parity_gap(y_pred, np.asarray(sensitive_features))

    with sklearn.config_context(enable_metadata_routing=True):
        model = make_pipeline(StandardScaler(), make(steps=20).set_fit_request(sensitive_features=True))
        scoring = make_scorer(gap).set_score_request(sensitive_features=True)
        scores = cross_validate(
            clone(model), x, y, scoring=scoring, cv=3, params={"sensitive_features": groups}, return_estimator=True
        )
    assert np.isfinite(scores["test_score"]).all()
    assert all(fitted[-1].fairness_active_ for fitted in scores["estimator"])


def raw_data(n=300, seed=0):
    x, y, groups = biased_data(n, seed)
    job = np.array(["nurse", "cook", "clerk", None], dtype=object)[np.arange(n) % 4]
    columns = {"pay": x[:, 0], "score": x[:, 2], "job": job, "new": x[:, 1] > 0}
    frame = pd.DataFrame(columns, index=range(1000, 1000 + n))
    frame.loc[1003:1010, "pay"] = np.nan
    frame["job"] = frame["job"].astype("category")
    return frame, y, groups


@pytest.mark.parametrize("make", CLASSIFIERS)
def test_raw_columns_with_categories_and_empty_cells(make):
    frame, y, groups = raw_data()
    fitted = make(steps=60, lr=0.03).fit(frame, y, sensitive_features=groups)
    assert [e.kind for e in fitted.encoder_.encoders] == ["numeric", "numeric", "categorical", "binary"]
    assert list(fitted.feature_names_in_) == list(frame.columns) and fitted.n_features_in_ == 4
    assert accuracy_score(y, fitted.predict(frame)) > 0.7
    unseen = frame.head(3).assign(job="astronaut", pay=[np.nan, 1.0, 2.0])
    assert np.isfinite(fitted.predict_proba(unseen)).all()
    np.testing.assert_array_equal(fitted.decision_function(frame.tail(5)), fitted.decision_function(frame)[-5:])


def test_raw_columns_are_checked():
    frame, y, _ = raw_data()
    fitted = UtilityClassifier(steps=20).fit(frame, y)
    with pytest.raises(ValueError, match="feature names"):
        fitted.predict(frame.rename(columns={"job": "work"}))
    with pytest.raises(ValueError, match="'pay' is declared numeric but holds 'much'"):
        fitted.predict(frame.assign(pay="much"))
    with pytest.raises(ValueError, match=r"'day' holds datetime.*neither numbers nor texts"):
        UtilityClassifier(steps=20).fit(frame.assign(day=pd.Timestamp("2024-01-01")), y)
    with pytest.raises(ValueError, match="unique column names"):
        UtilityClassifier(steps=20).fit(pd.concat([frame, frame[["job"]]], axis=1), y)
    with pytest.raises(ValueError, match="y contains NaN in 1 rows"):
        UtilityClassifier(steps=20).fit(frame, [None, *y[1:]])
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        UtilityClassifier(steps=20).fit(frame, y[1:])


def test_raw_columns_in_cross_validation():
    frame, y, groups = raw_data()
    with sklearn.config_context(enable_metadata_routing=True):
        model = ResultFairClassifier(steps=30).set_fit_request(sensitive_features=True)
        scores = cross_validate(model, frame, y, params={"sensitive_features": groups})["test_score"]
    assert scores.shape == (5,) and scores.mean() > 0.6
