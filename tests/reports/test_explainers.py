"""How reasons are found stands beside every number that depends on it, and what mixes ways says so."""

from __future__ import annotations

import csv
import re
from dataclasses import replace
from pathlib import Path

import pytest

from reports.build import write_report
from reports.explainers import MARK, WITH_REASONS, code, codes_words, differ, mixed_words, words
from reports.method import KNOWS_GROUP_WORDS
from reports.methods import MethodRow, write_methods
from reports.render.markdown import render_markdown
from reports.render.page import render_page
from reports.summary import summarise
from reports.table import read_results
from tests.reports.conftest import KNOWN

IG = MethodRow("net", "Net", explainer="integrated_gradients")
SHAPLEY = MethodRow("trees", "Trees", explainer="shapley_sampling", sensitive_at_prediction=True)
EITHER = MethodRow("base", "Base", explainer="integrated_gradients or shapley_sampling")
NEW = MethodRow("new", "New", explainer="lime")
UNKNOWN = MethodRow("old", "Old")


def test_codes_and_words() -> None:
    assert [code(row.explainer) for row in (IG, SHAPLEY, EITHER, NEW, UNKNOWN)] == ["IG", "Sh", "IG/Sh", "lime", ""]
    assert words(EITHER.explainer) == "integrated gradients or sampled Shapley values"
    assert codes_words([EITHER, NEW]) == "IG: integrated gradients; Sh: sampled Shapley values"


@pytest.mark.parametrize(
    ("first", "second", "apart"),
    [(IG, IG, False), (IG, SHAPLEY, True), (IG, EITHER, True), (EITHER, EITHER, True), (IG, UNKNOWN, False)],
)
def test_two_methods_are_apart_where_ways_differ_or_may(first: MethodRow, second: MethodRow, apart: bool) -> None:
    assert differ(first, second) == differ(second, first) == apart


def test_what_orders_methods_says_that_ways_differ() -> None:
    assert mixed_words([IG, replace(IG, label="Other")]) == mixed_words([IG, UNKNOWN]) == ""
    assert "IG: Net; Sh: Trees" in mixed_words([IG, SHAPLEY])
    assert mixed_words([EITHER])


def test_metrics_that_look_at_no_attribution_are_left_out() -> None:
    assert {"ref@1", "vef@1", "att_jsd@1", "fair_proc@1", "final@1"} <= WITH_REASONS
    assert not {"cfr@1", "utility@1", "fair_res@1"} & WITH_REASONS


BY = {"Mixture": "IG", "LightGBM (G)": "Sh", "Constant predictor (constant)": "IG"}


@pytest.fixture
def mixed_run(tmp_path: Path, make_run) -> Path:  # type: ignore[no-untyped-def]
    """A run of a mixture explained in one way, and of trees that know the group in another."""
    folder: Path = make_run(tmp_path, tasks=("german",), splits=2, methods=("mixture", "lightgbm", "constant"))
    mixture, constant = (replace(KNOWN[m], explainer="integrated_gradients") for m in ("mixture", "constant"))
    trees = replace(KNOWN["lightgbm"], explainer="shapley_sampling", sensitive_at_prediction=True)
    write_methods([mixture, trees, constant], folder)
    return folder


def test_every_procedural_number_has_its_explainer_beside_it(mixed_run: Path) -> None:
    report = summarise(read_results(mixed_run))
    markdown, page = render_markdown(report), render_page(report)
    tables = [part for part in markdown.split("\n\n") if part.startswith("| method | ") and "fair_proc" in part]
    assert tables
    for table in tables:
        head, _, *rows = (line.strip("| ").split(" | ") for line in table.splitlines())
        if "rank utility" in head:  # over all tasks: said below the table
            continue
        assert head[-1] == "reasons by"
        assert {row[0]: row[-1] for row in rows}.items() <= BY.items()
    assert page.count('<small class="by" title="reasons by sampled Shapley values">Sh</small>') >= 8
    assert "2  LightGBM (G) · Sh" in page  # in the figure of procedural scores


def test_who_knows_the_group_is_marked_everywhere_and_explained(mixed_run: Path) -> None:
    report = summarise(read_results(mixed_run))
    for text in (render_markdown(report), render_page(report)):
        assert KNOWS_GROUP_WORDS in text
        assert re.findall(r"LightGBM(?: \+ thresholds)?(?! \(G\)| \+ thresholds \(G\))", text) == []


def test_comparisons_and_ranks_across_explainers_say_so(mixed_run: Path) -> None:
    write_report(mixed_run)
    markdown = (mixed_run / "leaderboard.md").read_text(encoding="utf-8")
    assert f"Mixture − LightGBM (G) {MARK}" in markdown
    assert "IG: Mixture, Constant predictor; Sh: LightGBM (G)" in markdown  # under the ranks
    page = (mixed_run / "leaderboard.html").read_text(encoding="utf-8")
    assert (
        page.count("an order by fair_proc or final compares methods of one way") >= 2
    )  # ranks over tasks, and one task
    with (mixed_run / "tables" / "comparisons.csv").open(encoding="utf-8") as file:
        found = {(row["reference"], row["metric"]): row["reasons_by"] for row in csv.DictReader(file)}
    assert found["lightgbm", "fair_proc@1"] == "integrated_gradients / shapley_sampling"
    assert found["lightgbm", "utility@1"] == ""
    with (mixed_run / "tables" / "methods-german.csv").open(encoding="utf-8") as file:
        facts = {(r["method"], r["metric"]): (r["reasons_by"], r["knows_group"]) for r in csv.DictReader(file)}
    assert facts["lightgbm", "ref@1"] == ("shapley_sampling", "1") and facts["mixture", "dp@1"] == ("", "0")
