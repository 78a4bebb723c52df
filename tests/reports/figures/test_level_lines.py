from reports.figures.level_lines import drawn
from reports.levels.contenders import Contender
from reports.levels.levels import Levels
from reports.render.page import render_page
from tests.reports.conftest import KNOWN, method

VARIANTS = ("plain", "thresholds")


def levels_with(*ids):
    contenders = tuple(Contender(method(m, i), v) for i, m in enumerate(ids, start=1) for v in VARIANTS)
    return Levels(contenders, {}, {}, None, {}, {}, {})


def test_figure_shows_few_lines_and_has_words(level_report):
    shown = [c.id for c in drawn(level_report.levels)]
    assert shown[:2] == [("mixture", "plain"), ("mixture", "thresholds")] and len(shown) <= 6
    assert "Test utility on german against the allowed gap. Mixture: " in render_page(level_report)


def test_one_of_each_sort_of_rival_goes_first():
    assert [c.id for c in drawn(levels_with(*KNOWN))] == [
        ("mixture", "plain"), ("mixture", "thresholds"), ("lightgbm", "thresholds"),
        ("exponentiated_gradient", "plain"), ("fairgnn", "plain"), ("graph_gate_dense", "plain"),
    ]  # fmt: skip


def test_few_methods_are_all_drawn():
    found = levels_with("mixture", "utility", "result", "logistic_regression", "gradient_boosting")
    assert [c.id for c in drawn(found)] == [
        ("mixture", "plain"), ("mixture", "thresholds"), ("gradient_boosting", "thresholds"),
        ("utility", "thresholds"), ("result", "plain"), ("logistic_regression", "thresholds"),
    ]  # fmt: skip


def test_without_a_mixture_there_are_rivals():
    assert [c.id for c in drawn(levels_with("utility", "lightgbm"))] == [
        ("lightgbm", "thresholds"), ("utility", "thresholds"),
    ]  # fmt: skip
