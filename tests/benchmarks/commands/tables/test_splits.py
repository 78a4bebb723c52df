"""`fairmoe splits`: the rows of each part, and never a label of a test row."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest

from tasks.load import load_task
from tests.benchmarks.test_cli import fairmoe, fairmoe_here


def test_rows_are_those_of_the_task(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv.gz"
    done = fairmoe("splits", "--task", "scm", "--split", "1", "--labels", "--output", str(path))
    assert done.returncode == 0, done.stderr
    task = load_task("scm", split=1)
    found = pd.read_csv(path)
    for part in ("train", "validation", "test"):
        rows, held = getattr(task.split, part), found[found["part"] == part]
        assert held["row"].tolist() == task.rows[rows].tolist()
        assert held["group"].tolist() == [task.group_names[group] for group in task.groups[rows].tolist()]
        if part == "test":
            assert held["label"].isna().all()
        else:
            assert held["label"].tolist() == task.labels[rows].tolist()
    assert task.split.hash in done.stdout and "fairmoe score --task scm --protocol robust --split 1" in done.stdout
    assert max(map(len, done.stdout.replace(task.split.hash, "").replace(str(path), "").splitlines())) <= 80


def test_json_counts_what_it_lists() -> None:
    done = fairmoe_here("splits", "--task", "scm", "--part", "test", "--json")
    found = json.loads(done.stdout)
    assert set(found["counts"]) == {"test"} and "label" not in found["rows"][0]
    assert sum(cells["rows"] for cells in found["counts"]["test"].values()) == len(found["rows"]) == 1000
    assert all(cells["class 0"] + cells["class 1"] == cells["rows"] for cells in found["counts"]["test"].values())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--part", "test", "--labels"), "Labels of test rows are not given"),
        (("--part", "tests"), "There is no part 'tests'; parts are train, validation, test"),
        (("--protocol", "nifty", "--split", "1"), "nifty"),
    ],
)
def test_what_is_not_given_is_one_paragraph(options: tuple[str, ...], message: str) -> None:
    done = fairmoe_here("splits", "--task", "scm", *options)
    assert done.returncode == 2 and message in done.stderr and "Traceback" not in done.stderr
