"""A card that cannot be used stops a run once, before any work."""

from __future__ import annotations

import io
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from rich.console import Console

from benchmarks.plan.shard import Shard, jobs_of_shard
from benchmarks.plan.suite import Suite
from benchmarks.run.failure import explain
from benchmarks.run.own_data import BadCardError, check_own_cards
from benchmarks.run.runner import run_suite
from foundation.hashing import hash_file
from tasks.registry import resolve
from tasks.stored.writing import Storing
from tests.tasks.toys import own_card, toml_of, toy_table

Change = Callable[[pd.DataFrame, str], tuple[str, str]]
"""Table and text of the card -> text of the file and of the card."""


def _card(old: str, new: str) -> Change:
    def change(table: pd.DataFrame, card: str) -> tuple[str, str]:
        assert old in card
        return table.to_csv(index=False), card.replace(old, new)

    return change


def _table(edit: Callable[[pd.DataFrame], pd.DataFrame]) -> Change:
    return lambda table, card: (edit(table).to_csv(index=False), card)


def _twice(table: pd.DataFrame) -> pd.DataFrame:
    return pd.concat([table, table[["job"]].iloc[::-1].reset_index(drop=True)], axis=1)


BAD: dict[str, tuple[Change, str]] = {
    "label column absent": (_table(lambda t: t.rename(columns={"y": "z"})), r"has no column 'y'. It has: "),
    "label constant": (_table(lambda t: t.assign(y=0)), r"All rows of 'toy' have label 0"),
    "label empty": (
        _table(lambda t: t.assign(y=t["y"].where(t.index > 3))),
        r"label column 'y' of 'toy' is empty in 4",
    ),
    "one group": (_table(lambda t: t.assign(sex="F")), r"in one group, 'female'"),
    "unknown value": (
        _table(lambda t: t.assign(race=t["race"].replace("b", "B"))),
        r"no cell of column 'race' holds 'b'",
    ),
    "name twice": (_table(_twice), r"2 columns with the name 'job'"),
    "rows": (_table(lambda t: t.iloc[:150]), r"have 150 rows, the card says 200"),
    "text in a number": (_table(lambda t: t.assign(hours="[many]")), r"declared numeric but holds '\[many\]'"),
    "one class in a part": (_table(lambda t: t.assign(y=[1, *[0] * (len(t) - 1)])), r"no row of class 1"),
}


@pytest.mark.parametrize("what", BAD)
def test_a_bad_card_stops_the_run_once(tmp_path: Path, what: str) -> None:
    text, card, task = _broken(tmp_path, what)
    own_card(tmp_path, text)
    card = (tmp_path / "card.toml").read_text() if "[read" not in card else card
    _refused(tmp_path, task, BAD[what][1])


IN_FILES = ("label column absent", "label constant", "one group", "unknown value", "rows", "one class in a part")
"""Cases that a Parquet file can have, whose numbers are numbers."""


@pytest.mark.parametrize("what", IN_FILES)
def test_a_bad_card_of_rows_in_files_stops_the_run_once(tmp_path: Path, what: str) -> None:
    text, card, task = _broken(tmp_path, what)
    _as_parquet(tmp_path, text, card)
    _refused(tmp_path, task, BAD[what][1], rows_in_files=True)


def test_rows_in_files_stay_there_when_a_card_is_tried(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing reads the whole table, and the job finds the encoded one: a limit of memory holds from the start."""
    own_card(tmp_path, toy_table(200).to_csv(index=False))
    _as_parquet(tmp_path, toy_table(200).to_csv(index=False), (tmp_path / "card.toml").read_text())
    monkeypatch.setattr("tasks.load.read_frame", None)
    told: list[str] = []
    suite = Suite(name="t", tasks=(f"{tmp_path / 'card.toml'}",), splits=2, methods=("constant",), rows_in_files=True)
    check_own_cards(suite, Shard(2, 2), lambda what, done, total: told.append(what))
    assert told.count("encoding") == 1
    (job,) = jobs_of_shard(suite, Shard(2, 2))
    assert Storing(job.task, job.protocol, job.split, job.suite_seed).is_stored(*resolve(job.task))
    check_own_cards(suite, Shard(2, 2), lambda what, done, total: told.append(what))
    assert told.count("encoding") == 1


def _broken(folder: Path, what: str) -> tuple[str, str, str]:
    """Text of the table and of the card of a case, and the task that asks for it."""
    own_card(folder, toy_table(200).to_csv(index=False))
    text, card = BAD[what][0](toy_table(200), (folder / "card.toml").read_text())
    return text, card, f"{folder / 'card.toml'}:{'race' if what == 'unknown value' else 'sex'}"


def _as_parquet(folder: Path, text: str, card: str) -> None:
    """The table of a CSV text as a Parquet file, and its card."""
    path = folder / "own.parquet"
    pd.read_csv(io.StringIO(text)).to_parquet(path, index=False)
    data = tomllib.loads(card) | {"read": {"format": "parquet"}}
    data["file"] = [{"name": path.name, "sha256": hash_file(path), "bytes": path.stat().st_size}]
    (folder / "card.toml").write_text(toml_of(data))


def test_another_file_and_no_file(tmp_path: Path) -> None:
    own_card(tmp_path, toy_table(200).to_csv(index=False))
    (tmp_path / "own.csv").write_text("forged [b]")
    _refused(tmp_path, str(tmp_path / "card.toml"), r"is not the file that the card describes")
    (tmp_path / "own.csv").unlink()
    _refused(tmp_path, str(tmp_path / "card.toml"), r"not on this machine and has no address")


def _refused(folder: Path, task: str, reason: str, **settings: Any) -> None:
    suite = Suite(name="t", tasks=("scm", task), splits=3, methods=("constant",), **settings)
    with pytest.raises(BadCardError, match=reason) as caught:
        run_suite(suite, folder / "out", workers=1, strict=False, console=Console(quiet=True))
    told = explain(caught.value)
    assert (
        told is not None and "\n" not in told and told.startswith(f"Nothing was run: the task {task} cannot be made.")
    )
    assert not (folder / "out").exists()
