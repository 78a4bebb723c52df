"""Models of a finished run, made again: they say what is stored, and the run is only read."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import shutil
from pathlib import Path

import pandas as pd
import pytest
import torch

from benchmarks.cells.cell import JOB
from benchmarks.cells.seen import FILE, SeenError, read_seen
from benchmarks.run.failure import explain
from benchmarks.run.rebuild import RebuildError, open_cell, rebuild
from experts.bagging import bag_rows
from experts.tuning.trials import UnknownTrialError
from metrics.points import point_values
from reports.table import ReportError, read_results
from tests.benchmarks.conftest import TINY_METHODS
from tests.benchmarks.run.rebuild.levels_again import check_levels

QUICK = ("utility", "procedural", "result_lambda0", "constant", "lightgbm", "reweighing")


@pytest.fixture(scope="module")
def run(finished):
    return finished[0]


def prints(folder: Path) -> dict[str, str]:
    """Hash of every file below a folder."""
    files = (path for path in sorted(folder.rglob("*")) if path.is_file())
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


@pytest.fixture
def copied(run, tmp_path):
    """A copy of the run that a test may spoil."""
    return Path(shutil.copytree(run, tmp_path / "copy"))


@pytest.mark.parametrize("method", [m if m in QUICK else pytest.param(m, marks=pytest.mark.slow) for m in TINY_METHODS])
def test_every_method_says_what_is_stored_and_reaches_its_levels(run, method):
    rebuilt = rebuild(open_cell(run, "scm", 0, method))
    assert rebuilt.changes == [] and rebuilt.verify() <= 1e-6
    assert check_levels(run, rebuilt) > (0 if method != "constant" else -1)


def test_the_run_is_only_read_and_the_workplace_goes_away(run):
    before = prints(run)
    rebuilt = rebuild(open_cell(run, "scm", 0, "lightgbm"))
    workplace = rebuilt._workplace
    rebuilt.expert(), rebuilt.bag()
    assert workplace.is_dir() and prints(run) == before
    del rebuilt
    assert not workplace.exists()


def test_work_is_told(run):
    told = []
    rebuild(open_cell(run, "scm", 0, "lightgbm"), notify=lambda job, stage, _: told.append((job, stage))).bag()
    assert told == [("scm_split0", "load"), ("scm_split0", "lightgbm on folds"), ("scm_split0", "lightgbm")]


def test_seen_is_what_chose(run):
    handle = open_cell(run, "scm", 0, "lightgbm")
    seen, rebuilt = handle.seen(), rebuild(handle)
    view, stored = rebuilt.view, handle.predictions()
    own = stored[stored["part"] == "validation"]["probability"].to_numpy()
    assert seen.validation.tolist() == own.tolist() and len(seen.validation) == len(view.split.validation)
    trials = read_results(run).further["trials"]
    trials = trials[trials["method"] == "lightgbm"]
    assert seen.trials == tuple(trials["trial"])
    assert all(json.loads(text).keys() >= {"learning_rate", "num_leaves"} for text in trials["params"])
    rows = view.split.validation
    known = view.labels[rows], view.groups[rows], len(view.group_names)
    worth = point_values(seen.trained, *known, metrics=("utility@1",))["utility@1"]
    assert worth.tolist() == pytest.approx(trials["utility_validation"].tolist(), abs=1e-9)
    torch.testing.assert_close(seen.oof, rebuilt.bag_margins)
    assert seen.members is None and seen.roles == () and not seen.own_bag


@pytest.mark.slow
def test_seen_of_a_mixture_is_its_decision_problem(run):
    handle = open_cell(run, "scm", 0, "mixture")
    seen, rebuilt = handle.seen(), rebuild(handle)
    problem, members = rebuilt.problem(), rebuilt.members()
    assert seen.roles == problem.roles and seen.own_bag
    assert torch.equal(seen.fold, problem.fold)
    torch.testing.assert_close(seen.members, problem.members)
    torch.testing.assert_close(seen.members[0], seen.oof)
    rows = bag_rows(rebuilt.view)
    for role, told, member in zip(seen.roles, seen.members, members, strict=False):
        torch.testing.assert_close(told, member.logits(rebuilt.view, rows).detach())
        assert member.role in (role, "mixture")


def test_what_was_fitted_once_has_no_trials(run):
    handle = open_cell(run, "scm", 0, "constant")
    seen = handle.seen()
    assert seen.trained is None and seen.trials == ()
    with pytest.raises(UnknownTrialError, match="constant has no trial 0"):
        rebuild(handle).expert(0)


@pytest.mark.slow
def test_every_trial_says_what_chose(run):
    """Networks, trees and gates: what is made again of each trial is what its row of ``trained`` says."""
    for method in ("result", "lightgbm", "gate_dense"):
        handle = open_cell(run, "scm", 0, method)
        seen, rebuilt = handle.seen(), rebuild(handle)
        view = rebuilt.view
        for number, told in zip(seen.trials, seen.trained, strict=True):
            said = torch.sigmoid(rebuilt.expert(number).logits(view, view.split.validation).detach())
            torch.testing.assert_close(said, told, atol=1e-6, rtol=0)
        with pytest.raises(UnknownTrialError, match=r"no trial 99"):
            rebuilt.expert(99)
        best = handle.facts["params"].get("best_trial")
        if best is not None:
            assert rebuilt.expert(best) is rebuilt.expert()


def test_names_that_the_run_does_not_have(run, tmp_path):
    for words, name in (
        (("scm", 0, "lightgmb"), "lightgmb"),
        (("german", 0, "lightgbm"), "german"),
        (("scm", 7, "lightgbm"), "7"),
    ):
        with pytest.raises(RebuildError, match=name) as found:
            open_cell(run, *words)
        assert "it has" in str(found.value) and explain(found.value)
    with pytest.raises(ReportError, match="output folder"):
        open_cell(tmp_path, "scm", 0, "lightgbm")
    with pytest.raises(RebuildError, match="sensitive columns: drop"):
        open_cell(run, "scm", 0, "lightgbm", use_sensitive="drop")


def test_a_failed_cell_says_why(copied):
    table = pd.read_parquet(copied / "results.parquet")
    lost = (table["method"] == "lightgbm") & (table["metric"] == "final@1") & (table["part"] == "test")
    table.loc[lost, ["status", "reason"]] = "failed", "ValueError: no trees grow here"
    table.to_parquet(copied / "results.parquet", index=False)
    with pytest.raises(RebuildError, match="no trees grow here"):
        open_cell(copied, "scm", 0, "lightgbm")


def test_cells_of_earlier_versions(copied):
    handle = open_cell(copied, "scm", 0, "lightgbm")
    (handle.folder / FILE).unlink()
    with pytest.raises(SeenError, match=r"earlier version.*Run the same bench command again") as found:
        handle.seen()
    assert explain(found.value)
    (handle.folder / JOB).unlink()
    with pytest.raises(RebuildError, match=r"earlier version.*Run the same bench command again"):
        open_cell(copied, "scm", 0, "lightgbm")
    shutil.rmtree(copied / "jobs")
    with pytest.raises(RebuildError, match="Copy the whole output folder"):
        open_cell(copied, "scm", 0, "lightgbm")


def test_what_failed_to_be_stored_is_told(copied):
    handle = open_cell(copied, "scm", 0, "lightgbm")
    (handle.folder / FILE).unlink()
    path = handle.folder / "cell.json"
    facts = json.loads(path.read_text())
    path.write_text(json.dumps(facts | {"lost": [{"step": "seen", "reason": "OSError: full", "error": ""}]}))
    with pytest.raises(SeenError, match=r"storing it failed \(OSError: full\)"):
        read_seen(handle.folder)


def test_changed_code_is_refused_unless_the_predictions_judge(copied):
    path = open_cell(copied, "scm", 0, "lightgbm").folder / JOB
    record = json.loads(path.read_text())
    record["job"]["code"] = "0" * 64
    record["libraries"]["numpy"] = "1.0"
    path.write_text(json.dumps(record))
    handle = open_cell(copied, "scm", 0, "lightgbm")
    with pytest.raises(RebuildError, match=r"the code of fairmoe .* numpy \(1\.0 then") as found:
        rebuild(handle)
    assert explain(found.value)
    rebuilt = rebuild(handle, allow_changed_code=True)
    assert len(rebuilt.changes) == 2 and rebuilt.verify() <= 1e-6


def test_other_predictions_are_told(copied):
    handle = open_cell(copied, "scm", 0, "constant")
    path = handle.folder / "predictions.parquet"
    table = pd.read_parquet(path)
    table.loc[table["part"] == "test", "probability"] += 1e-3
    table.to_parquet(path, index=False)
    with pytest.raises(RebuildError, match=r"test rows differ, by up to 0\.001"):
        rebuild(handle).verify()


def test_a_job_is_read_as_it_was_written(run):
    handle = open_cell(run, "scm", 0, "mixture")
    job = handle.job
    assert job.folder == handle.home.name and job.cell_key("mixture", 0) == handle.key
    assert dataclasses.replace(job, seeds=1) == job and isinstance(hash(job), int)
