"""A cell of a finished run: where it lies, and which job it belongs to."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd

from benchmarks.cells.cell import IN_FILES, JOB
from benchmarks.cells.seen import Seen, read_seen
from benchmarks.methods.own_method import is_own
from benchmarks.methods.registry import method_id
from benchmarks.plan.job import Job, recorded_job
from benchmarks.run.rebuild.error import RebuildError
from reports.table import LOST, Tables, read_core
from tasks.registry import task_name

DEPTH = 4
"""How deep a cell lies in its run: ``jobs/JOB/cells/CELL``."""


@dataclass(frozen=True, eq=False)
class CellHandle:
    """A finished cell of seed 0.

    Attributes
    ----------
    run : Path
        Output folder of the run.
    folder : Path
        Of the cell: ``cell.json``, ``predictions.parquet``, ``seen.safetensors``, ``job.json``.
    method : str
        As in the tables.
    record : dict
        Content of ``job.json``.
    code_version : str
        With which the cell was computed.
    """

    run: Path
    folder: Path
    method: str
    record: dict[str, Any]
    code_version: str

    @cached_property
    def job(self) -> Job:
        """The job as it was planned, with its first repetition of training alone."""
        return replace(recorded_job(self.record), seeds=1)

    @property
    def home(self) -> Path:
        """Folder of the job, with its studies."""
        return self.folder.parent.parent

    @property
    def key(self) -> str:
        """Of the cell."""
        return self.folder.name

    @cached_property
    def facts(self) -> dict[str, Any]:
        """Content of ``cell.json``: identifying columns (``head``), parameters, cost, tables."""
        facts: dict[str, Any] = json.loads((self.folder / "cell.json").read_text(encoding="utf-8"))
        return facts

    @property
    def command(self) -> str:
        """The command that computes the cell again."""
        return str(self.facts["cost"]["reproduce"])

    def seen(self) -> Seen:
        """What the method says of the rows that choose; see :func:`benchmarks.cells.seen.read_seen`."""
        return read_seen(self.folder)

    def predictions(self) -> pd.DataFrame:
        """Stored predictions: row, part, probability, reasons."""
        return pd.read_parquet(self.folder / "predictions.parquet")


def open_cell(
    run: Path,
    task: str,
    split: int,
    method: str,
    *,
    use_sensitive: str | None = None,
    tables: Tables | None = None,
) -> CellHandle:
    """Find a finished cell of seed 0 from the run's own files.

    Parameters
    ----------
    run : Path
        Output folder of a bench run.
    task : str
        As in the tables, or the path of an own card.
    split : int
    method : str
        As in the tables, or path/to/file.py:function.
    use_sensitive : str, optional
        "keep" or "drop"; needed where the run has both.
    tables : Tables, optional
        Of the run, where they have been read already.

    Raises
    ------
    RebuildError
        If there is no such cell, it failed, its files are gone, or an earlier version has computed it.
    reports.table.ReportError
        If the folder is no output of a bench run.
    """
    tables = tables or read_core(run)
    name = method_id(method) if is_own(method) else method
    title = task_name(task) if ".toml" in task else task
    known = tables.provenance[tables.provenance["seed"] == 0]
    row = _the_one(known, {"task": title, "method": name, "split": split}, use_sensitive, tables.results, run)
    folders = list((run / "jobs").glob(f"*/cells/{row['cell']}"))
    if not folders:
        raise RebuildError(
            f"The cell {row['cell']} ({title}, {name}, split {split}) is in the tables of {run}, but its folder is not "
            f"under {run / 'jobs'}. Copy the whole output folder, or run the same bench command again."
        )
    record = _record(folders[0], f"{title}, {name}, split {split}", run)
    return CellHandle(run, folders[0], name, record, str(row["code_version"]))


def cell_at(folder: Path) -> CellHandle:
    """The cell that a folder is, ``RUN/jobs/JOB/cells/CELL``; the run's tables are not read.

    Raises
    ------
    RebuildError
        If it lies elsewhere, is of another seed than 0, cannot be read, or an earlier version has computed it.
    """
    given, folder = folder, folder.resolve()
    if len(folder.parents) < DEPTH or (folder.parents[0].name, folder.parents[2].name) != ("cells", "jobs"):
        raise RebuildError(
            f"{given} is a cell without its run: what its model is made from lies beside the cells of its job. Give it "
            f"where it was computed, RUN/jobs/JOB/cells/CELL, or copy the whole output folder."
        )
    run = folder.parents[DEPTH - 1]
    try:
        facts = json.loads((folder / "cell.json").read_text(encoding="utf-8"))
        head, version = facts["head"], str(facts["cost"]["code_version"])
        task, method, split, seed = (head[name] for name in ("task", "method", "split", "seed"))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise RebuildError(
            f"{given / 'cell.json'} cannot be read ({type(error).__name__}: {error}). Run the same bench command again."
        ) from error
    if seed != 0:
        raise RebuildError(
            f"{given} is of seed {seed}, and a run keeps what it takes to make models again of seed 0 alone. Give the "
            f"cell of {method} of seed 0; provenance.csv of {run} has its key."
        )
    return CellHandle(run, folder, str(method), _record(folder, f"{task}, {method}, split {split}", run), version)


def _record(folder: Path, what: str, run: Path) -> dict[str, Any]:
    """Content of ``job.json``."""
    path = folder / JOB
    if not path.is_file():
        if IN_FILES in json.loads((folder / "cell.json").read_text(encoding="utf-8"))["cost"].get("reproduce", ""):
            raise RebuildError(
                f"The cell {folder.name} ({what}) of {run} was computed with {IN_FILES}: its rows stayed in files, and "
                "of such a run no model is chosen or made again. Make a card of as many rows as memory holds, run the "
                f"bench command on it without {IN_FILES}, and choose from that run."
            )
        raise RebuildError(
            f"The cell {folder.name} ({what}) of {run} was computed by an earlier version, "
            "which did not keep what it takes to make its model again. Run the same bench command again with this "
            "version."
        )
    record: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return record


def _the_one(
    known: pd.DataFrame, wanted: dict[str, Any], use_sensitive: str | None, results: pd.DataFrame, run: Path
) -> pd.Series:
    """The row of "provenance" that is asked for."""
    _check_names(known, wanted, results, run)
    found = known[_equal(known, wanted)]
    if use_sensitive is not None:
        found = found[found["use_sensitive"] == use_sensitive]
    if len(found) > 1:
        raise RebuildError(
            f"{run} has {len(found)} cells of {_words(wanted)}: with the sensitive columns as features "
            f"and without them ({', '.join(sorted(found['use_sensitive']))}). Say which is meant by use_sensitive."
        )
    if found.empty:
        used = "" if use_sensitive is None else f", sensitive columns: {use_sensitive}"
        raise RebuildError(f"{run} has no finished cell of {_words(wanted)}{used}. Choose among those of its tables.")
    row: pd.Series = found.iloc[0]
    return row


def _check_names(known: pd.DataFrame, wanted: dict[str, Any], results: pd.DataFrame, run: Path) -> None:
    """Refuse what the run does not have, one name after the other, and cells that failed with their reason."""
    failed = results[_equal(results, wanted) & results["status"].isin(LOST) & (results["seed"] == 0)]
    if not failed.empty:
        raise RebuildError(
            f"The cell of {_words(wanted)} has no model: it failed in {run} ({failed.iloc[0]['reason']}). Mend what it "
            "says and run the same bench command again, or choose another method."
        )
    here = known
    for column, value in wanted.items():
        found = here[here[column] == value]
        if found.empty:
            have = ", ".join(map(str, dict.fromkeys(here[column]))) or "none"
            raise RebuildError(f"{run} has no finished {column} {value!r} here; it has {have}. Choose one of these.")
        here = found


def _equal(table: pd.DataFrame, wanted: dict[str, Any]) -> pd.Series:
    same: pd.Series = (table[list(wanted)] == pd.Series(wanted)).all(axis=1)
    return same


def _words(wanted: dict[str, Any]) -> str:
    return f"{wanted['task']}, {wanted['method']}, split {wanted['split']}"
