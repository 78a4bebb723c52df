"""Methods whose code ends the process, with or without a word: they fail alone, whatever they share a job with."""

from __future__ import annotations

import os
from pathlib import Path

import pandas as pd
import pytest
from typer.testing import CliRunner

from benchmarks.cli import app
from benchmarks.methods.own_method import OwnMethodError, load_own
from benchmarks.methods.user_code import EstimatorError, user_code
from benchmarks.run.deaths import ATTEMPTS, MethodDiedError, UnderWay, forget_deaths
from benchmarks.run.failure import explain
from tests.benchmarks.run.test_user_code import write

SUITE = """
name = "deaths"
tasks = ["scm@300"]
splits = 1
trials = 1
batch = 1
methods = [{own}, "constant", "logistic_regression"]
budget = {{ steps = 20, eval_every = 20, warm_up = 0, rungs = [] }}
"""

EXITS = """
        import os
        class M(LogisticRegression):
            def fit(self, X, y):
                os._exit(3)
"""
DIES = """
        import os, signal
        class M(LogisticRegression):
            def predict_proba(self, X):
                os.kill(os.getpid(), signal.SIGKILL)
"""
DIES_IN_REFIT = """
        import os, signal
        class M(LogisticRegression):
            def fit(self, X, y):
                if len(X) not in (150, 200):  # the training rows of the two tasks
                    os.kill(os.getpid(), signal.SIGKILL)
                return super().fit(X, y)
"""


def bench(folder: Path, own: list[str], jobs: int, monkeypatch: pytest.MonkeyPatch) -> pd.DataFrame:
    monkeypatch.chdir(folder)
    (folder / "suite.toml").write_text(SUITE.format(own=", ".join(f'"{name}"' for name in own)))
    done = CliRunner().invoke(app, ["bench", "suite.toml", "--output", "out", "--jobs", str(jobs)])
    assert done.exit_code == 1, (done.output, done.exception)
    return pd.read_csv(folder / "out" / "results.csv")


def reasons(table: pd.DataFrame) -> dict[str, str]:
    failed = table[table["status"] == "failed"]
    return dict(zip(failed["method"], failed["reason"], strict=True))


def scored(table: pd.DataFrame) -> set[str]:
    """Methods with a test accuracy."""
    return set(table.query("metric == 'acc@1' and part == 'test' and status == 'ok'")["method"])


def test_an_exit_without_exception_is_a_failed_row(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    table = bench(tmp_path, [write(tmp_path, "exits", EXITS)], 1, monkeypatch)
    found = reasons(table)
    assert (
        set(found) == {"exits.M"} and "fit tried to end the program with SystemExit (os._exit(3))" in found["exits.M"]
    )
    assert scored(table) == {"constant", "logistic_regression"}


@pytest.mark.slow
def test_a_method_that_kills_its_worker_does_not_take_the_others_of_its_job(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = SUITE.replace('["scm@300"]', '["scm@300", "scm@400"]')
    monkeypatch.setattr("tests.benchmarks.run.test_dying_methods.SUITE", text)
    table = bench(tmp_path, [write(tmp_path, "dies", DIES)], 2, monkeypatch)
    found = reasons(table)
    assert set(found) == {"dies.M"} and "died 2 times while dies.M was computed" in found["dies.M"], found
    assert scored(table) == {"constant", "logistic_regression"}
    assert table.query("method == 'constant' and metric == 'acc@1' and part == 'test'")["task"].nunique() == 2


@pytest.mark.slow
def test_a_method_whose_refit_kills_its_worker_fails_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = SUITE.replace('["scm@300"]', '["scm@300", "scm@400"]')
    monkeypatch.setattr("tests.benchmarks.run.test_dying_methods.SUITE", text)
    table = bench(tmp_path, [write(tmp_path, "refit", DIES_IN_REFIT)], 2, monkeypatch)
    assert set(reasons(table)) == {"refit.M"}
    assert scored(table) >= {"constant", "logistic_regression"}


@pytest.mark.parametrize(("call", "word"), [("os._exit(7)", r"os\._exit\(7\)"), ("os.abort()", r"os\.abort\(\)")])
def test_the_import_of_a_file_that_ends_the_process_is_refused(tmp_path: Path, call: str, word: str) -> None:
    with pytest.raises(OwnMethodError, match=f"the import tried to end the program with SystemExit.*{word}"):
        load_own(write(tmp_path, f"at_import_{call[3:8].strip('_(')}", f"        import os\n        {call}"))


def test_outside_the_code_of_users_and_in_its_children_an_exit_is_one() -> None:
    before = (os._exit, os.abort)
    with user_code("m", "fit"):
        child = os.fork()
        if not child:
            os._exit(5)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 5
        with pytest.raises(SystemExit):
            os._exit(0)
    with pytest.raises(EstimatorError), user_code("m", "fit"):
        os.abort()
    assert (os._exit, os.abort) == before


def die_in(home: Path, method: str) -> None:
    """A process that ends in the middle of a method."""
    child = os.fork()
    if not child:
        with UnderWay(home).noted(method, 0):
            os._exit(1)
    os.waitpid(child, 0)


def test_deaths_of_a_method_are_counted_and_end_in_a_refusal(tmp_path: Path) -> None:
    notes = UnderWay(tmp_path)
    for _ in range(ATTEMPTS - 1):
        with notes.noted("a", 0):
            pass
        die_in(tmp_path, "a")
    with pytest.raises(MethodDiedError, match="died 2 times while a was computed") as caught, notes.noted("a", 0):
        pytest.fail("it must not be started")
    assert explain(caught.value) is not None
    with notes.noted("b", 0), notes.noted("a", 1):  # another method, another repetition
        pass
    forget_deaths([tmp_path, tmp_path / "never"])
    with notes.noted("a", 0):
        pass


def test_an_error_is_no_death(tmp_path: Path) -> None:
    notes = UnderWay(tmp_path)
    for _ in range(2 * ATTEMPTS):
        with pytest.raises(KeyboardInterrupt), notes.noted("a", 0):
            raise KeyboardInterrupt
    with notes.noted("a", 0):
        pass
