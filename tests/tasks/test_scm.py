"""The simulated task: what it says about itself is true."""

from __future__ import annotations

import numpy as np
import pytest

from tasks.card import DataError
from tasks.load import load_task
from tasks.registry import resolve
from tasks.scm import ScmTruth, generate, scm_truth

LARGE = {"rows": 200_000}


def gap(truth: ScmTruth, values: np.ndarray) -> float:
    """Mean among men minus mean among women."""
    return float(values[truth.sensitive == 0].mean() - values[truth.sensitive == 1].mean())


def test_without_bias_the_label_does_not_depend_on_sex() -> None:
    truth = scm_truth({**LARGE, "direct": 0, "proxy": 0, "label_bias": 0})
    assert abs(gap(truth, truth.label)) < 0.01
    assert np.array_equal(truth.label, truth.unbiased_label)
    assert np.array_equal(truth.probability, truth.unbiased_probability)
    assert np.array_equal(truth.probability, truth.counterfactual_probability)


@pytest.mark.parametrize("bias", ["direct", "proxy", "label_bias"])
def test_each_bias_alone_makes_a_gap(bias: str) -> None:
    truth = scm_truth({**LARGE, "direct": 0, "proxy": 0, "label_bias": 0, bias: 0.3})
    assert gap(truth, truth.label) > 0.02
    assert abs(gap(truth, truth.unbiased_label)) < 0.01
    assert (truth.label <= truth.unbiased_label).all(), "women lose positive labels, nobody gains"


def test_labels_follow_the_stated_probabilities() -> None:
    truth = scm_truth(LARGE)
    for label, p in ((truth.label, truth.probability), (truth.unbiased_label, truth.unbiased_probability)):
        for low in np.arange(0.05, 0.95, 0.1):
            some = (p >= low) & (p < low + 0.1)
            assert abs(label[some].mean() - p[some].mean()) < 5 * np.sqrt(0.25 / some.sum())


def test_the_counterfactual_changes_sex_and_what_it_causes() -> None:
    truth = scm_truth({"proxy": 1.5})
    here, there = truth.frame, truth.counterfactual
    assert (here["sex"] != there["sex"]).all()
    for name in ("experience", "test_score", "field", "commute"):
        assert here[name].equals(there[name])
    moved = there["part_time"] - here["part_time"]
    assert np.allclose(moved, np.where(truth.sensitive == 1, -3.0, 3.0))


def test_the_probability_is_a_function_of_the_published_columns() -> None:
    """The equation of the module's docstring, written again from the columns."""
    truth = scm_truth()
    f, s = truth.frame, truth.sensitive
    field = f["field"].map({"engineering": 0.4, "health": 0.0, "trade": -0.4})
    margin = 0.2 + 1.2 * (f["experience"] - 8) / 3 + 0.8 * (f["test_score"] - 60) / 12 + field
    margin = margin - 0.5 * (f["part_time"] - 10) / 2 - 0.8 * s
    assert np.allclose(truth.probability, (1 - 0.1 * s) / (1 + np.exp(-margin)))


def test_the_card_is_served_like_any_other() -> None:
    card = resolve("scm").card
    task, truth = load_task("scm"), scm_truth(card.generator)
    assert card.rows == len(task.labels) == card.generator["rows"]
    assert task.labels.tolist() == truth.label.tolist() and task.groups.tolist() == truth.sensitive.tolist()
    assert task.group_names == ("male", "female")
    assert task.frame["part_time"].tolist() == truth.frame["part_time"].tolist()


def test_seeds_and_parameters() -> None:
    assert generate(seed=1).equals(generate({"seed": 1})) and not generate(seed=1).equals(generate(seed=2))
    with pytest.raises(DataError, match=r"proxi.*Correct \[generator\]"):
        generate({"proxi": 1})
    with pytest.raises(DataError, match="share"):
        generate({"share": 2})
