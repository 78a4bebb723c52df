"""`fairmoe score`: good files are scored on the test rows, bad ones are refused with the reason."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from benchmarks.cells.cell import predictions_frame
from benchmarks.predictions.reading import PredictionError, read_predictions
from metrics.evidence import Evidence
from tasks.load import load_task
from tasks.task import Task
from tests.benchmarks.test_cli import fairmoe, fairmoe_here


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
        (lambda f: pd.concat([f, f.iloc[:1]]), r"row 3998 is on line 2 and on line 1002\."),
        (lambda f: f.assign(probability=[np.nan, *f["probability"][1:]]), r"line 2 \(row '3998'\) .*: it is empty"),
        (lambda f: f.assign(probability=f["probability"] + 0.5), "not a number in .*log odds"),
        (lambda f: f.assign(probability="high"), "the probability 'high', which is not a number in"),
        (lambda f: f.assign(probability="32.1%"), "'32.1%'.*divide percentages by 100"),
        (lambda f: f.assign(probability="0,32"), "'0,32'.*decimal point"),
        (lambda f: f.assign(probability=1.0000001), "line 2 .*'1.0000001'.*clip"),
        (lambda f: f.assign(probability="[0.7302 0.2698]"), "line 2 .*0.7302 0.2698"),
        (lambda f: f.rename(columns={"probability": "score"}), "no column probability; it has 'row', 'score'"),
        (lambda f: f.assign(row=f["row"] + 0.5), "whole numbers"),
        (lambda f: f.assign(row="x"), "line 2 has row 'x'; rows are whole numbers"),
        (lambda f: f.assign(row=f["row"].astype(str) + "0" * 400), "whole numbers"),
        (lambda f: f.assign(row=f["row"] - 1), "have no prediction"),
        (
            lambda f: pd.concat([f, f.assign(row=f["row"] + 4000)]),
            "line 1002 has row '7998', but scm has the rows 0 to 3999",
        ),
        (lambda f: f.assign(row=-1), "has row '-1', but scm has the rows 0 to 3999"),
    ],
)
def test_bad_files_are_refused_with_the_reason(task: Task, tmp_path: Path, break_it: object, message: str) -> None:
    path = write(break_it(good(task)), tmp_path)  # type: ignore[operator]
    with pytest.raises(PredictionError, match=message) as error:
        read_predictions(path, task, task.split.test)
    assert "\n" not in str(error.value) and "p.csv" in str(error.value) and len(str(error.value)) < 600


@pytest.mark.parametrize(("separator", "called"), [(";", "semicolons"), ("\t", "tabs"), ("|", "bars")])
def test_another_separator_is_named(task: Task, tmp_path: Path, separator: str, called: str) -> None:
    good(task).to_csv(tmp_path / "p.csv", index=False, sep=separator, decimal=",")
    with pytest.raises(PredictionError, match=f"by {called}; separate them by commas"):
        read_predictions(tmp_path / "p.csv", task, task.split.test)


def known(task: Task) -> torch.Tensor:
    return torch.from_numpy(good(task)["probability"].to_numpy()[::-1].copy())


@pytest.mark.parametrize(
    "written",
    [
        lambda f: f.rename(columns={"probability": " probability "}).to_csv(index=False).encode(),
        lambda f: f.to_csv(index=False).encode("utf-8-sig"),
        lambda f: f.to_csv(index=False).replace("\n", "\n\n ,\n").encode(),
        lambda f: f.to_csv(index=False).replace("\n", "\r\n").encode(),
        lambda f: f.astype({"row": float}).to_csv().encode(),
        lambda f: gzip.compress(f.to_csv(index=False).encode()),
        lambda f: f.assign(comment='"a,\nb"').to_csv(index=False).encode(),
    ],
)
def test_forms_of_the_same_file_read_alike(task: Task, tmp_path: Path, written: object) -> None:
    (tmp_path / "p.csv").write_bytes(written(good(task)))  # type: ignore[operator]
    assert torch.equal(read_predictions(tmp_path / "p.csv", task, task.split.test), known(task))


def test_truth_values_are_zero_and_one(task: Task, tmp_path: Path) -> None:
    path = write(good(task).assign(probability=good(task)["probability"] > 0.5), tmp_path)
    assert torch.equal(read_predictions(path, task, task.split.test), (known(task) > 0.5).double())


def test_what_stands_in_other_rows_is_ignored(task: Task, tmp_path: Path) -> None:
    others = task.rows[task.split.train].numpy()
    wild = pd.DataFrame({"row": [*others, *others], "probability": "nonsense"})
    path = write(pd.concat([wild, good(task)]), tmp_path)
    assert torch.equal(read_predictions(path, task, task.split.test), known(task))


def test_lines_are_those_of_the_file(task: Task, tmp_path: Path) -> None:
    rows = task.rows[task.split.test].tolist()
    (tmp_path / "p.csv").write_text(f'\nrow,note,probability\n\n{rows[0]},"a\nb",0.5\n\n{rows[1]},c,x\n')
    with pytest.raises(PredictionError, match=f"line 7 .row '{rows[1]}'. has the probability 'x'"):
        read_predictions(tmp_path / "p.csv", task, task.split.test)
    (tmp_path / "p.csv").write_text(f"row,probability\n{rows[0]},0.5\n{rows[1]}\n")
    with pytest.raises(PredictionError, match="line 3 has 1 cells, its header has 2"):
        read_predictions(tmp_path / "p.csv", task, task.split.test)


def test_two_columns_of_probabilities_are_refused(task: Task, tmp_path: Path) -> None:
    (tmp_path / "p.csv").write_text("row,probability,probability\n1,.2,.8\n")
    with pytest.raises(PredictionError, match="2 columns 'probability'; leave one"):
        read_predictions(tmp_path / "p.csv", task, task.split.test)


def test_a_benchmarks_own_file_is_read(task: Task, tmp_path: Path) -> None:
    half = known(task).float()
    parts = {
        "validation": (task.split.validation, Evidence(torch.ones(len(task.split.validation)))),
        "test": (task.split.test, Evidence(half)),
    }
    predictions_frame(task, parts).to_parquet(tmp_path / "p.parquet", index=False)
    assert torch.equal(read_predictions(tmp_path / "p.parquet", task, task.split.test), half.double())
    with pytest.raises(PredictionError, match="have no prediction"):  # they chose the model: no scores of them
        read_predictions(tmp_path / "p.parquet", task, task.split.validation)
    (tmp_path / "p.parquet").write_bytes(b"PAR1 no more")
    with pytest.raises(PredictionError, match="is not a parquet file"):
        read_predictions(tmp_path / "p.parquet", task, task.split.test)


def test_what_is_no_file_of_predictions_is_named(task: Task, tmp_path: Path) -> None:
    (tmp_path / "empty.csv").write_text("")
    (tmp_path / "latin.csv").write_bytes("row,probability,größe\n".encode("latin-1"))
    (tmp_path / "cut.csv").write_bytes(gzip.compress(good(task).to_csv().encode())[:-30])
    for name, reason in (
        ("none.csv", "There is no file"),
        (".", "is no file"),
        ("empty.csv", "is empty"),
        ("latin.csv", "cannot be read: 'utf-8' codec"),
        ("cut.csv", "cannot be read: Compressed file ended"),
    ):
        with pytest.raises(PredictionError, match=reason):
            read_predictions(tmp_path / name, task, task.split.test)


def test_the_table_fits_a_narrow_console(task: Task, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    done = fairmoe("score", "--task", "scm", "--predictions", str(write(good(task), tmp_path)))
    lines = done.stdout.splitlines()
    assert done.returncode == 0 and max(map(len, lines)) <= 80 and len(lines) < 45
    rows = {line.split()[1]: line for line in lines if line.startswith("│")}
    assert rows["acc@1"].count("│") == 7 and rows["acc@1"].rstrip("│ ").endswith("ok") and "ref@1" not in rows
    text = " ".join(done.stdout.split())
    assert "ref@1, vef@1" in text and "not estimable, the evidence has no masked probabilities" in text


def test_command_prints_json_with_known_answers(task: Task, tmp_path: Path) -> None:
    rows = task.split.test
    perfect = pd.DataFrame({"row": task.rows[rows].numpy(), "probability": task.labels[rows].double().numpy()})
    done = fairmoe_here("score", "--task", "scm", "--predictions", str(write(perfect, tmp_path)), "--json")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["metrics"]["acc@1"]["estimate"] == 1.0
    assert found["metrics"]["eopp@1"]["estimate"] == 0.0
    assert found["metrics"]["ref@1"]["status"] == "not_estimable"
    assert found["split_hash"] == task.split.hash


def test_metrics_that_are_asked_for_are_shown_alone(task: Task, tmp_path: Path) -> None:
    path = str(write(good(task), tmp_path))
    done = fairmoe_here("score", "--task", "scm", "--predictions", path, "--metrics", "DP,acc", "--json")
    assert list(json.loads(done.stdout)["metrics"]) == ["dp@1", "acc@1"]
    refused = fairmoe_here("score", "--task", "scm", "--predictions", path, "--metrics", "dp,ac")
    assert refused.returncode == 2 and "There is no metric 'ac'. Did you mean 'auc@1' or 'acc@1'?" in refused.stderr


def test_groups_fit_a_narrow_console(task: Task, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from benchmarks.commands.models.score_table import print_groups
    from metrics.score import GroupRow, Scores

    monkeypatch.setenv("COLUMNS", "80")
    done = fairmoe_here("score", "--task", "scm", "--predictions", str(write(good(task), tmp_path)), "--metrics", "dp")
    lines = done.stdout.splitlines()
    assert max(map(len, lines)) <= 80
    sizes = torch.bincount(task.groups[task.split.test]).tolist()
    for name, size in zip(task.group_names, sizes, strict=True):
        (row,) = [line for line in lines if line.startswith(f"│ {name} ")]
        assert row.split("│")[2].strip() == f"{size:,}"
    statistics = ("count", "positives", "selection_rate", "tpr", "fpr", "accuracy")
    name = "a [very] long name of a group & another one"
    rows = [GroupRow(name, statistic, 0.5, 0.25, 0.75) for statistic in statistics]
    print_groups(Scores({}, rows, False))
