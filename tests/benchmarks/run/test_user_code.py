"""Files of users in a run: what they do to the process stays with them, what ends a program is a failed row."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
import torch
from typer.testing import CliRunner

from benchmarks.cli import app
from benchmarks.methods.own_method import OwnMethodError, load_own
from benchmarks.run.executors.executor import attempt
from benchmarks.run.failure import Failure
from benchmarks.run.scoring import checked, recorded
from metrics.evidence import Evidence

FILES = {
    "dtype": """
        import torch
        class M(LogisticRegression):
            def fit(self, X, y):
                torch.set_default_dtype(torch.float64)
                return super().fit(X, y)
    """,
    "everything": """
        import os, random, tempfile, warnings
        import numpy as np, sklearn, torch
        os.chdir(tempfile.mkdtemp())
        sklearn.set_config(transform_output="pandas")
        torch.set_default_dtype(torch.float64)
        torch.set_grad_enabled(False)
        np.seterr(all="raise")
        warnings.simplefilter("error")
        random.seed(0)
        M = LogisticRegression
    """,
    "arguments": """
        import argparse
        parser = argparse.ArgumentParser()
        parser.add_argument("--C", type=float, default=0.5)
        C = parser.parse_args().C
        class M(LogisticRegression):
            def __init__(self):
                super().__init__(C=C)
    """,
    "leaves": """
        import sys
        class M(LogisticRegression):
            def fit(self, X, y):
                sys.exit("no licence found")
    """,
    "stops": """
        class Stop(BaseException): pass
        class M(LogisticRegression):
            def predict_proba(self, X):
                raise Stop
    """,
    "short": """
        class M(LogisticRegression):
            def predict_proba(self, X): return super().predict_proba(X)[:-1]
    """,
}

FAILED = {
    "leaves.M": "leaves.M: fit tried to end the program with SystemExit (no licence found)",
    "stops.M": "stops.M: predict_proba tried to end the program with Stop",
    "short.M": "short.M: predict_proba returned shape",
}

SUITE = """
name = "mine"
tasks = ["scm@300"]
splits = 1
trials = 1
batch = 1
methods = [{own}"utility", "logistic_regression"]
budget = {{ steps = 20, eval_every = 20, warm_up = 0, rungs = [] }}
"""


def write(folder: Path, name: str, body: str) -> str:
    lines = [line.removeprefix("        ") for line in body.strip("\n").splitlines()]
    path = folder / f"{name}.py"
    path.write_text("\n".join(["from sklearn.linear_model import LogisticRegression", *lines]), encoding="utf-8")
    return f"{path}:M"


def bench(folder: Path, own: list[str], monkeypatch: pytest.MonkeyPatch) -> pd.DataFrame:
    """Test values of a run that is started in the folder, with a relative output folder."""
    monkeypatch.chdir(folder)
    (folder / "mine.toml").write_text(SUITE.format(own="".join(f'"{name}", ' for name in own)))
    output = f"out{len(own)}"
    done = CliRunner().invoke(app, ["bench", "mine.toml", "--output", output, "--jobs", "1"])
    assert done.exit_code == (1 if own else 0), (done.output, done.exception)
    assert (folder / output / "leaderboard.html").exists()
    return pd.read_csv(folder / output / "results.csv")


def test_no_other_method_changes_and_each_wrong_answer_is_a_failed_row(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    alone = bench(tmp_path, [], monkeypatch)
    table = bench(tmp_path, [write(tmp_path, name, body) for name, body in FILES.items()], monkeypatch)
    others = table[table["method"].isin(["utility", "logistic_regression"])].reset_index(drop=True)
    pd.testing.assert_frame_equal(others, alone)
    failed = table[table["status"] == "failed"].set_index("method")["reason"]
    assert set(failed.index) == set(FAILED)
    for method, said in FAILED.items():
        assert said in failed[method]
    computed = table[(table["metric"] == "utility@1") & (table["part"] == "test")].set_index("method")["status"]
    assert {"dtype.M", "everything.M", "arguments.M"} <= set(computed[computed == "ok"].index)


def test_a_file_that_ends_the_program_is_refused_in_one_paragraph(tmp_path: Path) -> None:
    name = write(tmp_path, "leaving", "import sys\nsys.exit(3)")
    with pytest.raises(OwnMethodError, match=r"cannot be imported: .*SystemExit \(3\).*leaving\.py, line 3") as caught:
        load_own(name)
    assert "\n" not in str(caught.value)
    name = write(tmp_path, "factory", "def M():\n    raise SystemExit")
    with pytest.raises(OwnMethodError, match=r"factory\.M: its function tried to end the program with SystemExit"):
        load_own(name)


def test_only_the_person_at_the_keyboard_ends_a_run() -> None:
    failures: list[Failure] = []

    def end() -> None:
        raise SystemExit("over")

    with recorded(failures, "mine", 0):
        end()
    assert [f.method for f in failures] == ["mine"] and "SystemExit: over" in failures[0].error
    with pytest.raises(KeyboardInterrupt), recorded(failures, "mine", 0):
        raise KeyboardInterrupt
    assert len(failures) == 1


def test_a_job_that_is_ended_is_an_outcome(tmp_path: Path) -> None:
    class Leaving:
        folder = "job"

        def unfinished(self, _folder: Path) -> list[tuple[str, int]]:
            raise SystemExit("over")

    assert "SystemExit: over" in attempt(Leaving(), tmp_path, lambda *_: None).error  # type: ignore[arg-type]


@pytest.mark.parametrize("part", ["probability", "masked", "counterfactual"])
def test_what_is_no_probability_fails_whatever_it_is_for(part: str) -> None:
    known = Evidence(probability=torch.tensor([0.1, 0.9]), masked=torch.tensor([0.2, 0.8]))
    assert checked(known) is known
    with pytest.raises(ValueError, match="1 of 2 predictions are not probabilities"):
        checked(Evidence(**{**vars(known), part: torch.tensor([0.5, torch.nan])}))
