"""On which side a contender stands is said by its record; the order of the suite decides little."""

import pytest

from reports.levels.contenders import Contender, contenders_of, mixtures_of, references_of, rivals_of
from reports.method import Method
from reports.methods import MethodRow
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


def made(variants, **facts):
    """Contenders of one method."""
    row = MethodRow("trees", facts.pop("label", "Trees"), **facts)
    return contenders_of([Method(row, 1, "baseline", "trees")], frozenset(("trees", v) for v in variants))


def test_variants_stand_in_their_order_and_methods_without_rows_do_not():
    methods = [method(m, i) for i, m in enumerate(("utility", "constant", "lightgbm"), start=1)]
    have = frozenset({("lightgbm", "decision"), ("lightgbm", "plain"), ("utility", "oof60"), ("utility", "oof"),
                      ("other", "plain")})  # fmt: skip
    assert [c.id for c in contenders_of(methods, have)] == [
        ("utility", "oof"), ("utility", "oof60"), ("lightgbm", "plain"), ("lightgbm", "decision"),
    ]  # fmt: skip


def test_names_say_the_variant_and_once_that_the_group_must_be_known():
    own, thresholds, eighty = made(("plain", "thresholds", "oof80"))
    assert (own.label, own.suffix) == ("Trees", "")
    assert (thresholds.label, thresholds.suffix) == ("Trees + thresholds (G)", "+ thresholds (G)")
    assert eighty.label == "Trees + OOF thresholds, κ = .8 (G)"
    aware, decided = made(("plain", "decision"), label="Trees (G)")
    assert (aware.label, aware.suffix) == ("Trees (G)", "")
    assert (decided.label, decided.suffix) == ("Trees + decision layer (G)", "+ decision layer")


def contend(*methods):
    """One contender for each (name, kind, sides)."""
    return tuple(
        Contender(Method(MethodRow(name, name, kind=kind, levels=((side, variant),), **more), i, "", ""), variant)
        for i, (name, kind, side, variant, more) in enumerate(methods)
    )


def test_fairness_methods_stand_in_the_order_in_which_mixtures_name_them_first():
    named = (("baselines", "second"), ("fairness", "first"), ("costs", "second"))
    found = contend(
        ("unnamed", "baseline", "rival", "plain", {}), ("first", "baseline", "rival", "plain", {}),
        ("second", "baseline", "rival", "plain", {}), ("mixture", "gate", "mixture", "decision", {"compared": named}),
    )  # fmt: skip
    assert [c.method.id for c in rivals_of(found)] == ["second", "first", "unnamed"]


def test_baselines_are_stronger_than_experts_and_later_ones_than_earlier_ones():
    found = contend(
        ("expert", "expert", "rival", "thresholds", {}), ("early", "baseline", "rival", "thresholds", {}),
        ("late", "baseline", "rival", "thresholds", {}), ("only", "baseline", "reference", "plain", {}),
    )  # fmt: skip
    assert [c.method.id for c in rivals_of(found)] == ["late", "early", "expert"]
    sides = (("rival", "oof"), ("reference", "plain"))
    own = [Method(MethodRow(f"{c.method.id}2", "", kind=c.method.kind, levels=sides), 9, "", "") for c in found[:3]]
    both = (*(Contender(m, "plain") for m in own), found[3])
    assert [c.method.id for c in references_of(both)] == ["late2", "early2", "only", "expert2"]
