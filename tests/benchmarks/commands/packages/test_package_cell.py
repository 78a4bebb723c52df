"""``fairmoe package CELL`` on a tiny real run: the model of a cell is made again, measured and packed."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from typer.testing import CliRunner, Result

from artefacts.format.error import PackageError
from benchmarks.cells.cell import JOB
from benchmarks.cli import app
from benchmarks.models import load_model
from benchmarks.models.promise import Promise
from benchmarks.run.failure import explain
from benchmarks.run.rebuild import CellHandle, RebuildError, cell_at, open_cell
from metrics.counts.tables import count_table
from tasks.load import load_task
from tests.benchmarks.run.rebuild.test_rebuild import prints


def fairmoe(*words: str | Path) -> Result:
    return CliRunner().invoke(app, [str(word) for word in words], env={"COLUMNS": "80"})


def done(*words: str | Path) -> str:
    """What a command prints that ends well."""
    found = fairmoe(*words)
    assert found.exit_code == 0, (found.output, found.exception)
    return found.output


@pytest.fixture(scope="module")
def run(finished: tuple[Path, object]) -> Path:
    return finished[0]


@pytest.fixture(scope="module")
def cell(run: Path) -> CellHandle:
    return open_cell(run, "scm", 0, "lightgbm")


@pytest.fixture
def copied(run: Path, cell: CellHandle, tmp_path: Path) -> Path:
    """The folder of the cell in a copy of the run that a test may spoil."""
    return Path(shutil.copytree(run, tmp_path / "copy")) / cell.folder.relative_to(run)


def test_a_cell_becomes_a_package_with_what_was_measured(run: Path, cell: CellHandle, tmp_path: Path) -> None:
    before = prints(run)
    said = done("package", cell.folder, "--name", "one", "--author", "Ada", "--output", tmp_path / "a.expert")
    assert "packed one 1.0.0 (trees)" in said and "nothing of its fairness" not in said
    assert prints(run) == before
    done("export", tmp_path / "a.expert", tmp_path / "model")
    task = load_task("scm", protocol=cell.job.protocol, split=0, seed=cell.job.suite_seed)
    rows = task.split.test
    model = load_model(tmp_path / "model")
    probability = np.asarray(model.predict_proba(task.frame.iloc[rows.numpy()]))[:, 1]
    stored = cell.predictions().query("part == 'test'")["probability"].to_numpy()
    assert probability == pytest.approx(stored, abs=1e-5)
    promise = Promise.read(tmp_path / "model")
    decided = torch.tensor(stored, dtype=torch.float64)[None]
    table = count_table(decided, task.labels[rows], task.groups[rows], len(task.group_names))[0]
    assert torch.equal(promise.counts(), table) and promise.limit is None
    manifest = json.loads(done("inspect", tmp_path / "a.expert", "--json"))
    assert (manifest["provenance"]["method"], manifest["provenance"]["split"]) == ("lightgbm", "0")
    assert manifest["provenance"]["command"] == cell.command
    note = manifest["fairness"]["note"]
    assert "stood in the tables of the run" in note
    card = (tmp_path / "model" / "README.md").read_text()
    assert "scored by the run before this model was picked" in card and note in card
    assert str(tmp_path) not in card and "fairmoe-cell" not in card
    stored_values = [row for row in cell.facts["results"] if row["part"] == "test" and row["metric"] == "fair_res@1"]
    assert promise.metrics["fair_res@1"].estimate == pytest.approx(stored_values[0]["estimate"], abs=1e-6)


@pytest.mark.parametrize("method", ["lightgbm", "utility", pytest.param("mixture", marks=pytest.mark.slow)])
def test_the_same_cell_gives_the_same_bytes(run: Path, method: str, tmp_path: Path) -> None:
    folder = open_cell(run, "scm", 0, method).folder
    for name in ("a", "b"):
        done("package", folder, "--output", tmp_path / f"{name}.expert")
    assert (tmp_path / "a.expert").read_bytes() == (tmp_path / "b.expert").read_bytes()
    assert "was packed before, the same" in " ".join(done("package", folder, "--output", tmp_path / "a.expert").split())


def test_a_cell_is_found_by_its_folder(run: Path, cell: CellHandle, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(cell.folder.parent)
    found = cell_at(Path(cell.key))
    assert (found.run, found.folder, found.method) == (run.resolve(), cell.folder.resolve(), "lightgbm")
    assert (found.record, found.code_version) == (cell.record, cell.code_version)


def test_changed_code_is_refused_unless_the_model_says_what_is_stored(copied: Path, tmp_path: Path) -> None:
    record = json.loads((copied / JOB).read_text())
    record["job"]["code"] = "0" * 64
    (copied / JOB).write_text(json.dumps(record))
    target = tmp_path / "a.expert"
    error = fairmoe("package", copied, "--output", target).exception
    assert isinstance(error, RebuildError) and "--allow-changed-code" in (explain(error) or "")
    assert not target.exists()
    done("package", copied, "--output", target, "--allow-changed-code")
    assert target.is_file()


def test_a_model_that_says_other_than_what_is_stored_is_not_packed(copied: Path, tmp_path: Path) -> None:
    path = copied / "predictions.parquet"
    handle = cell_at(copied)
    stored = handle.predictions()
    stored["probability"] = 1 - stored["probability"]
    stored.to_parquet(path)
    error = fairmoe("package", copied, "--output", tmp_path / "a.expert").exception
    assert isinstance(error, RebuildError) and "does not say what is stored" in str(error)
    assert not (tmp_path / "a.expert").exists()


def test_what_is_no_cell_of_a_run_is_said(copied: Path, tmp_path: Path) -> None:
    alone = Path(shutil.copytree(copied, tmp_path / "alone"))
    told = fairmoe("package", alone).exception
    assert isinstance(told, RebuildError) and "RUN/jobs/JOB/cells/CELL" in (explain(told) or "")
    facts = json.loads((copied / "cell.json").read_text())
    (copied / JOB).unlink()
    told = fairmoe("package", copied).exception
    assert isinstance(told, RebuildError) and "earlier version" in str(told)
    (copied / "cell.json").write_text(json.dumps({**facts, "head": {**facts["head"], "seed": 1}}))
    told = fairmoe("package", copied).exception
    assert isinstance(told, RebuildError) and "seed 0" in str(told)
    (copied / "cell.json").write_text("{")
    told = fairmoe("package", copied).exception
    assert isinstance(told, RebuildError) and "cannot be read" in str(told)


def test_only_a_cell_is_made_again(tmp_path: Path) -> None:
    told = fairmoe("package", tmp_path, "--allow-changed-code").exception
    assert isinstance(told, PackageError) and "neither a saved model" in str(told)
