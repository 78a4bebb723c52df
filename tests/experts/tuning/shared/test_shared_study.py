"""Studies in a database: one driver, several, dead ones, a server that dies, and what Optuna reads of it all."""

import json
import os
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import optuna
import pytest
import sqlalchemy
from optuna.trial import TrialState

from experts.families.registry import family_named
from experts.networks.trainer import Budget
from experts.tuning.networks import tune
from experts.tuning.shared import Patience, StorageError, StudyServer, check_server
from experts.tuning.shared import driving as driving_module
from experts.tuning.shared.server import open_storage
from experts.tuning.shared.study import TRIES
from experts.tuning.trial_store import ResumeError
from tests.experts.tuning.test_networks import biased_view, files

ROOT = Path(__file__).resolve().parents[4]
pytestmark = pytest.mark.filterwarnings("ignore::optuna.exceptions.ExperimentalWarning")
BUDGET = Budget(steps=40, eval_every=10, patience=3, warm_up=10, hidden=4, rungs=(0.5,), keep=0.5)
STEADY = Patience(wait=60, heartbeat=20, grace=600, poll=0.1)


@pytest.fixture(scope="module")
def view():
    return biased_view()


def server_of(address, patience=STEADY, scope="code", tell=lambda words: None):
    return StudyServer(address, scope, tell, patience)


def run(view, folder, server=None, role="result", **changes):
    settings = {"trials": 10, "batch": 4, "seed": 1, "space": "wide", "budget": BUDGET, "utility_floor": 0.5}
    return tune(view, role, folder=folder, server=server, **{**settings, **changes})


def results(folder):
    """What later stages read: everything but who drove, and the journal, which holds times."""
    return {
        name: found
        for name, found in files(folder).items()
        if name.rsplit("/", 1)[-1] not in ("driver", "drivers.json")
    }


@contextmanager
def studies_of(address):
    storage = open_storage(address, STEADY)
    names = optuna.get_all_study_names(storage)
    yield [optuna.load_study(study_name=name, storage=storage) for name in names]
    storage.engine.dispose()


def grace_is_over(postgres, address):
    """Nobody has been heard of for an hour."""
    postgres.execute(address, "UPDATE trial_heartbeats SET heartbeat = heartbeat - interval '1 hour'")


class Stopped(Exception):
    """A driver that dies between two steps."""


def dying(monkeypatch, step, after):
    """Let the driver die when it comes to a step the how many-eth time."""
    real, seen = getattr(driving_module, step), []

    def counted(*arguments):
        seen.append(step)
        if len(seen) == after:
            raise Stopped
        return real(*arguments)

    monkeypatch.setattr(driving_module, step, counted)


@pytest.mark.parametrize("role", ["utility", "result"])
def test_one_driver_comes_to_the_same_files_as_without_a_database(view, tmp_path, database, role):
    run(view, tmp_path / "files", role=role)
    tuned = run(view, tmp_path / "database", server_of(database), role=role)
    assert results(tmp_path / "database") == results(tmp_path / "files")
    assert tuned.drivers == 1


def test_models_fitted_one_by_one_are_the_same_too(view, tmp_path, database):
    shared = {"budget": BUDGET, "trials": 3, "batch": 2, "space": "wide", "epsilon": None, "layers": 1}
    for name, server in (("files", None), ("database", server_of(database))):
        family_named("linear").tuner().tune(
            view, "utility", seeds=[1], folder=tmp_path / name, utility_floor=None, server=server, **shared
        )
    assert results(tmp_path / "database") == results(tmp_path / "files")


def test_optuna_reads_the_trials_as_if_it_had_written_them(view, tmp_path, postgres, database):
    run(view, tmp_path, server_of(database))
    (journal,) = tmp_path.rglob("journal.log")
    by_optuna = optuna.load_study(
        study_name="seed-1",
        storage=optuna.storages.JournalStorage(optuna.storages.journal.JournalFileBackend(str(journal))),
    )
    with studies_of(database) as (study,):
        assert study.direction == by_optuna.direction
        for ours, theirs in zip(study.trials, by_optuna.trials, strict=True):
            for name in ("number", "state", "values", "params", "distributions", "intermediate_values", "constraints"):
                assert getattr(ours, name) == getattr(theirs, name), name
            assert {key: ours.user_attrs[key] for key in theirs.user_attrs} == theirs.user_attrs
        assert len(postgres.execute(database, "SELECT * FROM fairmoe_attempts")) == 10
        optuna.delete_study(study_name=study.study_name, storage=study._storage)
        assert postgres.execute(database, "SELECT * FROM fairmoe_attempts") == []


@pytest.mark.parametrize("step", ["_keep", "_deliver"])
def test_a_driver_that_dies_goes_on_with_what_it_had_begun(view, tmp_path, postgres, database, monkeypatch, step):
    run(view, tmp_path / "files")
    with monkeypatch.context() as dead:
        dying(dead, step, after=3)
        with pytest.raises(Stopped):
            run(view, tmp_path / "database", server_of(database))
    grace_is_over(postgres, database)
    run(view, tmp_path / "database", server_of(database))
    assert results(tmp_path / "database") == results(tmp_path / "files")
    with studies_of(database) as (study,):
        assert [trial.number for trial in study.trials] == list(range(10))


def test_what_a_dead_driver_had_under_way_is_tried_again(view, tmp_path, postgres, database, monkeypatch):
    whole = run(view, tmp_path / "files")
    with monkeypatch.context() as dead:
        dying(dead, "_keep", after=2)
        with pytest.raises(Stopped):
            run(view, tmp_path / "dead", server_of(database))
    grace_is_over(postgres, database)
    tuned = run(view, tmp_path / "alive", server_of(database))
    assert tuned.trials == whole.trials  # the batch that died is trained again as it was
    assert tuned.drivers == 2
    with studies_of(database) as (study,):
        trials = study.trials
    failed = [trial for trial in trials if trial.state == TrialState.FAIL]
    again = [trial for trial in trials if trial.system_attrs.get("retry_history")]
    assert [trial.number for trial in failed] == [4, 5, 6, 7]
    assert [trial.system_attrs["retry_history"] for trial in again] == [[4], [5], [6], [7]]
    assert [trial.params for trial in again] == [trial.params for trial in failed]


def test_trials_that_no_driver_survives_are_failed_ones(view, tmp_path, postgres, database, monkeypatch):
    for number in range(TRIES):
        with monkeypatch.context() as dead:
            dying(dead, "_keep", after=1 if number else 2)
            with pytest.raises(Stopped):
                run(view, tmp_path / f"dead{number}", server_of(database))
        grace_is_over(postgres, database)
    tuned = run(view, tmp_path / "alive", server_of(database))
    lost = [row["number"] for row in tuned.trials if row["reason"] == f"its driver died {TRIES} times"]
    assert [row["number"] for row in tuned.trials] == list(range(10))
    assert lost == [4, 5, 6, 7]
    assert all(tuned.trials[number]["state"] == "FAIL" for number in lost)
    assert tuned.drivers == TRIES + 1


def test_a_run_in_files_goes_on_in_a_database(view, tmp_path, database):
    run(view, tmp_path / "files")
    run(view, tmp_path / "moved", trials=4)
    run(view, tmp_path / "moved", server_of(database))
    assert results(tmp_path / "moved") == results(tmp_path / "files")


def test_a_database_that_was_set_back_gets_its_trials_again(view, tmp_path, postgres, database, monkeypatch):
    run(view, tmp_path / "files")
    with monkeypatch.context() as dead:
        dying(dead, "_deliver", after=4)  # one before the first batch, then one after each
        with pytest.raises(Stopped):
            run(view, tmp_path / "database", server_of(database))
    postgres.execute(database, "DELETE FROM fairmoe_attempts WHERE place >= 3")
    run(view, tmp_path / "database", server_of(database))
    assert results(tmp_path / "database") == results(tmp_path / "files")
    postgres.execute(database, "DELETE FROM fairmoe_attempts WHERE place = 3")
    with pytest.raises(ResumeError, match="lacks trials before its trial 9"):
        run(view, tmp_path / "other", server_of(database))


def test_a_folder_with_other_trials_than_the_database_is_refused(view, tmp_path, database):
    run(view, tmp_path / "one", server_of(database))
    run(view, tmp_path / "other", trials=4)
    store = next((tmp_path / "other").rglob("trials.json"))
    rows = json.loads(store.read_text())
    rows["1"][0]["objective"] = 0.123
    store.write_text(json.dumps(rows))
    with pytest.raises(ResumeError, match="is another one than that of the same study in the database"):
        run(view, tmp_path / "other", server_of(database))


def test_studies_of_other_settings_code_or_size_are_others(view, tmp_path, database):
    run(view, tmp_path / "a", server_of(database))
    run(view, tmp_path / "b", server_of(database, scope="other code"))
    run(view, tmp_path / "c", server_of(database), trials=5)
    run(view, tmp_path / "d", server_of(database), seed=2)
    run(view, tmp_path / "e", server_of(database), utility_floor=0.4)
    with studies_of(database) as found:
        assert len(found) == 5


def test_a_server_that_dies_in_mid_run_is_waited_for(view, tmp_path, postgres, database, monkeypatch):
    run(view, tmp_path / "files")
    told, real = [], driving_module._keep

    def keep(*arguments):
        real(*arguments)
        if not told:
            postgres.kill()

    def tell(words):
        told.append(words)
        if len(told) == 2:
            postgres.start()

    monkeypatch.setattr(driving_module, "_keep", keep)
    run(view, tmp_path / "database", server_of(database, tell=tell))
    assert results(tmp_path / "database") == results(tmp_path / "files")
    assert all(words.startswith("waiting for the database") for words in told)


def test_a_server_that_stays_away_costs_no_finished_trial(view, tmp_path, postgres, database, monkeypatch):
    run(view, tmp_path / "files")
    real = driving_module._keep

    def keep(*arguments):
        real(*arguments)
        postgres.kill()

    with monkeypatch.context() as dead:
        dead.setattr(driving_module, "_keep", keep)
        with pytest.raises(StorageError, match=r"does not answer .* was waited for .* start the server"):
            run(view, tmp_path / "database", server_of(database, Patience(wait=0.5, poll=0.1)))
    postgres.start()
    trained = []
    monkeypatch.setattr(driving_module, "_keep", lambda *given: (trained.append(len(given[1])), real(*given)))
    run(view, tmp_path / "database", server_of(database))
    assert results(tmp_path / "database") == results(tmp_path / "files")
    assert trained == [4, 2]  # the batch that could not be told was not trained again


def test_a_driver_that_was_taken_for_dead_does_not_overwrite(view, tmp_path, postgres, database, monkeypatch):
    real = driving_module._keep

    def late(*arguments):
        real(*arguments)
        monkeypatch.setattr(driving_module, "_keep", real)
        grace_is_over(postgres, database)
        run(view, tmp_path / "second", server_of(database))

    monkeypatch.setattr(driving_module, "_keep", late)
    tuned = run(view, tmp_path / "first", server_of(database))
    assert tuned.drivers == 2
    first, second = (
        {n: f for n, f in results(tmp_path / who).items() if "batches" not in n} for who in ("first", "second")
    )
    assert first == second


def test_what_several_drivers_asked_is_marked(view, tmp_path, postgres, database, monkeypatch):
    with monkeypatch.context() as dead:
        dying(dead, "_keep", after=2)
        with pytest.raises(Stopped):
            run(view, tmp_path / "dead", server_of(database))
    grace_is_over(postgres, database)
    run(view, tmp_path / "alive", server_of(database))
    written = json.loads((tmp_path / "alive" / "arrays_result_tuning_results.json").read_text())
    assert written["order"] == "not reproducible in order: 2 drivers asked for its trials"
    again = run(view, tmp_path / "alive")  # read from the folder, without the database
    assert again.drivers == 2


def test_a_batch_costs_few_requests(view, tmp_path, database):
    calls = []

    def count(*_):
        calls.append(1)

    sqlalchemy.event.listen(sqlalchemy.engine.Engine, "before_cursor_execute", count)
    try:
        run(view, tmp_path / "first", server_of(database), trials=3, batch=3)  # makes the tables
        calls.clear()
        run(view, tmp_path / "small", server_of(database), trials=4, batch=4)
        few = len(calls)
        calls.clear()
        run(view, tmp_path / "large", server_of(database), trials=16, batch=16)
    finally:
        sqlalchemy.event.remove(sqlalchemy.engine.Engine, "before_cursor_execute", count)
    assert len(calls) == few  # a larger batch costs no more of them


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda address: address.replace("pass-word-9", "wrong-word-7"), "password authentication failed.*PGPASSWORD"),
        (lambda address: address.rsplit("/", 1)[0] + "/nowhere", 'database "nowhere" does not exist.*createdb'),
        (lambda address: address.replace("@127.0.0.1:", "@127.0.0.1:1"), "Check host and port"),
    ],
)
def test_a_server_that_refuses_is_told_in_one_paragraph_without_the_password(database, change, words):
    address = change(database)
    with pytest.raises(StorageError, match=words) as caught:
        check_server(address)
    text = str(caught.value)
    assert "\n" not in text
    assert "pass-word-9" not in text and "wrong-word-7" not in text
    assert "Nothing was computed" in text


DRIVER = """
import sys
from pathlib import Path
from tests.experts.tuning.shared.test_shared_study import run, server_of
from tests.experts.tuning.test_networks import biased_view

folder, address = Path(sys.argv[1]), sys.argv[2]
folder.mkdir()
(folder / "ready").touch()
while not all((folder.parent / name / "ready").exists() for name in sys.argv[3:]):
    pass
run(biased_view(), folder / "out", server_of(address), trials=12, batch=2)
"""


@pytest.mark.slow
def test_drivers_in_processes_of_their_own_share_a_study_out(tmp_path, postgres, database):
    names = ("a", "b", "c")
    drivers = [
        subprocess.Popen(
            [sys.executable, "-c", DRIVER, str(tmp_path / name), database, *names],
            env={**os.environ, "PYTHONPATH": str(ROOT)}, stderr=subprocess.PIPE, text=True,
        )
        for name in names
    ]  # fmt: skip
    for driver in drivers:
        _, said = driver.communicate()
        assert driver.returncode == 0, said
    places = postgres.execute(database, "SELECT place, attempt FROM fairmoe_attempts WHERE row IS NOT NULL")
    assert sorted(places) == [(place, 0) for place in range(12)]  # each once
    ends = [
        {n: f for n, f in results(tmp_path / name / "out").items() if "batches" not in n and "ready" not in n}
        for name in names
    ]
    assert ends[0] == ends[1] == ends[2]
    asked = dict(postgres.execute(database, "SELECT driver, count(*) FROM fairmoe_attempts GROUP BY driver"))
    (written,) = (tmp_path / "a").rglob("*_tuning_results.json")
    assert ("order" in json.loads(written.read_text())) == (len(asked) > 1)
