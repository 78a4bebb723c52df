"""From a saved model to a verdict on new rows, through the commands."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from benchmarks.methods.baselines import load_baseline
from benchmarks.models import save_model
from benchmarks.models.promise import promise_of
from foundation.seeding import numpy_generator
from tasks.fetch import fetch
from tasks.frame import read_tables
from tasks.load import load_task
from tasks.task import Task
from tests.benchmarks.test_cli import fairmoe, fairmoe_here

pytestmark = pytest.mark.data

Model = tuple[Path, Task, pd.DataFrame, np.ndarray]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Model:
    """Folder of a model with its promise, its task, its raw test rows, and what it said of them in memory."""
    task = load_task("compas:sex")
    expert = load_baseline("logistic_regression").fit(task.view(), {"C": 1.0}, 0)
    folder = tmp_path_factory.mktemp("saved") / "model"
    save_model(expert, task.view(), folder, method="logistic_regression", origin={"suite": "test"})
    probability = torch.sigmoid(expert.logits(task.view(), task.split.test).double())
    promise_of(task, probability, demand={"metric": "eopp@1", "max_gap": 0.3}).write(folder)
    raw = read_tables(task.card, fetch(task.card, roles=("table",)))
    rows = raw.iloc[task.rows[task.split.test].numpy()].reset_index(drop=True)
    return folder, task, rows, probability.numpy()


def write(rows: pd.DataFrame, folder: Path) -> str:
    rows.to_csv(folder / "rows.csv", index=False)
    return str(folder / "rows.csv")


def test_predictions_of_a_file_are_those_of_the_model(model: Model, tmp_path: Path) -> None:
    folder, task, rows, probability = model
    done = fairmoe(
        "predict", str(folder), write(rows, tmp_path), "--unknown", "missing", "--output", str(tmp_path / "p.parquet")
    )
    assert done.returncode == 0, done.stderr
    found = pd.read_parquet(tmp_path / "p.parquet")
    assert list(found.columns) == ["row", "probability", "prediction", "group"]
    assert found["row"].tolist() == list(range(len(rows)))
    np.testing.assert_allclose(found["probability"], probability, atol=1e-6)
    assert found["prediction"].tolist() == (probability > 0.5).astype(int).tolist()
    assert found["group"].tolist() == [task.group_names[group] for group in task.groups[task.split.test].tolist()]
    assert f"{len(rows):,} rows" in done.stdout and "Next, once labels are known: fairmoe monitor" in done.stdout
    assert f"Ignored columns, which the model does not look at: {task.card.label.column}" in done.stderr


def test_predictions_are_scored_as_they_are(model: Model, tmp_path: Path) -> None:
    """The row of ``predict`` is that of its file: of the whole published table it is what ``score`` wants."""
    folder, task, _, _ = model
    raw = read_tables(task.card, fetch(task.card, roles=("table",)))
    written = fairmoe_here(
        "predict", str(folder), write(raw, tmp_path), "--unknown", "missing", "--output", str(tmp_path / "p.csv")
    )
    assert written.returncode == 0, written.stderr
    done = fairmoe_here(
        "score", "--task", "compas:sex", "--predictions", str(tmp_path / "p.csv"), "--metrics", "acc", "--json"
    )
    promised = json.loads((folder / "promise.json").read_text())["metrics"]["acc@1"]
    assert json.loads(done.stdout)["metrics"]["acc@1"]["estimate"] == pytest.approx(promised["estimate"])


def test_the_promised_rows_are_inside(model: Model, tmp_path: Path) -> None:
    folder, task, rows, _ = model
    done = fairmoe_here("monitor", str(folder), write(rows, tmp_path), "--labels", task.card.label.column)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "outside" not in done.stdout and done.stdout.count("inside") >= 8
    assert "Nothing is worse than promised for sure." in done.stdout
    assert max(map(len, done.stdout.replace(str(folder), "").splitlines())) <= 80


def test_flipped_labels_of_one_group_are_outside_and_named(model: Model, tmp_path: Path) -> None:
    folder, task, rows, _ = model
    changed = rows.copy()
    groups = task.groups[task.split.test].numpy()
    labels = task.labels[task.split.test].numpy()
    changed["y"] = np.where(
        (groups == groups.max()) & (numpy_generator(0, "flip").random(len(rows)) < 0.5), 1 - labels, labels
    )
    path = write(changed, tmp_path)
    done = fairmoe_here("monitor", str(folder), path, "--labels", "y", "--json")
    assert done.returncode == 4
    found = json.loads(done.stdout)
    told = {metric["metric"]: metric for metric in found["metrics"]}
    assert told["worst_acc@1"]["verdict"] == "outside" and told["worst_acc@1"]["worse"] and found["alarm"]
    assert told["worst_acc@1"]["high"] < 0
    flipped = found["groups"][task.group_names[groups.max()]]
    kept = [both for name, both in found["groups"].items() if name != task.group_names[groups.max()]]
    assert flipped["now"]["right"] < 0.8 * flipped["then"]["right"] and all(b["now"] == b["then"] for b in kept)
    shown = fairmoe_here("monitor", str(folder), path, "--labels", "y")
    rate = flipped["now"]["right"] / (flipped["now"]["negatives"] + flipped["now"]["positives"])
    assert "accuracy now" in shown.stdout and f"{rate:.3f}" in shown.stdout.split("Groups:")[1]
    assert shown.returncode == 4 and "WORSE THAN PROMISED" in shown.stdout and "worst_acc@1" in shown.stdout


def test_groups_may_be_a_column_of_names(model: Model, tmp_path: Path) -> None:
    folder, task, rows, _ = model
    named = rows.assign(who=[task.group_names[group] for group in task.groups[task.split.test].tolist()])
    path, label = write(named, tmp_path), task.card.label.column
    by_card, by_name = (
        json.loads(fairmoe_here("monitor", str(folder), path, "--labels", label, *further, "--json").stdout)
        for further in ((), ("--groups", "who"))
    )
    assert by_card["metrics"] == by_name["metrics"] and by_card["groups"] == by_name["groups"]


def test_drift_and_unknown_values_are_hinted_at(model: Model, tmp_path: Path) -> None:
    folder, task, rows, _ = model
    column = next(column for column in task.card.column if column.kind == "categorical" and not column.bins)
    changed = rows.assign(
        **{column.name: np.where(np.arange(len(rows)) % 2, "never seen", rows[column.name].astype(str))}
    )
    done = fairmoe_here("monitor", str(folder), write(changed, tmp_path), "--labels", task.card.label.column)
    words = " ".join(done.stdout.split())
    assert f"Hint: column {column.name}:" in words and "unknown values (0.0% then)" in words, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("change", "options", "message"),
    [
        (lambda f: f, ("--labels", "nope"), "no column 'nope' (--labels)"),
        (lambda f: f, ("--labels", "sex"), "No value of the column 'sex' is class 1"),
        (lambda f: f.drop(columns="sex"), ("--labels", "LABEL"), "sex"),
        (lambda f: f.assign(g="x"), ("--labels", "LABEL", "--groups", "g"), "'g' holds 'x' in row 1"),
        (lambda f: f.assign(age="old"), ("--labels", "LABEL"), "'age' holds numbers, but row 1 has 'old'"),
        (lambda f: f, ("--labels", "LABEL", "--metrics", "dpp"), "Did you mean 'dp@1'"),
    ],
)
def test_what_cannot_be_compared_is_one_paragraph(
    model: Model, tmp_path: Path, change: object, options: tuple[str, ...], message: str
) -> None:
    folder, task, rows, _ = model
    given = [task.card.label.column if option == "LABEL" else option for option in options]
    done = fairmoe_here("monitor", str(folder), write(change(rows), tmp_path), *given)  # type: ignore[operator]
    assert done.returncode == 2 and message in done.stderr and "Traceback" not in done.stderr, done.stderr


def test_a_model_without_a_promise_cannot_be_monitored(model: Model, tmp_path: Path) -> None:
    folder, task, rows, _ = model
    copy = tmp_path / "copy"
    shutil.copytree(folder, copy)
    (copy / "promise.json").unlink()
    done = fairmoe_here("monitor", str(copy), write(rows, tmp_path), "--labels", task.card.label.column)
    assert done.returncode == 2 and "has no promise.json" in done.stderr
