from dataclasses import replace

import numpy as np
import pytest

from reports.levels.best import best_at
from reports.levels.reached import Reached
from reports.render.markdown import render_markdown
from reports.render.page import render_page
from reports.stats.statistics import corrected_interval
from reports.summary import summarise
from reports.table import read_results
from tests.reports.conftest import METHODS


def scenario(report, name):
    return next(s for s in report.scenarios if s.name == name)


def test_everything_is_in_the_order_of_the_suite(report):
    assert [s.name for s in report.scenarios] == ["german", "bail_clean", "credit", "adult:sex", "compas:race", "scm"]
    assert [m.id for m in report.methods] == list(METHODS)
    assert [m.number for m in report.methods] == list(range(1, 16))


def test_estimates_are_means_over_splits_with_the_corrected_interval(run, report):
    rows = read_results(run).results.query(
        "task == 'german' and part == 'test' and method == 'mixture' and metric == 'dp@1'"
    )
    expected = corrected_interval(rows["estimate"].to_numpy())
    found = scenario(report, "german").test["mixture", "dp@1"]
    assert (found.mean, found.low, found.high) == pytest.approx((expected.mean, expected.low, expected.high))
    assert found.inner_low == pytest.approx(rows["low"].mean()) and found.null_p95 == pytest.approx(0.03)
    assert found.within_null == (found.mean <= 0.03)


def test_training_seeds_are_averaged_before_the_interval(tmp_path, make_run):
    folder = make_run(tmp_path, tasks=("german",), splits=3)
    tables = read_results(folder)
    twice = tables.results.assign(seed=1, estimate=tables.results["estimate"] + 0.02)
    both = tables.__class__(
        type(tables.results)({c: [*tables.results[c], *twice[c]] for c in tables.results}),
        tables.groups, tables.routing, tables.provenance, tables.suite,
    )  # fmt: skip
    one, two = (summarise(t).scenarios[0].test["mixture", "auc@1"] for t in (tables, both))
    assert two.known == 3
    assert two.mean == pytest.approx(one.mean + 0.01)
    assert two.half == pytest.approx(one.half)


def test_what_is_not_estimable_keeps_its_reason_and_is_never_zero(report):
    compas = scenario(report, "compas:race")
    vef = compas.test["mixture", "vef@1"]
    assert np.isnan(vef.mean) and vef.known == 0
    assert vef.reasons == ("group 'Hispanic' has fewer than 5 rows",)
    assert compas.reasons == list(vef.reasons)


def test_constant_predictor_is_shown_but_takes_no_place(report):
    for s in report.scenarios:
        assert s.degenerate("constant") and not s.degenerate("mixture")
        assert "constant" not in s.on_front
        assert all(w.method is None or w.method.id != "constant" for w in s.winners)
        assert all("constant" not in {m.id for m in w.tied + w.eligible} for w in s.winners)


def test_front_and_winners_are_chosen_on_validation_rows(tmp_path, make_run):
    folder = make_run(tmp_path, tasks=("german",), splits=2, methods=("mixture", "utility", "result"))
    tables = read_results(folder)
    wanted = {"mixture": (0.6, 0.3), "utility": (0.9, 0.04), "result": (0.8, 0.01)}
    for method, (utility, gap) in wanted.items():
        for metric, value in (("utility@1", utility), ("fair_res@1", gap)):
            rows = (tables.results["part"] == "validation") & (tables.results["method"] == method)
            tables.results.loc[rows & (tables.results["metric"] == metric), "estimate"] = value
    found = summarise(tables).scenarios[0]
    assert found.on_front == {"utility", "result"}
    assert [w.method.id for w in found.winners] == ["result", "utility", "utility", "utility"]
    # told with test values: those of the test part are untouched
    test = found.test["utility", "utility@1"].mean
    assert test != pytest.approx(0.9)


def test_equal_validation_utility_goes_to_the_simpler_method(tmp_path, make_run):
    tables = read_results(make_run(tmp_path, tasks=("german",), splits=2, methods=("mixture", "logistic_regression")))
    tables.results.loc[tables.results["metric"] == "utility@1", "estimate"] = 0.7
    winner = summarise(tables).scenarios[0].winners[-1]
    assert winner.method.id == "logistic_regression"
    assert [m.id for m in winner.tied] == ["mixture"]


@pytest.mark.parametrize("lost", [0, 1])
def test_a_method_that_failed_is_no_evidence_that_nothing_reaches_a_level(tmp_path, make_run, lost):
    tables = read_results(make_run(tmp_path, tasks=("german",), splits=2, methods=("mixture", "utility", "constant")))
    tables.further["levels"] = tables.further["levels"].iloc[:0]
    tables.results.loc[tables.results["metric"] == "fair_res@1", "estimate"] = 0.3
    gone = (tables.results["method"] == "mixture") & (tables.results["part"] == "validation")
    found = summarise(replace(tables, results=tables.results[~gone] if lost else tables.results))
    assert [(w.method is None, w.unknown) for w in found.scenarios[0].winners] == [(True, lost)] * 3 + [(False, lost)]
    said = ("none but a constant answer", "not known: 1 method failed or has no gap that can be estimated")
    for text in (render_page(found), render_markdown(found)):
        assert said[lost] in text and said[1 - lost] not in text


def test_a_method_without_rows_at_a_level_is_unknown_there():
    imputed = Reached(*(np.full(2, v) for v in (0.5, 0.5, 0.0, 0.1)), imputed=np.array([True, True]))
    found = {("utility", "plain"): imputed}
    assert best_at("0.10", found, (), ["utility"]).unknown == 0
    assert best_at("0.10", found, (), ["utility", "mixture"]).unknown == 1


def test_kept_counts_test_splits(tmp_path, make_run):
    tables = read_results(make_run(tmp_path, tasks=("german",), splits=4, methods=("utility",)))
    rows = tables.results["metric"] == "fair_res@1"
    tables.results.loc[rows & (tables.results["part"] == "validation"), "estimate"] = 0.01
    test = rows & (tables.results["part"] == "test")
    tables.results.loc[test, "estimate"] = tables.results.loc[test, "split"].map({0: 0.01, 1: 0.02, 2: 0.03, 3: 0.2})
    assert [(w.kept, w.splits) for w in summarise(tables).scenarios[0].winners] == [(2, 4), (3, 4), (3, 4), (4, 4)]


def test_group_sizes_and_gate_weights(report):
    german = scenario(report, "german")
    assert [(g.name, g.count, g.positives) for g in german.groups] == [("female", 150.0, 90.0), ("male", 110.0, 66.0)]
    assert {r.method.id for r in german.routing} == {m.id for m in report.methods if m.role == "mixture"}
    for routing in german.routing:
        assert routing.experts == ("utility", "result", "procedural")
        assert routing.weight.sum(axis=1) == pytest.approx(np.ones(2))


def test_use_of_sensitive_columns_is_an_axis(tmp_path, make_run):
    tables = read_results(make_run(tmp_path, tasks=("german",), splits=2, use_sensitive=["keep", "drop"]))
    half = tables.results["split"] == 1
    tables.results.loc[half, "use_sensitive"] = "drop"
    assert [s.name for s in summarise(tables).scenarios] == ["german · sensitive keep", "german · sensitive drop"]
