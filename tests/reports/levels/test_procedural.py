"""Claims under bounds on reasons: who reaches them, who keeps them later, and at what utility."""

import csv
import io
import math
import shutil
from dataclasses import replace

import pandas as pd
import pytest

from metrics.proportions import wilson
from reports.levels.levels import levels
from reports.levels.procedural import Side, procedural_claims
from reports.method import Method
from reports.methods import MethodRow, write_methods
from reports.render.downloads import csv_text, tables
from reports.render.markdown import render_markdown
from reports.render.page import render_page
from reports.summary import summarise
from reports.table import FURTHER, frame, read_results, write_csv
from tests.reports.conftest import KNOWN, method
from tests.reports.levels.level_fixtures import level_rows, scenario

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
def claim():
    mixture = replace(KNOWN["mixture"], levels=(("mixture", "oof"), ("mixture", "decision")))
    methods = [method(m, i) for i, m in enumerate(METHODS, start=1)]
    methods[0] = replace(methods[0], row=mixture)
    rows = [row for task in TASKS for split in range(5) for row in made(task, split)]
    (found,) = claims_of(rows, methods, [scenario(task, methods) for task in TASKS])
    return found


def claims_of(rows, methods, scenarios):
    table = pd.DataFrame(rows)
    return procedural_claims(table, levels(table, methods, scenarios), methods, scenarios)


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


HAND = tuple(
    Method(MethodRow(name, name.upper(), **facts), i, "", name)
    for i, (name, facts) in enumerate(
        {
            "mixture": {"kind": "gate", "levels": (("mixture", "oof"), ("mixture", "decision"))},
            "trees": {}, "linear": {}, "votes": {"scores_decisions": True}, "graph": {"reads": "graph"},
            "expert": {"kind": "expert"},
        }.items()
    )
)  # fmt: skip
"""A mixture, two models that a practitioner may take, and three that it may not."""


def bounded(split, utility=(0.8, 0.8), seen=0.05, later=0.05, task="german", level="0.05", bound=0.1, **facts):
    """The mixture under a bound; on test rows the bound would be another."""
    rows = level_rows(
        task, "mixture", split, "decision", level, utility[0], facts.pop("gap", 0.0), utility[1],
        facts.pop("status", "ok"), procedural=facts.pop("procedural", BOUND),
        more={METRIC: (later, seen), "bound": (9.0, bound)},
    )  # fmt: skip
    assert not facts
    return rows


def model(method, split, utility, seen=0.05, later=0.05, variant="thresholds", told=True, **facts):
    """A model without a bound, whose reasons may be told."""
    more = {METRIC: (later, seen)} if told else None
    task, level = facts.pop("task", "german"), facts.pop("level", "0.05")
    return level_rows(task, method, split, variant, level, utility[0], facts.pop("gap", 0.0), utility[1],
                      facts.pop("status", "ok"), more=more, **facts)  # fmt: skip


UNBOUNDED = model("mixture", 0, (0.8, 0.8), variant="oof", told=False, level="any")


def by_hand(*rows, splits=3, tasks=("german",)):
    """The claims of some rows, and of a mixture that is there without a bound too."""
    every = [row for own in (*rows, UNBOUNDED) for row in own]
    return claims_of(every, HAND, [scenario(t, HAND, splits) for t in tasks])


def test_the_practitioner_takes_the_model_of_the_highest_validation_utility():
    (claim,) = by_hand(
        bounded(0), model("trees", 0, (0.7, 0.75)), model("linear", 0, (0.6, 0.7)),
        bounded(1), model("trees", 1, (0.7, 0.65)), model("linear", 1, (0.6, 0.7)),
        bounded(2), model("trees", 2, (0.7, 0.65)), model("linear", 2, (0.6, 0.7)),
        *(model(name, split, (0.9, 0.99)) for name in ("votes", "graph", "expert") for split in range(3)),
    )  # fmt: skip
    assert list(claim.picked.items()) == [("LINEAR", 2), ("TREES", 1)]
    assert claim.pooled.interval.mean == pytest.approx((0.1 + 0.2 + 0.2) / 3) and claim.pooled.tasks == 1
    assert claim.practitioner == Side(3, 3, 3) == claim.mixture


def test_reasons_of_bagged_models_are_those_of_out_of_fold_thresholds_and_their_worth_is_not():
    """Out-of-fold rows are others for every model; thresholds are compared on the same rows."""
    (claim,) = by_hand(
        bounded(0), model("trees", 0, (0.6, 0.95), variant="oof"), model("trees", 0, (0.3, 0.7), seen=0.5, told=False),
        model("linear", 0, (0.7, 0.75)),
        bounded(1), model("trees", 1, (0.6, 0.5), variant="oof"), model("trees", 1, (0.3, 0.8), seen=0.5),
        model("linear", 1, (0.7, 0.75)),
        bounded(2), model("trees", 2, (0.6, 0.5), variant="oof", seen=0.2), model("trees", 2, (0.3, 0.8), seen=0.05),
    )  # fmt: skip
    assert claim.picked == {"LINEAR": 1, "TREES": 1} and claim.practitioner == Side(3, 2, 2)
    assert claim.pooled.interval.mean == pytest.approx((0.1 + 0.2) / 2)


@pytest.mark.parametrize("status", ["imputed", None])
def test_a_model_whose_thresholds_say_nothing_is_worth_less_than_any_other(status):
    weak = [] if status is None else model("trees", 0, (0.3, 0.9), told=False, status=status)
    (claim,) = by_hand(
        bounded(0), model("trees", 0, (0.6, 0.95), variant="oof"), weak, model("linear", 0, (0.7, 0.1)),
        bounded(1), model("trees", 1, (0.6, 0.95), variant="oof"),
    )  # fmt: skip
    assert claim.picked == {"LINEAR": 1, "TREES": 1}


def test_a_value_at_its_bound_keeps_it_and_one_above_does_not():
    (claim,) = by_hand(
        bounded(0, seen=0.1, later=0.1, gap=0.05), model("trees", 0, (0.7, 0.7), 0.1, 0.1, gap=0.05),
        bounded(1, seen=0.1, later=0.11), model("trees", 1, (0.7, 0.7), 0.1, 0.05, gap=0.06),
        bounded(2, seen=0.11, later=0.05), model("trees", 2, (0.7, 0.7), math.nan, 0.05),
    )  # fmt: skip
    assert claim.mixture == Side(3, 2, 1) == claim.practitioner


def test_what_stands_in_keeps_no_bound_and_reasons_that_are_not_told_neither():
    (claim,) = by_hand(
        bounded(0, status="imputed"), model("trees", 0, (0.7, 0.7), status="imputed"),
        model("mixture", 0, (0.7, 0.7), variant="oof", status="imputed"),
        bounded(1), model("trees", 1, (0.7, 0.7), told=False), model("mixture", 1, (0.7, 0.7), variant="oof"),
    )  # fmt: skip
    assert (claim.mixture, claim.practitioner, claim.alone) == (Side(2, 1, 1), Side(2, 0, 0), Side(2, 1, 1))
    assert claim.picked == {} and claim.pooled.tasks == 0


def test_only_scenarios_with_a_bound_count_and_other_gaps_are_not_read():
    (claim,) = by_hand(
        bounded(0), model("trees", 0, (0.7, 0.7)), model("trees", 1, (0.7, 0.7)),
        model("trees", 0, (0.1, 0.9), told=False, bounded="dp@1"), bounded(2, task="credit"),
        bounded(0, task="credit@100"), tasks=("german", "credit", "credit@100", "scm"),
    )  # fmt: skip
    assert claim.mixture == Side(2, 2, 2) and claim.practitioner == Side(2, 1, 1)
    assert claim.pooled.interval.mean == pytest.approx(0.1)


def test_one_question_has_all_bounds_and_levels():
    other = "fair_proc@1<=quarter"
    values = [(0.8 + 0.01 * split, 0.8) for split in range(3)]
    trees = [row for split in range(3) for level in ("0.05", "0.10")
             for row in model("trees", split, (0.7, 0.7), level=level)]  # fmt: skip
    both = by_hand(
        trees, *(bounded(split, values[split], level="0.10") for split in range(3)),
        *(bounded(split, values[split], procedural=other, bound=0.06) for split in range(3)),
        *(bounded(split, values[split]) for split in range(3)),
    )  # fmt: skip
    assert [(claim.bound, claim.level) for claim in both] == [(BOUND, "0.05"), (BOUND, "0.10"), (other, "0.05")]
    (alone,) = by_hand(trees, *(bounded(split, values[split]) for split in range(3)))
    assert both[0].pooled.p_holm == pytest.approx(3 * alone.pooled.p_holm)
    assert both[0].pooled.interval == alone.pooled.interval


def test_without_a_mixture_nothing_is_claimed():
    rows = model("trees", 0, (0.7, 0.7))
    assert claims_of(rows, HAND, [scenario("german", HAND)]) == ()
    assert procedural_claims(pd.DataFrame(rows), None, HAND, [scenario("german", HAND)]) == ()


def test_tasks_of_different_numbers_of_splits_are_told_together():
    rows = [row for task, n in (("german", 2), ("credit", 3)) for split in range(n)
            for row in (*bounded(split, task=task), *model("trees", split, (0.7, 0.7), task=task))]  # fmt: skip
    scenarios = [scenario("german", HAND, splits=2), scenario("credit", HAND, splits=3)]
    (claim,) = claims_of([*rows, *UNBOUNDED], HAND, scenarios)
    assert (claim.mixture.scenarios, claim.pooled.tasks) == (5, 2)


def test_shares_of_a_side():
    side = Side(8, 4, 3)
    assert (side.share, side.kept_share, side.interval) == (0.5, 0.75, wilson(4, 8))
    assert math.isnan(Side(0, 0, 0).share) and math.isnan(Side(3, 0, 0).kept_share)
