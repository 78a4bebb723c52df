import json
import math
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from experts.networks.mlp import MLPExpert
from experts.networks.trainer import Budget
from experts.networks.twin import train_fixed, twin
from experts.tuning.networks import tune, tune_seeds
from experts.tuning.results import write_summary
from experts.tuning.search_space import ranges
from experts.tuning.trial_store import ResumeError
from experts.tuning.trials import TuningError, choose, pareto_front
from metrics.points import point_values
from tasks.arrays import view_of_arrays
from tasks.load import load_task

BUDGET = Budget(steps=40, eval_every=10, patience=3, warm_up=10, hidden=4, rungs=(0.5,), keep=0.5)
ROOT = Path(__file__).parents[3]


def biased_view(n=480, seed=0):
    """Two groups of unequal base rates; the group is a feature."""
    generator = np.random.Generator(np.random.PCG64(seed))
    groups = np.arange(n) % 2
    x = np.column_stack([generator.normal(size=(n, 3)), groups + generator.normal(size=n) * 0.3])
    y = (x[:, 0] + 0.8 * groups + generator.normal(size=n) * 0.7 > 0.4).astype(np.int64)
    train = np.arange(n) % 8 < 5
    return view_of_arrays(x, y, groups, np.flatnonzero(train), np.flatnonzero(~train))


@pytest.fixture(scope="module")
def view():
    return biased_view()


def run(view, folder, role="utility", **changes):
    settings = {"trials": 10, "batch": 4, "seed": 1, "space": "wide", "budget": BUDGET, "utility_floor": 0.5}
    return tune(view, role, folder=folder, **{**settings, **changes})


def files(folder):
    """Every result file's bytes; the journal holds times and is left out."""
    found = [p for p in sorted(folder.rglob("*")) if p.is_file() and "journal" not in p.name]
    return {str(p.relative_to(folder)): p.read_bytes() for p in found}


def utility(view, expert):
    rows = view.split.validation
    probability = expert.logits(view, rows).sigmoid()[None]
    values = point_values(probability, view.labels[rows], view.groups[rows], len(view.group_names))
    return float(values["utility@1"][0])


@pytest.mark.parametrize("role", ["utility", "result", "procedural"])
def test_results_are_complete_and_named_as_the_earlier_tuner_did(view, tmp_path, role):
    tuning = run(view, tmp_path, role)
    alias = {"utility": "expert1", "result": "expert2", "procedural": "expert3"}[role]
    written = json.loads((tmp_path / f"arrays_{role}_tuning_results.json").read_text())
    assert written["expert_type"] == alias
    assert written["best_params"] == tuning.best_params
    assert written["best_score"] == tuning.best_score
    assert set(written["best_params"]) == set(ranges(role))
    assert written["space"]["parameters"]["lr"] == {"low": 1e-4, "high": 3e-2, "scale": "log-uniform"}
    assert written["budget"]["steps"] == 40
    assert [row["number"] for row in written["trials"]] == list(range(10))
    assert {row["state"] for row in written["trials"]} == {"COMPLETE", "PRUNED"}
    assert (tmp_path / f"arrays_{role}_best.safetensors").exists()
    for row in written["trials"]:
        for name, value in row["params"].items():
            low, high = ranges(role, "wide")[name]
            assert low <= value <= high


def test_the_chosen_expert_is_the_trial_itself_and_loads_again(view, tmp_path):
    tuning = run(view, tmp_path)
    assert math.isclose(utility(view, tuning.expert), tuning.best_score, rel_tol=1e-6)
    loaded = MLPExpert.load(tmp_path / "arrays_utility_best")
    rows = view.split.validation
    assert torch.equal(loaded.logits(view, rows), tuning.expert.logits(view, rows))


def test_same_seed_same_bytes_other_seed_other_trials(view, tmp_path):
    first = run(view, tmp_path / "a", "result")
    run(view, tmp_path / "b", "result")
    assert files(tmp_path / "a") == files(tmp_path / "b")
    other = run(view, tmp_path / "c", "result", seed=2)
    assert all(a["params"] != b["params"] for a, b in zip(first.trials, other.trials, strict=True))


KILLED = """
import os, signal, sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from test_networks import biased_view, run
calls = {"step": int(sys.argv[3])}
def progress(done, total):
    if done >= calls["step"]:
        os.kill(os.getpid(), signal.SIGKILL)
run(biased_view(), Path(sys.argv[2]), "result", progress=progress)
"""


def kill_at(step, folder):
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", KILLED, str(Path(__file__).parent), str(folder), str(step)]
    done = subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, check=False)
    assert done.returncode == -signal.SIGKILL, done.stderr.decode()


def test_killed_inside_and_between_batches_ends_in_the_same_files(view, tmp_path):
    straight = run(view, tmp_path / "straight", "result")
    kill_at(20, tmp_path / "killed")  # inside the first batch: nothing is kept
    assert not any((tmp_path / "killed").rglob("trials.json"))
    kill_at(41, tmp_path / "killed")  # after the first batch, before the second has done anything lasting
    journal = next((tmp_path / "killed").rglob("journal.log"))
    journal.write_bytes(journal.read_bytes()[:-9])  # and a torn last line
    resumed = run(view, tmp_path / "killed", "result")
    assert resumed.trials == straight.trials
    assert files(tmp_path / "killed") == files(tmp_path / "straight")


def test_a_finished_study_is_read_not_trained_again(view, tmp_path):
    first = run(view, tmp_path)
    calls = []
    again = run(view, tmp_path, progress=lambda done, total: calls.append(done))
    assert calls == []
    assert again.trials == first.trials
    rows = view.split.validation
    assert torch.equal(again.expert.logits(view, rows), first.expert.logits(view, rows))


def test_a_study_can_be_prolonged_but_not_continued_under_other_settings(view, tmp_path):
    short = run(view, tmp_path, trials=4)
    longer = run(view, tmp_path, trials=8)
    assert longer.trials[:4] == short.trials
    with pytest.raises(ResumeError, match="space"):
        run(view, tmp_path, space="published")


def test_fair_role_keeps_the_smallest_gap_above_the_floor(view, tmp_path):
    reference = run(view, tmp_path)
    tuning = run(view, tmp_path, "result", utility_floor=reference, epsilon=0.05)
    assert tuning.floor == pytest.approx(reference.best_score - 0.05)
    assert tuning.epsilon == 0.05
    done = [row for row in tuning.trials if row["state"] == "COMPLETE"]
    feasible = [row for row in done if row["metrics"]["utility@1"] >= tuning.floor and not row["degenerate"]]
    assert tuning.feasible == bool(feasible)
    if feasible:
        assert tuning.best_score == min(row["objective"] for row in feasible)


def test_a_constant_predictor_is_never_feasible(tmp_path):
    """Nine labels in ten are 1: predicting 1 always has no gap and a good utility, but it is no model."""
    generator = np.random.Generator(np.random.PCG64(0))
    n = 400
    groups = np.arange(n) % 2
    x = generator.normal(size=(n, 2))
    y = (x[:, 0] > -1.3).astype(np.int64)
    rows = np.arange(n)
    view = view_of_arrays(x, y, groups, rows[rows % 8 < 4], rows[rows % 8 >= 4])
    tuning = run(view, tmp_path, "result", utility_floor=0.6, space="published", trials=8, batch=8)
    constant = [row for row in tuning.trials if row["degenerate"]]
    assert constant  # at these learning rates most lanes are
    assert all(row["metrics"]["fair_res@1"] == 0 and not row["feasible"] for row in constant)
    assert all(row["constraints"]["not_constant"] > 0 for row in constant)


def test_a_floor_out_of_reach_is_said_loudly(view, tmp_path, caplog):
    tuning = run(view, tmp_path, "result", trials=4, utility_floor=0.9999)
    assert not tuning.feasible
    assert "none of the" in tuning.note
    assert "none of the" in caplog.text
    done = [row for row in tuning.trials if row["state"] == "COMPLETE"]
    assert tuning.best_metrics["utility@1"] == max(row["metrics"]["utility@1"] for row in done)


def test_fair_role_without_a_floor_is_refused(view, tmp_path):
    with pytest.raises(ValueError, match="constant predictor"):
        run(view, tmp_path, "result", utility_floor=None)


def test_seeds_train_together_and_have_their_own_studies(view, tmp_path):
    both = tune_seeds(
        view, "result", seeds=(1, 2), trials=6, batch=3, budget=BUDGET, folder=tmp_path, utility_floor=0.5, space="wide"
    )
    alone = run(view, tmp_path / "alone", "result", trials=3, batch=3)
    assert [row["params"] for row in both[0].trials[:3]] == [row["params"] for row in alone.trials]
    assert both[0].trials != both[1].trials
    for tuning in both:
        write_summary([tuning], tmp_path)
        folder = tmp_path / f"seed_{tuning.seed}"
        assert (folder / "arrays_result_tuning_results.json").exists()
        assert (folder / "arrays_expert_tuning_summary.json").exists()


def test_summary_holds_every_role(view, tmp_path):
    tunings = [run(view, tmp_path, role, trials=4) for role in ("utility", "result", "procedural")]
    summary = json.loads(write_summary(tunings, tmp_path).read_text())
    assert list(summary) == ["procedural", "result", "utility"]
    assert summary["result"]["best_score"] == tunings[1].best_score
    assert sum(summary["utility"]["states"].values()) == 4
    assert (tmp_path / summary["procedural"]["files"]["weights"]).exists()


def test_progress_counts_all_batches(view, tmp_path):
    calls = []
    run(view, tmp_path, progress=lambda done, total: calls.append((done, total)))
    assert {total for _, total in calls} == {3 * 40}
    assert [done for done, _ in calls] == sorted(done for done, _ in calls)


def test_twin_shares_everything_but_lambda(view, tmp_path):
    tuning = run(view, tmp_path, "result")
    other = twin(view, tuning)
    rows = view.split.validation
    again = train_fixed(view, "result", tuning.lane, BUDGET, seed=tuning.train_seed, utility_floor=tuning.floor)
    assert torch.allclose(again.logits(view, rows), tuning.expert.logits(view, rows), atol=1e-4)
    assert not torch.allclose(other.logits(view, rows), tuning.expert.logits(view, rows), atol=1e-4)


@pytest.mark.data
def test_german_roles_are_tuned_under_the_utility_expert_floor(tmp_path):
    if "FAIRMOE_DATA_MIRROR" not in os.environ:
        pytest.skip("FAIRMOE_DATA_MIRROR is not set: the German data are needed")
    view = load_task("german").view()
    budget = Budget(steps=200, eval_every=50, warm_up=50)
    settings = {"trials": 12, "batch": 6, "seed": 1, "space": "wide", "budget": budget, "folder": tmp_path}
    utility = tune(view, "utility", **settings)
    result = tune(view, "result", utility_floor=utility, **settings)
    assert utility.best_score > 0.7
    assert result.floor == utility.best_score - 0.02
    assert result.feasible
    assert result.best_metrics["utility@1"] >= result.floor
    assert result.best_score < utility.best_metrics["fair_res@1"]
    assert set(result.lane.lambdas) == {"lambda_rep", "lambda_fair"}
    written = json.loads((tmp_path / "german_result_tuning_results.json").read_text())
    assert written["task_hash"] == view.hash


def trial(number, utility, gap, feasible=True, state="COMPLETE", reason=""):
    metrics = {"utility@1": utility, "fair_res@1": gap}
    fields = {"number": number, "metrics": metrics, "objective": gap, "feasible": feasible}
    return {**fields, "state": state, "reason": reason, "constraints": {}}


def test_choice_by_hand():
    rows = [
        trial(0, 0.70, 0.20),
        trial(1, 0.66, 0.05),
        trial(2, 0.66, 0.05),
        trial(3, 0.55, 0.00, feasible=False),
        trial(4, 0.69, 0.01, state="PRUNED"),
    ]
    best, note = choose(rows, "result", 0.65)
    assert (best["number"], note) == (1, "")
    best, note = choose([dict(row, feasible=False) for row in rows], "result", 0.9)
    assert best["number"] == 0
    assert "0.9000" in note
    assert choose(rows, "utility", None)[0]["number"] == 0
    with pytest.raises(TuningError, match="diverged"):
        choose([trial(0, None, None, state="FAIL", reason="diverged")], "result", 0.5)


def test_pareto_front_by_hand():
    rows = [trial(0, 0.7, 0.2), trial(1, 0.6, 0.1), trial(2, 0.6, 0.15), trial(3, 0.5, 0.1)]
    rows.append(trial(4, 0.9, 0.0, state="PRUNED"))
    assert pareto_front(rows, "result") == [0, 1]
    assert pareto_front([*rows, trial(5, 0.8, None)], "result") == [0, 1]
