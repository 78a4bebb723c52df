"""``fairmoe choose`` on a tiny real run: from its files to a folder that predicts raw rows."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
import typer
from typer.testing import CliRunner, Result

from benchmarks.cells.seen import SeenError
from benchmarks.choice.error import ChoiceError
from benchmarks.commands.models.choose import NOTHING, choose
from benchmarks.models import load_model
from benchmarks.models.promise import Promise
from benchmarks.run.failure import explain
from benchmarks.run.rebuild import RebuildError
from metrics.counts.tables import count_table
from metrics.registry import MetricError
from tasks.load import load_task

app = typer.Typer()
app.command()(choose)

LIMIT = ("--max-gap", "0.3")


@pytest.fixture(scope="module")
def run(finished: tuple[Path, object], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy, so that models lie in no folder that others look at."""
    copy = tmp_path_factory.mktemp("choose") / "tiny"
    shutil.copytree(finished[0], copy)
    return copy


def asked(run: Path, *options: str) -> Result:
    """What the command says."""
    return CliRunner().invoke(app, [str(run), "--task", "scm", *options])


@pytest.fixture(scope="module")
def chosen(run: Path) -> tuple[Path, Result]:
    """The folder of a model that was chosen, and what was said."""
    folder = run.parent / "model"
    return folder, asked(run, *LIMIT, "--output", str(folder))


def test_saves_all_that_it_says(chosen: tuple[Path, Result]) -> None:
    folder, result = chosen
    assert result.exit_code == 0, result.output
    expected = {"model.json", "promise.json", "choice.json", "changed.csv", "README.md", "card.html", "expert"}
    assert expected <= {path.name for path in folder.iterdir()}
    choice = json.loads((folder / "choice.json").read_text())
    assert choice["recommended"]["excluded"] == ""
    assert choice["recommended"]["gap"] <= 0.3
    plain = " ".join(result.output.split())
    assert all(" ".join(sentence.split()) in plain for sentence in choice["said"])
    assert f"fairmoe predict {folder} rows.csv" in result.output
    assert max(len(line) for line in result.output.splitlines() if str(folder) not in line) <= 80


def test_the_saved_model_names_its_run_in_the_tracking_store(chosen: tuple[Path, Result], run: Path) -> None:
    origin = json.loads((chosen[0] / "model.json").read_text())["origin"]
    with (run / "provenance.csv").open(encoding="utf-8") as file:
        ids = {row["cell"]: row["mlflow_run_id"] for row in csv.DictReader(file)}
    assert origin["mlflow_run"] == ids[origin["cell"]] != ""


def test_nothing_half_made_is_left_beside_it(chosen: tuple[Path, Result]) -> None:
    assert not [path for path in chosen[0].parent.iterdir() if path.name.startswith(".choosing")]


def test_the_saved_model_decides_raw_test_rows_as_promised(chosen: tuple[Path, Result]) -> None:
    folder, _ = chosen
    model, promise = load_model(folder), Promise.read(folder)
    task = load_task("scm", protocol=str(model.facts["origin"].get("protocol", "robust")), split=0, seed=0)
    task = task if task.hash == promise.facts["task_hash"] else _task_of(promise)
    rows = task.split.test
    said = torch.from_numpy(np.asarray(model.predict_proba(task.frame.iloc[rows.numpy()]))[:, 1])
    table = count_table(said[None], task.labels[rows], task.groups[rows], len(task.group_names))[0]
    assert torch.equal(table, promise.counts())


def _task_of(promise: Promise):  # type: ignore[no-untyped-def]
    facts = promise.facts
    return load_task(facts["task"], protocol=facts["protocol"], split=facts["split"], seed=facts["seed"])


def test_who_is_decided_differently_adds_up(chosen: tuple[Path, Result]) -> None:
    folder, _ = chosen
    choice = json.loads((folder / "choice.json").read_text())
    with (folder / "changed.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    for group in choice["changed"]:
        own = [row for row in rows if row["group"] == group["group"]]
        assert group["gained"] == sum((row["from"], row["to"]) == ("0", "1") for row in own)
        assert group["lost"] == sum((row["from"], row["to"]) == ("1", "0") for row in own)
    assert sum(group["rows"] for group in choice["changed"]) == choice["test"]["rows"]


def test_same_seed_same_choice_and_json_says_it(chosen: tuple[Path, Result], run: Path, tmp_path: Path) -> None:
    again = asked(run, *LIMIT, "--output", str(tmp_path / "again"), "--json")
    assert again.exit_code == 0
    printed = json.loads(again.stdout)
    before = json.loads((chosen[0] / "choice.json").read_text())
    assert {**printed, "folder": ""} == {**before, "folder": ""}
    assert printed == json.loads((tmp_path / "again" / "choice.json").read_text())


def test_a_model_is_replaced_only_if_asked(chosen: tuple[Path, Result], run: Path, tmp_path: Path) -> None:
    folder, _ = chosen
    refused = asked(run, *LIMIT, "--output", str(folder))
    assert isinstance(refused.exception, ChoiceError)
    assert "--force to replace it" in str(refused.exception)
    other = tmp_path / "notes"
    other.mkdir()
    assert "is no saved model" in str(asked(run, *LIMIT, "--output", str(other), "--force").exception)
    assert other.is_dir()


@pytest.mark.parametrize("options", [("--method", "lightgbm"), ("--method", "logistic_regression", "--refit")])
def test_default_folder_names_method_way_metric_and_limit(run: Path, options: tuple[str, ...]) -> None:
    result = asked(run, "--metric", "DP", "--max-gap", "0.4", *options, "--force")
    assert result.exit_code == 0, result.output
    (folder,) = (run / "models" / "scm").glob(f"{options[1]}-*-dp-0.4")
    assert ("fitted again on all rows" in " ".join(result.output.split())) == ("--refit" in options)
    assert load_model(folder).facts["method"] == options[1]


def test_nothing_that_keeps_it_has_its_own_exit_code(run: Path) -> None:
    result = asked(run, "--metric", "worst_acc", "--max-gap", "1")
    assert result.exit_code == NOTHING
    assert "Nothing of scm keeps worst_acc ≥ 1" in result.output
    assert "The closest is" in result.output or "Nothing can be said of rows that did not choose" in " ".join(
        result.output.split()
    )


@pytest.mark.parametrize(
    ("options", "kind", "words"),
    [
        (("--metric", "fairres"), MetricError, "Did you mean 'fair_res"),
        (("--method", "lightgmb"), ChoiceError, "Did you mean 'lightgbm"),
        (("--split", "7"), ChoiceError, "has no split 7 of scm; it has 0"),
        (("--use-sensitive", "drop"), ChoiceError, "keep only, not 'drop'"),
        (("--metric", "worst_acc", "--max-gap", "80"), ChoiceError, "the smallest value that is allowed"),
        (("--max-procedural", "auc=.1"), MetricError, "no metric 'auc'"),
    ],
)
def test_what_cannot_be_chosen_is_said_in_a_paragraph(
    run: Path, options: tuple[str, ...], kind: type[Exception], words: str
) -> None:
    error = asked(run, *options).exception
    assert isinstance(error, kind)
    assert words in (explain(error) or "")


def test_unknown_task_names_those_of_the_run(run: Path) -> None:
    error = CliRunner().invoke(app, [str(run), "--task", "german"]).exception
    assert isinstance(error, ChoiceError)
    assert "It has scm" in str(error)


def test_no_run_is_said(tmp_path: Path) -> None:
    assert "output folder of a bench run" in str(asked(tmp_path).exception)


def test_cells_of_earlier_versions_are_said(run: Path, tmp_path: Path) -> None:
    old = tmp_path / "old"
    shutil.copytree(run, old)
    for path in old.glob("jobs/*/cells/*/seen.safetensors"):
        path.unlink()
    error = asked(old).exception
    assert isinstance(error, SeenError)
    assert "Run the same bench command again" in (explain(error) or "")


def test_changed_code_is_refused_before_any_work(run: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    shutil.copytree(run, other)
    for path in other.glob("jobs/*/cells/*/job.json"):
        record = json.loads(path.read_text())
        record["job"]["code"] = "0" * 64
        path.write_text(json.dumps(record))
    for path in other.glob("jobs/*/cells/*/seen.safetensors"):
        path.unlink()  # reading would fail
    error = asked(other).exception
    assert isinstance(error, RebuildError) and "--allow-changed-code" in (explain(error) or "")
    assert isinstance(asked(other, "--allow-changed-code").exception, SeenError)
