"""Who is recommended, with numbers worked by hand."""

import dataclasses
import math

import numpy as np
import pandas as pd
import pytest

from reports.answer.answers import answers
from reports.answer.setting import Setting, first
from reports.levels.levels import levels
from reports.levels.transfer import transfer
from reports.table import FURTHER, frame
from tests.reports.levels.level_fixtures import level_rows

TASKS = ("german", "scm", "adult:sex")


def told(report, rows):
    """All answers of made-up rows in the scenarios of a report; the table is that of a run."""
    table = frame(rows, FURTHER["levels"], "levels")
    bounded = [levels(table, report.methods, report.scenarios, gap) for gap in ("fair_res@1", "dp@1")]
    pairs = [(found, transfer(found, {}, report.scenarios)) for found in bounded if found is not None]
    return answers(pairs, table, report.scenarios)


def rows(method, values, variant="plain", level="0.05", tasks=TASKS, gap=0.04, **facts):
    """One value per task, the same on three splits but for a wobble that averages out."""
    own = dict(zip(tasks, values, strict=True))
    return [
        row
        for task in tasks
        for split in range(3)
        for row in level_rows(
            task, method, split, variant, level, own[task] + 0.001 * (split - 1), gap,
            **{"validation": own[task]} | facts,
        )
    ]  # fmt: skip


def ids(found):
    return [row.contender.id for row in found]


def test_every_task_recommends_its_winner(level_report):
    for setting, found in level_report.answers.items():
        if setting.task:
            (best,) = (b for b in level_report.levels.best[setting.task] if b.level == setting.level)
            assert (found.best and found.best.contender) == best.winner, setting
    assert len(level_report.answers) == 7 * (1 + len(TASKS))


def test_chosen_on_the_rows_that_choose_and_told_on_test_rows(level_report):
    found = told(level_report, rows("mixture", [0.7, 0.8, 0.6]) + rows("utility", [0.8, 0.9, 0.7], validation=0.1))
    answer = found[Setting()]
    assert ids(answer.main) == [("mixture", "plain"), ("utility", "plain")]
    assert answer.best.utility.mean == pytest.approx(0.7) and answer.best.lead is None
    assert answer.next.lead.interval.mean == pytest.approx(0.1)  # the recommended one is worse on test rows
    assert answer.next.lead.verdict == "better" and not answer.settled and answer.open == (answer.next,)
    assert (answer.tasks, answer.sources, answer.splits) == (3, 3, 3)


def test_test_rows_change_nobody_who_is_recommended(level_report):
    table = pd.DataFrame(rows("mixture", [0.7] * 3) + rows("utility", [0.72, 0.7, 0.69]) + rows("result", [0.71] * 3))
    before = told(level_report, table.to_dict("records"))
    utility = table["metric"] == "utility@1"
    table.loc[utility, "estimate"] = np.random.default_rng(3).permutation(table.loc[utility, "estimate"].to_numpy())
    after = told(level_report, table.to_dict("records"))
    assert {s: ids(a.main) for s, a in before.items()} == {s: ids(a.main) for s, a in after.items()}


def test_a_method_stands_in_its_best_way_and_other_ways_follow(level_report):
    more = rows("mixture", [0.75] * 3, "thresholds") + rows("mixture", [0.72] * 3, "oof")
    answer = told(level_report, rows("mixture", [0.7] * 3) + more + rows("utility", [0.74] * 3))[Setting()]
    assert ids(answer.rows) == [
        ("mixture", "thresholds"),
        ("utility", "plain"),
        ("mixture", "oof"),
        ("mixture", "plain"),
    ]
    assert [row.main for row in answer.rows] == [True, True, False, False]
    assert [row.needs_group for row in answer.rows] == [True, False, True, False]
    assert [row.ranks is None for row in answer.rows] == [False, False, True, True]


def test_a_method_on_fewer_tasks_is_shown_and_not_recommended(level_report):
    answer = told(level_report, rows("mixture", [0.7] * 3) + rows("utility", [0.9], tasks=("german",)))[Setting()]
    assert ids([answer.best]) == [("mixture", "plain")] and answer.next is None
    (other,) = answer.main[1:]
    assert other.tasks == 1 and other.ranks is None and other.lead.interval.mean == pytest.approx(0.2)
    assert answer.rivals == ()


def test_what_the_constant_predictor_stands_in_for_is_never_recommended(level_report):
    found = told(level_report, rows("mixture", [0.9] * 3, status="imputed") + rows("utility", [0.6] * 3))
    assert ids([found[Setting()].best]) == [("utility", "plain")]
    none = told(level_report, rows("mixture", [0.9] * 3, status="imputed"))[Setting()]
    assert none.best is None and none.main[0].imputed == none.main[0].cells == 9 and none.main[0].lead is None


def test_surely_better_is_settled_and_the_ranks_say_so(level_report):
    answer = told(level_report, rows("mixture", [0.80, 0.71, 0.62]) + rows("utility", [0.70, 0.60, 0.53]))[Setting()]
    assert answer.settled and answer.enough is None
    assert answer.next.lead.interval.mean == pytest.approx(-0.10) and answer.next.lead.verdict == "worse"
    assert [row.ranks for row in answer.main] == [(1, 1), (2, 2)]


def test_a_difference_that_sources_do_not_agree_on_is_open_and_says_what_would_be_enough(level_report):
    answer = told(level_report, rows("mixture", [0.80, 0.70, 0.60]) + rows("utility", [0.70, 0.71, 0.55]))[Setting()]
    assert not answer.settled and answer.next.lead.verdict == "not separable"
    assert [row.ranks for row in answer.main] == [(1, 2), (1, 2)]
    assert 3 < answer.enough < 30


def test_a_broken_limit_is_counted_and_what_kept_it_is_named(level_report):
    broken = rows("mixture", [0.8] * 3, gap=0.06) + rows("mixture", [0.75] * 3, "thresholds", gap=0.01)
    answer = told(level_report, broken + rows("utility", [0.7] * 3, gap=0.01))[Setting()]
    assert ids([answer.best]) == [("mixture", "plain")]  # test rows choose nothing
    assert (answer.best.kept.kept, answer.best.kept.cells, answer.best.broken) == (0, 9, 9) and answer.best.breaks
    assert ids([answer.steady]) == [("mixture", "thresholds")] and not answer.steady.breaks
    assert answer.steady.lead.interval.mean == pytest.approx(-0.05)
    single = answer_of(level_report, broken, "german")
    assert (single.best.kept.kept, single.best.kept.cells) == (0, 3)


def answer_of(report, given, task):
    return told(report, given)[Setting(task=task)]


def test_what_a_limit_costs_is_told_against_any_gap(level_report):
    accuracy = {"worst_acc@1": (0.5, 0.5)}, {"worst_acc@1": (0.6, 0.6)}
    bound = rows("mixture", [0.7] * 3, more=accuracy[0]) + rows("utility", [0.6] * 3)
    free = rows("mixture", [0.71] * 3, level="any") + rows("utility", [0.75, 0.73, 0.71], level="any", more=accuracy[1])
    dp = rows("mixture", [0.7] * 3, bounded="dp@1")
    found = told(level_report, bound + free + dp)
    price = found[Setting()].price
    assert price.free.id == ("utility", "plain") and price.utility.mean == pytest.approx(0.7 - 0.73)
    assert (price.worst.mean, price.free_worst.mean) == (pytest.approx(0.5), pytest.approx(0.6))
    assert found[Setting(level="any")].price is None and found[Setting(level="any")].best.kept is None
    assert found[Setting("dp@1")].price.utility.mean == pytest.approx(-0.03)  # any gap is any gap


def test_reasons_of_the_very_model_or_of_the_chosen_one(level_report):
    own = rows("mixture", [0.7] * 3, "thresholds", more={"fair_proc@1": (0.25, 0.2)}) + rows("utility", [0.6] * 3)
    measured, other = told(level_report, own)[Setting()].main
    assert measured.measured and measured.procedural.mean == pytest.approx(0.25)
    chosen = np.mean([s.test["utility", "fair_proc@1"].mean for s in level_report.scenarios])
    assert not other.measured and other.procedural.mean == pytest.approx(chosen)


def test_one_split_has_no_interval(level_report):
    table = [
        row for m, v in (("mixture", 0.8), ("utility", 0.7)) for row in level_rows("german", m, 0, "plain", "0.05", v)
    ]
    answer = told(level_report, table)[Setting(task="german")]
    assert answer.next.lead.verdict == "one split" and math.isnan(answer.next.lead.interval.low)
    assert answer.enough is None and not answer.settled


def test_a_page_opens_with_the_default_or_what_is_nearest():
    some = [Setting("dp@1", "0.05"), Setting(level="any"), Setting(task="german"), Setting(level="0.02")]
    assert first([*some, Setting()]) == Setting()
    assert first(some) == Setting(level="0.02")
    assert first([Setting(task="german"), dataclasses.replace(Setting(), gap="dp@1")]) == Setting("dp@1")
