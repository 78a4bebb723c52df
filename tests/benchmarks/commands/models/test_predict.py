"""`fairmoe predict`: every way in and out says the same, and what is wrong with rows is named."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
import torch

from benchmarks.methods.baselines import load_baseline
from benchmarks.methods.own_method import load_own
from benchmarks.models import save_model
from benchmarks.predictions.reading import read_predictions
from tests.benchmarks.models.conftest import load
from tests.benchmarks.test_cli import fairmoe_here

Saved = tuple[Path, pd.DataFrame]


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Saved:
    """Folder of a model, and raw rows."""
    task, raw = load(tmp_path_factory.mktemp("toy"))
    expert = load_baseline("logistic_regression").fit(task.view(), {"C": 1.0}, 0)
    folder = tmp_path_factory.mktemp("saved") / "model"
    save_model(expert, task.view(), folder, method="logistic_regression", origin={})
    return folder, raw


def test_every_way_in_and_out_says_the_same(saved: Saved, tmp_path: Path) -> None:
    folder, raw = saved
    raw.to_csv(tmp_path / "rows.csv", index=False)
    raw.to_csv(tmp_path / "semi.csv.gz", index=False, sep=";")
    raw.to_parquet(tmp_path / "rows.parquet", index=False)
    found = []
    for name, output in (("rows.csv", "a.csv"), ("semi.csv.gz", "b.csv.gz"), ("rows.parquet", "c.parquet")):
        done = fairmoe_here("predict", str(folder), str(tmp_path / name), "--output", str(tmp_path / output))
        assert done.returncode == 0, done.stderr
        path = tmp_path / output
        found.append(pd.read_parquet(path) if path.suffix == ".parquet" else pd.read_csv(path))
    code = "from benchmarks.cli import main; main()"
    piped = subprocess.run(
        [sys.executable, "-c", code, "predict", str(folder), "-"], input=(tmp_path / "rows.csv").read_bytes(),
        capture_output=True, check=True,
    )  # fmt: skip
    (tmp_path / "d.csv").write_bytes(piped.stdout)
    found.append(pd.read_csv(tmp_path / "d.csv"))
    for other in found[1:]:
        pd.testing.assert_frame_equal(found[0], other, check_dtype=False)
    assert len(found[0]) == len(raw)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda f: f.drop(columns=["job", "hours"]), "lack the column(s) job, hours"),
        (lambda f: f.assign(job=["pilot", *f["job"][1:]]), "job: 'pilot' in row 1"),
        (lambda f: f.assign(hours=["many", *f["hours"][1:]]), "'hours' holds numbers, but row 1 has 'many'"),
        (lambda f: f.iloc[:0], "has no rows"),
    ],
)
def test_what_is_wrong_with_rows_is_one_paragraph(saved: Saved, tmp_path: Path, change: object, message: str) -> None:
    folder, raw = saved
    path = tmp_path / "rows.csv"
    change(raw).to_csv(path, index=False)  # type: ignore[operator]
    done = fairmoe_here("predict", str(folder), str(path), "--output", str(tmp_path / "out.csv"))
    assert done.returncode == 2 and message in done.stderr and "Traceback" not in done.stderr, done.stderr
    assert str(path) in done.stderr and not list(tmp_path.glob("*out.csv*"))


def test_unknown_categories_may_count_as_empty(saved: Saved, tmp_path: Path) -> None:
    folder, raw = saved
    told = []
    for job in ("pilot", None):
        raw.assign(job=[job, *raw["job"][1:]]).to_csv(tmp_path / "rows.csv", index=False)
        done = fairmoe_here("predict", str(folder), str(tmp_path / "rows.csv"), "--unknown", "missing")
        told.append(done.stdout)
    assert told[0] == told[1] and told[0].startswith("row,probability,prediction,group\n0,")
    refused = fairmoe_here("predict", str(folder), str(tmp_path / "rows.csv"), "--unknown", "guess")
    assert refused.returncode == 2 and "--unknown is error or missing, not 'guess'" in refused.stderr


def test_later_parts_say_where_their_rows_stand(saved: Saved, tmp_path: Path) -> None:
    from benchmarks.commands.models.predict import _predictions
    from benchmarks.models import RowsError, load_model

    folder, raw = saved
    with pytest.raises(RowsError, match=r"big\.csv \(rows counted from row 50,001 of the file\): .*'pilot' in row 1"):
        _predictions(load_model(folder), raw.assign(job="pilot"), "error", None, 50_000, "big.csv")


def test_what_it_writes_can_be_scored(tmp_path: Path) -> None:
    task, _ = load(tmp_path)
    expert = load_baseline("logistic_regression").fit(task.view(), {"C": 1.0}, 0)
    save_model(expert, task.view(), tmp_path / "model", method="logistic_regression", origin={})
    wanted = torch.sigmoid(expert.logits(task.view(), task.split.test).double())
    for name in ("all.csv", "all.csv.gz", "all.parquet"):
        model, output = str(tmp_path / "model"), str(tmp_path / name)
        done = fairmoe_here("predict", model, str(tmp_path / "own.csv"), "--unknown", "missing", "--output", output)
        assert done.returncode == 0, done.stderr
        torch.testing.assert_close(
            read_predictions(tmp_path / name, task.view(), task.split.test), wanted, rtol=0, atol=1e-6
        )
    scored = fairmoe_here("score", "--task", str(tmp_path / "card.toml"), "--predictions", str(tmp_path / "all.csv"))
    assert scored.returncode == 0 and "acc@1" in scored.stdout, scored.stderr


@pytest.mark.parametrize("command", [("predict",), ("monitor", "--labels", "y")])
def test_types_of_own_estimators_may_be_trusted(tmp_path: Path, command: tuple[str, ...]) -> None:
    task, _ = load(tmp_path)
    (tmp_path / "mine.py").write_text(
        "from sklearn.ensemble import RandomForestClassifier\ndef make():\n    return RandomForestClassifier(5)\n"
    )
    expert = load_own(f"{tmp_path / 'mine.py'}:make").fit(task.view(), {}, 3)
    save_model(expert, task.view(), tmp_path / "model", method="mine.make", origin={})
    verb, *options = command
    asked = [verb, str(tmp_path / "model"), str(tmp_path / "own.csv"), *options]
    refused = fairmoe_here(*asked)
    assert refused.returncode == 2 and "--trust TYPE" in " ".join(refused.stderr.split())
    trusted = fairmoe_here(*asked, "--trust", "sklearn.tree._tree.Tree")
    assert "could run code" not in trusted.stderr and "Traceback" not in trusted.stderr
