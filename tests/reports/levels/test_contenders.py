"""On which side a contender stands is said by its record; the order of the suite decides little."""

import pytest

from reports.levels.contenders import Contender, mixtures_of, references_of, rivals_of
from tests.reports.conftest import KNOWN, method

VARIANTS = ("plain", "thresholds")
ORDERS = {"records": list(KNOWN), "alphabet": sorted(KNOWN), "graph first": sorted(KNOWN, key=lambda m: m[0] != "g")}


def contenders(ids):
    return tuple(Contender(method(m, i), v) for i, m in enumerate(ids, start=1) for v in VARIANTS)


@pytest.mark.parametrize("order", ORDERS)
def test_mixtures_stand_by_what_they_read(order):
    assert [c.id for c in mixtures_of(contenders(ORDERS[order]))] == [
        ("mixture", "plain"), ("mixture", "thresholds"), ("graph_gate_dense", "plain"),
        ("graph_gate_dense", "thresholds"), ("cross_gate_dense", "plain"),
    ]  # fmt: skip


@pytest.mark.parametrize("order", ORDERS)
def test_rivals_with_thresholds_then_fairness_methods(order):
    found = [c.id for c in rivals_of(contenders(ORDERS[order]))]
    assert found == [
        ("lightgbm", "thresholds"), ("gradient_boosting", "thresholds"), ("utility", "thresholds"),
        ("exponentiated_gradient", "plain"), ("exponentiated_gradient_trees", "plain"), ("fairgnn", "plain"),
        ("nifty", "plain"), ("edits", "plain"), ("fairvgnn", "plain"),
    ]  # fmt: skip


@pytest.mark.parametrize("order", ORDERS)
def test_utilities_are_measured_from_the_strongest_plain_model(order):
    found = [c.method.id for c in references_of(contenders(ORDERS[order]))]
    assert found == ["lightgbm", "gradient_boosting", "logistic_regression", "utility"]
