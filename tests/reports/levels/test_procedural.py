"""Claims under bounds on reasons: who reaches them, who keeps them later, and at what utility."""

import csv
import io
import shutil

import pandas as pd
import pytest

from reports.levels.levels import levels
from reports.levels.procedural import Side, procedural_claims
from reports.methods import MethodRow, write_methods
from reports.render.downloads import csv_text, tables
from reports.render.markdown import render_markdown
from reports.render.page import render_page
from reports.summary import summarise
from reports.table import FURTHER, frame, read_results, write_csv
from tests.reports.conftest import KNOWN
from tests.reports.levels.level_fixtures import level_rows

TASKS = ("german", "adult:sex", "scm")
METHODS = ("mixture", "utility", "gradient_boosting", "logistic_regression")
BOUND, METRIC = "fair_proc@1<=half", "fair_proc@1"


def contender(task, split, method, variant, utility, seen, later, gap=0.04, status="ok", procedural=""):
    """Rows at the level 0.05; the bound is 0.1."""
    more = {METRIC: (later, seen)} | ({"bound": (0.1, 0.1)} if procedural else {})
    return level_rows(
        task, method, split, variant, "0.05", utility[0], gap, utility[1], status, procedural=procedural, more=more
    )


def made(task, split):
    """Trees are best and never keep the bound; logistic regression keeps it on even splits; the mixture misses one."""
    linear = 0.08 if split % 2 == 0 else 0.15
    wobble = 0.001 * split * (task == "scm")
    missed = split == 4
    return [
        *contender(task, split, "gradient_boosting", "thresholds", (0.8, 0.9), 0.2, 0.2),
        *contender(task, split, "logistic_regression", "thresholds", (0.7 + wobble, 0.71), linear, 0.12),
        *contender(task, split, "utility", "thresholds", (0.9, 0.99), 0.0, 0.0),
        *contender(task, split, "mixture", "oof", (0.76, 0.76), 0.3, 0.3),
        *contender(
            task, split, "mixture", "decision", (0.72, 0.75), 0.09, 0.09, gap=0.2 if split == 1 else 0.04,
            status="imputed" if missed else "ok", procedural=BOUND,
        ),
    ]  # fmt: skip


@pytest.fixture(scope="module")
def folder(make_run, tmp_path_factory):
    folder = make_run(tmp_path_factory.mktemp("procedural"), tasks=TASKS, methods=METHODS)
    rows = [row for task in TASKS for split in range(5) for row in made(task, split)]
    write_csv(frame(rows, FURTHER["levels"], "levels"), folder / "levels.csv")
    facts = {m: {f: getattr(KNOWN[m], f) for f in MethodRow.__dataclass_fields__} for m in METHODS}
    facts["mixture"] |= {"levels": (("mixture", "oof"), ("mixture", "decision"))}
    write_methods([MethodRow(**own) for own in facts.values()], folder)
    return folder


@pytest.fixture(scope="module")
def claim(folder):
    (found,) = summarise(read_results(folder)).procedural
    return found


def test_sides_are_counted_over_scenarios(claim):
    assert (claim.bound, claim.level, claim.own.id) == (BOUND, "0.05", "mixture")
    assert claim.practitioner == Side(15, 9, 0)  # even splits; on test rows .12 is above the bound
    assert claim.mixture == Side(15, 12, 9)  # the last split is imputed; on split 1 the gap does not hold
    assert claim.alone == Side(15, 0, 0)
    assert claim.picked == {KNOWN["logistic_regression"].label: 9}  # an expert is no practitioner's model


def test_the_gain_is_over_scenarios_that_both_reach(claim):
    # splits 0 and 2: .02 less the wobble of scm, on average .001
    assert claim.pooled.interval.mean == pytest.approx(0.02 - 0.001 / 3)
    assert claim.pooled.tasks == 3


def test_rows_with_a_bound_do_not_move_what_has_none(folder):
    report = summarise(read_results(folder))
    assert "decision" not in {c.variant for c in report.levels.contenders}
    own = report.levels.reached["german"]["0.05"]["mixture", "oof"]
    assert own.test.tolist() == [0.76] * 5


def test_without_a_mixture_or_bounds_there_is_nothing(folder):
    report = summarise(read_results(folder))
    table = read_results(folder).further["levels"]
    plain = table[table["procedural"] == ""]
    for rows in (plain, table[table["method"] != "mixture"]):
        found = levels(rows, report.methods, report.scenarios)
        assert procedural_claims(rows, found, report.methods, report.scenarios) == ()
    assert procedural_claims(pd.DataFrame(columns=table.columns), None, report.methods, report.scenarios) == ()


def test_it_is_shown_and_filed(folder):
    report = summarise(read_results(folder))
    (table,) = [t for t in tables(report) if t.name == "procedural"]
    (record,) = csv.DictReader(io.StringIO(csv_text(table)))
    assert float(record["mixture_reached"]) == pytest.approx(0.8) and float(record["practitioner_kept"]) == 0
    assert float(record["points"]) == pytest.approx(100 * (0.02 - 0.001 / 3))
    page, text = render_page(report), render_markdown(report)
    for words in ("Where reasons are bounded too", "80 % (12/15)", "75 % (9/12)", "60 % (9/15)"):
        assert words in page and words in text


def test_files_without_the_column_had_no_bounds(folder, tmp_path):
    old = shutil.copytree(folder, tmp_path / "old")
    table = pd.read_csv(old / "levels.csv", dtype=str, keep_default_na=False)
    plain = table[table["procedural"] == ""]
    for gone in (["procedural"], ["procedural", "gap"]):
        plain.drop(columns=gone).to_csv(old / "levels.csv", index=False)
        assert set(read_results(old).further["levels"]["procedural"]) == {""}
