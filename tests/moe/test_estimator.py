from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from sklearn.utils.estimator_checks import parametrize_with_checks

from experts.classifier import FairnessInactiveWarning
from experts.estimator import UtilityClassifier
from moe.estimator import FairMixtureClassifier
from tests.experts.biased_data import biased_data, parity_gap


# The checks fit without groups, which the classifier warns about; that warning has its own test.
@pytest.mark.filterwarnings("ignore::experts.classifier.FairnessInactiveWarning")
@parametrize_with_checks([FairMixtureClassifier(steps=60, lr=0.05)])
def test_scikit_learn_estimator_checks(estimator: Any, check: Any) -> None:
    check(estimator)


def test_without_groups_it_is_the_utility_classifier_and_says_so() -> None:
    x, y, _ = biased_data()
    with pytest.warns(FairnessInactiveWarning, match="Pass sensitive_features"):
        mixture = FairMixtureClassifier(steps=40).fit(x, y)
    plain = UtilityClassifier(steps=40).fit(x, y)
    np.testing.assert_allclose(mixture.decision_function(x), plain.decision_function(x), rtol=1e-9)


@pytest.mark.parametrize("gate", ["dense", "static_simplex"])
def test_it_is_fairer_than_the_utility_classifier_at_little_cost(gate: str) -> None:
    x, y, groups = biased_data()
    mixture = FairMixtureClassifier(steps=200, epsilon=0.1, gate=gate).fit(x, y, sensitive_features=groups)
    plain = UtilityClassifier(steps=200).fit(x, y)
    new_x, new_y, new_groups = biased_data(seed=1)
    ours, theirs = mixture.predict(new_x), plain.predict(new_x)
    assert parity_gap(ours, new_groups) < parity_gap(theirs, new_groups) - 0.02
    assert (ours == new_y).mean() > (theirs == new_y).mean() - 0.12
    assert [expert.role for expert in mixture.mixture_.experts] == ["utility", "result", "procedural"]
    assert mixture.mixture_.gate.name == gate


def test_random_state_decides() -> None:
    x, y, groups = biased_data(120)

    def fitted(seed: int) -> Any:
        model = FairMixtureClassifier(steps=20, random_state=seed, gate="static_simplex").fit(
            x, y, sensitive_features=groups
        )
        return model.decision_function(x)

    np.testing.assert_array_equal(fitted(1), fitted(1))
    assert not np.array_equal(fitted(1), fitted(2))


@pytest.mark.parametrize("gate", ["adaptive", "shrunk_dense", "stacking"])
def test_gates_that_learn_by_log_loss_serve_the_classifier(gate):
    rng = np.random.default_rng(0)
    x, groups = rng.normal(size=(300, 3)), rng.integers(0, 2, 300)
    y = (x[:, 0] + 0.5 * groups + 0.5 * rng.normal(size=300) > 0).astype(int)
    model = FairMixtureClassifier(steps=40, random_state=0, gate=gate).fit(x, y, sensitive_features=groups)
    assert model.mixture_.gate.name == gate and model.score(x, y) > 0.7
    assert not (gate == "stacking" and model.fine_tuned_)
