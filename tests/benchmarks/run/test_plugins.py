"""Worked example: a data set, a suite, a baseline, an own method, a gate and a family of experts, one file each.

All of them go through the harness together: their cells are computed, and pages know their words.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from foundation.discovery import PLUGINS
from reports.methods import MethodRow, read_methods
from tests.benchmarks.methods.baselines.test_plugin import NEIGHBOURS
from tests.benchmarks.run.test_own_data import write_table
from tests.examples import FOLDER
from tests.experts.families.test_families import LOGISTIC
from tests.gates.test_registry import CONFIDENCE

SUITE = (FOLDER / "suite.toml").read_text(encoding="utf-8")

OWN = '''
from sklearn.naive_bayes import GaussianNB


def make():
    """Naive Bayes, as it is."""
    return GaussianNB()


make.label = "Naive Bayes"
'''

COMPUTED = {
    "gate_confidence", "logistic_utility", "logistic_result", "logistic_procedural", "logistic_result_lambda0",
    "neighbours", "model.make", "utility",
}  # fmt: skip

Ran = tuple[Path, dict[str, MethodRow]]


def fairmoe(home: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """The command in a process of its own, with the plug-in folder."""
    environment = {**os.environ, PLUGINS: str(home / "plugins"), "FAIRMOE_HOME": str(home / "store")}
    command = [sys.executable, "-m", "benchmarks", *arguments]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a table, its card, a suite, a model of one's own and three plug-ins."""
    home = tmp_path_factory.mktemp("mine")
    write_table(home / "loans.csv")
    done = fairmoe_card(home)
    assert done.returncode == 0, done.stderr
    for name, text in (
        ("plugins/gates/confidence.py", CONFIDENCE),
        ("plugins/experts/families/logistic.py", LOGISTIC),
        ("plugins/benchmarks/methods/baselines/neighbours.py", NEIGHBOURS),
        ("model.py", OWN),
        (
            "mine.toml",
            SUITE.replace("loans.card.toml", str(home / "loans.card.toml")).replace("model.py", str(home / "model.py")),
        ),
    ):
        (home / name).parent.mkdir(parents=True, exist_ok=True)
        (home / name).write_text(text, encoding="utf-8")
    return home


def fairmoe_card(home: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "benchmarks", "data", "card", str(home / "loans.csv")]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def ran(home: Path) -> Ran:
    """The output folder of a run, and the words of its methods."""
    done = fairmoe(home, "bench", str(home / "mine.toml"), "--jobs", "1", "--output", str(home / "out"))
    assert done.returncode == 0, (done.stdout, done.stderr)
    return home / "out", read_methods(home / "out")


def test_every_one_of_them_is_a_computed_cell(ran: Ran) -> None:
    results = pd.read_csv(ran[0] / "results.csv")
    assert set(results["task"]) == {"loans"} and set(results["method"]) == COMPUTED
    assert not results["status"].isin(["failed", "timeout"]).any()
    families = results.drop_duplicates("method").set_index("method")["family"]
    assert families["logistic_result"] == "logistic" and families["gate_confidence"] == "mixture"
    routing = pd.read_csv(ran[0] / "routing.csv")
    assert set(routing["method"]) == {"gate_confidence"}
    assert set(routing["expert"]) == {"utility", "result", "procedural"}


def test_pages_know_their_words(ran: Ran) -> None:
    rows = ran[1]
    said = {name: (row.label, row.kind, row.family, row.reads) for name, row in rows.items()}
    assert said["gate_confidence"] == ("Confidence gate", "gate", "mixture", "tabular")
    assert said["logistic_result"] == ("Logistic result expert", "expert", "logistic", "tabular")
    assert said["logistic_result_lambda0"] == ("Logistic result, λ = 0", "twin", "logistic", "tabular")
    assert said["neighbours"] == ("Nearest neighbours", "baseline", "neighbours", "tabular")
    assert said["model.make"] == ("Naive Bayes", "own", "own", "tabular")
    assert (rows["logistic_result"].code, rows["logistic_result"].explainer) == ("rR", "linear")
    assert rows["model.make"].about == "Naive Bayes, as it is"
    assert list(rows)[len(COMPUTED) :] == ["result", "procedural"]  # members that the gate weighs, behind the suite's
    assert "Naive Bayes" in (ran[0] / "leaderboard.md").read_text(encoding="utf-8")


def test_the_run_is_planned_without_importing_a_plug_in(home: Path) -> None:
    planned = fairmoe(home, "bench", str(home / "mine.toml"), "--dry-run", "--output", str(home / "none"))
    assert planned.returncode == 0 and f"{len(COMPUTED)} to compute" in planned.stdout, planned.stderr


def test_without_the_folder_their_methods_are_unknown(home: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks", "bench", str(home / "mine.toml"), "--dry-run"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 2 and "there is no method gate_confidence, logistic_utility" in done.stderr


def test_the_suite_says_what_was_found(ran: Ran) -> None:
    suite = json.loads((ran[0] / "suite.json").read_text(encoding="utf-8"))
    assert suite["methods"][0] == "gate_confidence" and "bias_sets" in suite
