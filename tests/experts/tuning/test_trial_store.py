import json
import os
import subprocess
import sys
from pathlib import Path

import optuna
import pytest
import torch
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import TrialState

from experts.tuning.search_space import search_space
from experts.tuning.trial_store import ResumeError, TrialStore, drop_torn_line, frozen_trial, journal_lock

optuna.logging.set_verbosity(optuna.logging.WARNING)

ROOT = Path(__file__).resolve().parents[3]
SPACE = search_space("result")
SEEDS = (3, 4)
SETTINGS = {"role": "result", "seeds": SEEDS, "floor": 0.61}


def row(number, state="COMPLETE", **changes):
    params = {name: d.low * (1 + number / 7) for name, d in SPACE.items()}
    plain = {
        "number": number,
        "params": params,
        "metrics": {"utility@1": 0.1 + number / 3, "fair_res@1": None},
        "objective": None if state == "FAIL" else 0.1 * number,
        "constraints": {} if state == "FAIL" else {"utility": 0.05 - number / 100},
        "feasible": False,
        "state": state,
        "reason": "" if state == "COMPLETE" else "because",
        "step": 100 * number,
    }
    return {**plain, **changes}


def theta(seed, number):
    return torch.full((5,), float(10 * seed + number))


def add_batch(store, numbers, states=None):
    states = states or ["COMPLETE"] * len(numbers)
    rows = {seed: [row(n, state) for n, state in zip(numbers, states, strict=True)] for seed in SEEDS}
    store.append(rows, {(seed, n): {"theta": theta(seed, n)} for seed in SEEDS for n in numbers})


def open_store(folder, settings=SETTINGS):
    return TrialStore(folder, settings, SEEDS, SPACE, "minimize")


def facts(trials):
    return [
        (t.number, t.state, t.value, t.params, t.constraints, t.intermediate_values, t.user_attrs, t.distributions)
        for t in trials
    ]


def test_what_was_stored_comes_back(tmp_path):
    store = open_store(tmp_path)
    add_batch(store, [0, 1, 2], ["COMPLETE", "PRUNED", "FAIL"])
    again = open_store(tmp_path)
    assert again.rows == store.rows
    assert again.count == 3
    assert facts(again.finished(3)) == facts(store.finished(3))
    assert torch.equal(again.weights(4, 1)["theta"], theta(4, 1))


def test_journal_is_an_optuna_study_that_other_tools_open(tmp_path):
    add_batch(open_store(tmp_path), [0, 1, 2], ["COMPLETE", "PRUNED", "FAIL"])
    storage = JournalStorage(JournalFileBackend(str(tmp_path / "journal.log")))
    trials = optuna.load_study(study_name="seed-3", storage=storage).trials
    assert [t.state for t in trials] == [TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL]
    assert trials[0].constraints == {"utility": 0.05}
    assert trials[1].intermediate_values == {100: 0.1}
    assert trials[0].params == row(0)["params"]


@pytest.mark.parametrize("cut", [1, 7, 60])
def test_a_torn_last_line_is_dropped_and_its_trial_appended_again(tmp_path, cut):
    store = open_store(tmp_path)
    add_batch(store, [0, 1])
    expected = facts(store.finished(3)), facts(store.finished(4))
    journal = tmp_path / "journal.log"
    journal.write_bytes(journal.read_bytes()[:-cut])
    healed = open_store(tmp_path)
    assert (facts(healed.finished(3)), facts(healed.finished(4))) == expected
    add_batch(healed, [2, 3])
    assert [t.number for t in open_store(tmp_path).finished(4)] == [0, 1, 2, 3]


def test_a_batch_that_the_journal_has_not_heard_of_is_told_to_it(tmp_path):
    store = open_store(tmp_path)
    add_batch(store, [0, 1])
    journal = tmp_path / "journal.log"
    before = journal.read_bytes()
    add_batch(store, [2, 3])
    expected = facts(store.finished(4))
    journal.write_bytes(before)
    assert facts(open_store(tmp_path).finished(4)) == expected


def test_a_half_written_batch_is_not_believed(tmp_path):
    store = open_store(tmp_path)
    add_batch(store, [0, 1])
    leftover = tmp_path / "batches" / ".0001.17-abc.tmp"
    leftover.mkdir()
    (leftover / "trials.json").write_text("{")
    again = open_store(tmp_path)
    assert again.count == 2
    assert not leftover.exists()


def test_a_stale_lock_does_not_block_for_long(tmp_path):
    add_batch(open_store(tmp_path), [0])
    (tmp_path / "journal.log.lock").symlink_to(tmp_path / "journal.log")
    add_batch(open_store(tmp_path), [1])
    assert open_store(tmp_path).count == 2


LOCKED = """
import sys
from pathlib import Path
from tests.experts.tuning.test_trial_store import add_batch, open_store
add_batch(open_store(Path(sys.argv[1])), [1])
"""


@pytest.mark.parametrize("target", ["results/study/journal.log", "/no/such/folder/journal.log"])
def test_a_stale_lock_of_a_relative_or_moved_folder_does_not_block_for_ever(tmp_path, target):
    folder = tmp_path / "results" / "study"
    add_batch(open_store(folder), [0])
    (folder / "journal.log.lock").symlink_to(target)  # what a killed process left: it leads nowhere
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", LOCKED, "results/study"]
    subprocess.run(command, cwd=tmp_path, env=environment, check=True, timeout=120)
    assert open_store(folder).count == 2


def test_a_process_killed_in_a_relative_folder_while_it_held_the_lock_does_not_block_the_next(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    folder = Path("study")
    add_batch(open_store(folder), [0])
    journal_lock(folder / "journal.log").acquire()  # and never released
    add_batch(open_store(folder), [1])
    assert open_store(folder).count == 2


def test_two_writers_are_noticed_and_the_second_spoils_nothing(tmp_path):
    one, two = open_store(tmp_path), open_store(tmp_path)
    add_batch(one, [0])
    with pytest.raises(ResumeError, match=r"0000 was written by another process .*End one of them"):
        add_batch(two, [0], ["FAIL"])
    assert open_store(tmp_path).rows == one.rows


def test_other_settings_are_refused_by_name(tmp_path):
    open_store(tmp_path)
    with pytest.raises(ResumeError, match=r"floor: 0\.61 there, 0\.5 now.*delete"):
        open_store(tmp_path, {**SETTINGS, "floor": 0.5})


def test_lost_weights_are_noticed(tmp_path):
    store = open_store(tmp_path)
    add_batch(store, [0])
    for file in (tmp_path / "batches" / "0000").iterdir():
        file.unlink()
    (tmp_path / "batches" / "0000").rmdir()
    with pytest.raises(ResumeError, match="files were removed"):
        open_store(tmp_path)


def test_drop_torn_line_leaves_whole_lines_alone(tmp_path):
    path = tmp_path / "journal.log"
    drop_torn_line(path)
    assert not path.exists()
    path.write_text('{"a": 1}\n{"b": 2}\n')
    drop_torn_line(path)
    assert [json.loads(line) for line in path.read_text().splitlines()] == [{"a": 1}, {"b": 2}]
    path.write_text('{"a": 1}\n{"b"')
    drop_torn_line(path)
    assert path.read_text() == '{"a": 1}\n'


def test_failed_trial_has_no_value_and_no_constraint():
    trial = frozen_trial(row(2, "FAIL"), SPACE)
    assert trial.state == TrialState.FAIL
    assert trial.value is None
    assert trial.constraints == {}
