import dataclasses
import json
import math

import pandas as pd
import pytest
import torch

from benchmarks.run.levels import GAP, REPORTED, Explained, OutOfFold, Trained, allowed_gaps, level_tables, trial_rows
from benchmarks.run.levels.allowed import EXPLAINED_LEVELS, LEVELS
from benchmarks.run.levels.out_of_fold import FEW, MARGINS
from benchmarks.run.runner import run_suite
from metrics.evidence import Evidence
from metrics.points import point_values
from metrics.procedural import procedural_points
from metrics.thresholds import Thresholds
from reports.summary import summarise
from reports.table import FURTHER, read_results
from tasks.load import load_task
from tests.benchmarks.conftest import TINY, tiny_suite


def level_rows(*args, **further):
    return level_tables(*args, **further)["levels"]


@pytest.fixture(scope="module")
def task():
    return load_task("scm", protocol="robust", split=0, seed=0)


def prediction(task, rows, unfair, seed=0):
    """A score that knows the label a little, and adds ``unfair`` for the second group."""
    noise = torch.rand(len(task.labels), generator=torch.Generator().manual_seed(seed))
    score = 0.25 + 0.3 * task.labels + 0.2 * noise + unfair * (task.groups - 0.5)
    return score.clamp(0.0, 1.0).to(torch.float32)[rows]


def both(task, unfair, seed=0):
    return tuple(prediction(task, rows, unfair, seed) for rows in (task.split.validation, task.split.test))


@pytest.fixture(scope="module")
def trained(task):
    """Failed; constant; unfair and good; fair and worse."""
    parts = []
    for rows in (task.split.validation, task.split.test):
        unfair = prediction(task, rows, 0.25)
        noise = torch.rand(len(task.labels), generator=torch.Generator().manual_seed(3))
        fair = (0.3 + 0.4 * noise + 0.02 * task.labels)[rows].to(torch.float32)
        parts.append(torch.stack((torch.full_like(fair, math.nan), torch.full_like(fair, 0.7), unfair, fair)))
    return Trained(*parts)


def by_key(rows, gap=GAP):
    return {(r["variant"], r["level"], r["metric"]): r for r in rows if r["gap"] == gap}


def bag_of(task, unfair, seed=0):
    rows = torch.cat((task.split.train, task.split.validation))
    margins = (torch.logit(prediction(task, r, unfair, seed).clamp(0.01, 0.99)) for r in (rows, task.split.test))
    return OutOfFold(rows, *margins)


def test_allowed_gaps():
    result = {a.level: a.limit for a in allowed_gaps(0.08) if a.gap == GAP}
    fixed = {"any": math.inf, "0.01": 0.01, "0.02": 0.02, "0.05": 0.05, "0.10": 0.1}
    assert result == fixed | {"half": 0.04, "quarter": 0.02}
    assert tuple(result) == LEVELS[GAP]
    assert {a.level: a.limit for a in allowed_gaps(0.08) if a.gap == "dp@1"} == {
        "0.02": 0.02,
        "0.05": 0.05,
        "0.10": 0.1,
    }
    for unknown in (None, math.nan):
        assert {a.level for a in allowed_gaps(unknown) if a.gap == GAP} == set(fixed)


def reasons_of(task, validation, test):
    """Evidence with a known answer: the first group's reason is one column, the second's another."""
    parts = []
    for rows, probability in ((task.split.validation, validation), (task.split.test, test)):
        attributions = torch.nn.functional.one_hot(task.groups[rows], 2).double()
        parts.append(Evidence(probability, attributions, 1 - probability))
    groups = task.groups[task.split.validation], task.groups[task.split.test]
    return Explained(*parts, groups, 2)


def test_reasons_are_told_under_thresholds_where_they_are_those_of_the_model(task):
    chosen = both(task, 0.25)
    explained = reasons_of(task, *chosen)
    metrics = {"fair_proc@1", "att_jsd@1"}
    for own, variants in ((False, {"thresholds"}), (True, {"thresholds", "oof"})):
        bag = dataclasses.replace(bag_of(task, 0.25), own=own)
        rows = level_rows(*chosen, None, task, 0.2, bag=bag, explained=explained)
        told = {(r["variant"], r["gap"], r["level"]) for r in rows if r["metric"] in metrics}
        assert told == {(v, GAP, level) for v in variants for level in EXPLAINED_LEVELS}
        jsd = [r for r in rows if r["metric"] == "att_jsd@1"]
        assert all(r["estimate"] == r["validation"] == pytest.approx(1.0) for r in jsd)


def test_cuts_move_probabilities_with_a_column_unknown_too(task):
    """Every answer turns with the column unknown, and under any cut a row's is still its own."""
    chosen = both(task, 0.25)
    explained = reasons_of(task, *chosen)
    own = explained.under(Thresholds(torch.zeros(2, dtype=torch.float64), 0.0))
    evidence = explained.test
    points = procedural_points(
        evidence.probability[None], evidence.masked[None], evidence.attributions[None], explained.groups[1], 2
    )
    assert own["fair_proc@1"][0] == pytest.approx(float(points["fair_proc@1"][0]))
    moved = explained.under(Thresholds(torch.tensor([-1.0, 1.0], dtype=torch.float64), 0.0))
    assert moved["att_jsd@1"] == own["att_jsd@1"] and moved["fair_proc@1"] != own["fair_proc@1"]


def test_a_row_names_the_trial_whose_values_it_has(task, trained):
    """Where the unfair ones break the level the fair trial answers; no number names the chosen model."""
    rows = by_key(level_rows(*both(task, 0.25), trained, task, 0.2))
    assert rows["plain", "0.05", "utility@1"]["trial"] == "3"
    assert rows["plain", "any", "utility@1"]["trial"] == ""
    assert {r["trial"] for (variant, *_), r in rows.items() if variant != "plain"} == {""}
    fair = point_values(
        trained.test[3][None].double(), task.labels[task.split.test], task.groups[task.split.test], 2,
        metrics=("utility@1",),
    )["utility@1"]  # fmt: skip
    assert rows["plain", "0.05", "utility@1"]["estimate"] == float(fair[0])


def test_stored_cuts_give_the_values_of_their_row(task):
    chosen = both(task, 0.25)
    tables = level_tables(*chosen, None, task, 0.2, bag=bag_of(task, 0.25))
    cuts = {(r["variant"], r["gap"], r["level"], r["group"]): r["cut"] for r in tables["thresholds"]}
    test = task.split.test
    groups, told = task.groups[test], 0
    for row in tables["levels"]:
        key = row["variant"], row["gap"], row["level"]
        if row["metric"] != "utility@1" or row["variant"] == "plain" or row["status"] == "imputed":
            continue
        base = chosen[1] if row["variant"] == "thresholds" else torch.sigmoid(bag_of(task, 0.25).test.double())
        rule = Thresholds(torch.tensor([cuts[(*key, name)] for name in task.group_names], dtype=torch.float64), 0.0)
        moved = rule.apply(base, groups)[None]
        value = point_values(moved, task.labels[test], groups, 2, metrics=("utility@1",))["utility@1"]
        assert row["estimate"] == float(value[0])
        told += 1
    assert told >= 20
    assert {r["shares"] for r in tables["thresholds"]} == {""}


def test_rows_have_the_columns_of_the_table(task, trained):
    rows = level_rows(*both(task, 0.25), trained, task, 0.2)
    schema = FURTHER["levels"]
    assert all({*r} == {*schema.keys[-5:], *schema.values} for r in rows)
    assert len(rows) == 2 * sum(map(len, LEVELS.values())) * (len(REPORTED) + 1)
    assert len({(r["variant"], r["gap"], r["level"], r["metric"]) for r in rows}) == len(rows)
    thresholds = level_tables(*both(task, 0.25), trained, task, 0.2)["thresholds"]
    assert all({*r} == {*FURTHER["thresholds"].keys[-5:], *FURTHER["thresholds"].values} for r in thresholds)
    columns = FURTHER["trials"]
    assert all({*r} == {"trial", *columns.values} for r in trial_rows(trained, task))


def test_plain_takes_the_best_configuration_that_keeps_the_level(task, trained):
    rows = by_key(level_rows(*both(task, 0.25), trained, task, None))
    values = point_values(
        trained.test[3:], task.labels[task.split.test], task.groups[task.split.test], 2, metrics=REPORTED
    )
    strict = {m: rows["plain", "0.05", m] for m in REPORTED}
    assert {m: r["estimate"] for m, r in strict.items()} == {m: float(values[m][0]) for m in REPORTED}
    assert {r["status"] for r in strict.values()} == {"ok"}
    assert rows["plain", "0.05", "fair_res@1"]["validation"] <= 0.05
    assert rows["plain", "0.05", "limit"]["estimate"] == rows["plain", "0.05", "limit"]["validation"] == 0.05


def test_thresholds_make_an_unfair_model_keep_the_level(task):
    rows = by_key(level_rows(*both(task, 0.25), None, task, None))
    assert rows["plain", "0.02", "utility@1"]["status"] == "imputed"
    assert rows["thresholds", "0.02", "utility@1"]["status"] == "ok"
    assert rows["thresholds", "0.02", "fair_res@1"]["validation"] <= 0.02
    assert rows["thresholds", "0.02", "utility@1"]["estimate"] > rows["plain", "0.02", "utility@1"]["estimate"]


def test_any_gap_is_the_best_cut(task):
    rows = by_key(level_rows(*both(task, 0.25), None, task, None))
    plain, cut = (rows[variant, "any", "utility@1"] for variant in ("plain", "thresholds"))
    assert cut["validation"] >= plain["validation"] and plain["status"] == "ok"
    assert rows["thresholds", "any", "limit"]["estimate"] == math.inf


def test_gaps_are_kept_one_by_one(task):
    rows = level_rows(*both(task, 0.25), None, task, None, bag=bag_of(task, 0.25))
    found = by_key(rows, "dp@1")
    assert found["thresholds", "0.02", "dp@1"]["validation"] <= 0.02
    assert found["oof", "0.02", "dp@1"]["status"] == "ok"


def test_out_of_fold_variants(task):
    bag = bag_of(task, 0.25)
    rows = level_rows(*both(task, 0.25), None, task, 0.2, bag=bag)
    found = by_key(rows)
    levels = {v: [level for w, level, m in found if (w, m) == (v, "utility@1")] for v in MARGINS}
    assert levels == {"oof": [*LEVELS[GAP]], "oof80": [*LEVELS[GAP][1:]], "oof60": [*LEVELS[GAP][1:]]}
    assert {m for v, _, m in found if v == "oof80"} == {*FEW, "limit"}
    # a smaller margin keeps more on the rows that choose, as far as labels follow their expectation
    gaps = [found[v, "0.10", "fair_res@1"]["validation"] for v in MARGINS]
    assert gaps[0] > gaps[2] and found["oof60", "0.10", "limit"]["estimate"] == 0.1
    unmitigated = point_values(
        torch.sigmoid(bag.test)[None], task.labels[task.split.test], task.groups[task.split.test], 2
    )
    assert found["oof60", "0.05", "fair_res@1"]["estimate"] < float(unmitigated["fair_res@1"])


def test_nothing_feasible_is_the_constant_predictor(task):
    rows = by_key(level_rows(*both(task, 0.25), None, task, None))
    rate = float(task.labels[task.split.train].double().mean())
    labels = task.labels[task.split.test].double()
    said = {m: rows["plain", "0.01", m]["estimate"] for m in REPORTED}
    assert said["acc@1"] == pytest.approx(float((labels == (rate > 0.5)).double().mean()))
    assert (said["auc@1"], said["dp@1"], said["fair_res@1"]) == (0.5, 0.0, 0.0)


def test_selection_never_sees_test_labels(task, trained):
    labels = task.labels.clone()
    order = torch.randperm(len(task.split.test), generator=torch.Generator().manual_seed(4))
    labels[task.split.test] = 1 - labels[task.split.test][order]
    scrambled = dataclasses.replace(task, labels=labels)
    args, bag = (*both(task, 0.25), trained), bag_of(task, 0.25)
    ours, theirs = (level_rows(*args, known, 0.2, bag=bag) for known in (task, scrambled))
    for one, other in zip(ours, theirs, strict=True):
        assert (one["validation"], one["status"]) == (other["validation"], other["status"])
        if one["metric"] == "dp@1":  # needs no labels: the same rows are predicted 1
            assert one["estimate"] == other["estimate"]
    assert any(o["estimate"] != t["estimate"] for o, t in zip(ours, theirs, strict=True) if o["metric"] == "acc@1")


def test_a_gap_that_is_not_estimable_is_no_small_gap(task, trained):
    alone = dataclasses.replace(task, groups=torch.zeros_like(task.groups))
    # nor is it evidence that nothing keeps a level: there are no rows, imputed ones neither
    assert level_rows(*both(task, 0.25), trained, alone, None) == []


def test_trials(task, trained):
    rows = trial_rows(trained, task)
    assert [r["trial"] for r in rows] == [0, 1, 2, 3]
    assert [r["state"] for r in rows] == ["failed", "constant", "ok", "ok"]
    numbers = FURTHER["trials"].values[1:-1]
    assert all(math.isnan(rows[0][c]) for c in numbers) and not any(math.isnan(rows[2][c]) for c in numbers)
    assert rows[2]["fair_res_validation"] > rows[3]["fair_res_validation"]
    assert rows[1]["fair_res_test"] == 0


def test_what_halving_stopped_is_told_and_may_be_chosen(task, trained):
    stopped = dataclasses.replace(trained, stopped=[False, True, False, True])
    assert [r["state"] for r in trial_rows(stopped, task)] == ["failed", "constant", "ok", "pruned"]
    rows = by_key(level_rows(*both(task, 0.25), stopped, task, None))
    assert rows["plain", "0.05", "fair_res@1"]["status"] == "ok"  # the fair one, stopped or not


def test_every_started_trial_of_a_run_enters_its_tables(tmp_path, quiet):
    """Halving stops half of the trials: they stay, under the numbers that they have in the study."""
    changes = {"budget": {**TINY, "rungs": [0.5]}, "trials": 6, "batch": 6, "methods": ("utility", "result")}
    run_suite(tiny_suite(**changes), tmp_path, workers=1, strict=True, console=quiet)
    trials = pd.read_csv(tmp_path / "trials.csv")
    for method in ("utility", "result"):
        own = trials[trials["method"] == method].set_index("trial")
        (path,) = tmp_path.glob(f"jobs/*/tune/*_{method}_tuning_results.json")
        study = {row["number"]: row for row in json.loads(path.read_text())["trials"]}
        assert sorted(own.index) == sorted(study) == list(range(6))
        assert [row["state"] for row in study.values()].count("PRUNED") == 3
        for number, row in study.items():
            state = {"PRUNED": "pruned", "COMPLETE": "ok"}[row["state"]]
            assert own.loc[number, "state"] == ("constant" if row["degenerate"] else state)
            assert own.loc[number, "utility_validation"] == pytest.approx(row["metrics"]["utility@1"], abs=1e-6)
    report = summarise(read_results(tmp_path))
    assert {curve.trials for curves in report.budget.curves.values() for curve in curves} == {6}
