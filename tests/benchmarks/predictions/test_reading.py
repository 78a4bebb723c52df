"""`fairmoe score`: good files are scored on the test rows, bad ones are refused with the reason."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from benchmarks.predictions.reading import PredictionError, read_predictions
from tasks.load import load_task
from tasks.task import Task
from tests.benchmarks.test_cli import fairmoe


@pytest.fixture(scope="module")
def task() -> Task:
    return load_task("scm")


def good(task: Task) -> pd.DataFrame:
    rows = task.rows[task.split.test].numpy()[::-1]
    return pd.DataFrame({"row": rows, "probability": np.linspace(0, 1, len(rows)), "comment": "ignored"})


def write(frame: pd.DataFrame, folder: Path) -> Path:
    frame.to_csv(folder / "p.csv", index=False)
    return folder / "p.csv"


def test_order_of_the_file_does_not_matter(task: Task, tmp_path: Path) -> None:
    read = read_predictions(write(good(task), tmp_path), task, task.split.test)
    assert torch.equal(read, torch.from_numpy(good(task)["probability"].to_numpy()[::-1].copy()))


@pytest.mark.parametrize(
    ("break_it", "message"),
    [
        (lambda f: f.iloc[1:], "have no prediction"),
        (lambda f: pd.concat([f, f.iloc[:1]]), "occur more than once"),
        (lambda f: f.assign(probability=[np.nan, *f["probability"][1:]]), "not numbers in"),
        (lambda f: f.assign(probability=f["probability"] + 0.5), "not numbers in"),
        (lambda f: f.assign(probability="high"), "not numbers in"),
        (lambda f: f.rename(columns={"probability": "score"}), "no column probability"),
        (lambda f: f.assign(row=f["row"] + 0.5), "whole numbers"),
    ],
)
def test_bad_files_are_refused_with_the_reason(task: Task, tmp_path: Path, break_it: object, message: str) -> None:
    path = write(break_it(good(task)), tmp_path)  # type: ignore[operator]
    with pytest.raises(PredictionError, match=message):
        read_predictions(path, task, task.split.test)


def test_missing_and_empty_files_are_named(task: Task, tmp_path: Path) -> None:
    with pytest.raises(PredictionError, match="There is no file"):
        read_predictions(tmp_path / "none.csv", task, task.split.test)
    (tmp_path / "empty.csv").write_text("")
    with pytest.raises(PredictionError, match="not a CSV file"):
        read_predictions(tmp_path / "empty.csv", task, task.split.test)


def test_command_prints_json_with_known_answers(task: Task, tmp_path: Path) -> None:
    rows = task.split.test
    perfect = pd.DataFrame({"row": task.rows[rows].numpy(), "probability": task.labels[rows].double().numpy()})
    done = fairmoe("score", "--task", "scm", "--predictions", str(write(perfect, tmp_path)), "--json")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["metrics"]["acc@1"]["estimate"] == 1.0
    assert found["metrics"]["eopp@1"]["estimate"] == 0.0
    assert found["metrics"]["ref@1"]["status"] == "not_estimable"
    assert found["split_hash"] == task.split.hash
