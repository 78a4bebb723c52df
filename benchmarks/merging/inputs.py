"""An output folder that is to be merged: where it is, what it was to hold, what failed in it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.plan.recorded import FILE, RecordedJob, RunPlan, read_plan

NAMED = 6
"""Jobs or cells that a message names."""


class MergeError(ValueError):
    """Output folders that cannot be put together."""


@dataclass(frozen=True)
class Input:
    """One of the folders.

    Attributes
    ----------
    folder : Path
        As it was given.
    plan : RunPlan
    failures : tuple of dict
        Cells that its last run could not compute, as in ``suite.json``.
    """

    folder: Path
    plan: RunPlan
    failures: tuple[dict[str, Any], ...]

    def cell(self, job: RecordedJob, key: str) -> Path:
        """Where a cell lies if it is finished here."""
        return self.folder / "jobs" / job.folder / "cells" / key


def read_inputs(folders: Sequence[Path], output: Path) -> list[Input]:
    """The folders, in the order in which they are named; none may be another, or hold the output.

    Raises
    ------
    MergeError
        If a folder is named twice, holds the output or lies in it, is no output folder, or is one of an earlier
        version.
    """
    _check_places(folders, output)
    return [_read(folder) for folder in folders]


def _check_places(folders: Sequence[Path], output: Path) -> None:
    real = [folder.resolve() for folder in folders]
    for folder, place in zip(folders, real, strict=True):
        if real.count(place) > 1:
            raise MergeError(f"The folder {folder} is named twice (by whatever paths). Name each folder once.")
        if output.resolve().is_relative_to(place) or place.is_relative_to(output.resolve()):
            raise MergeError(
                f"The output {output} is {folder}, lies in it, or holds it. Give a folder of its own with --output: "
                "the folders that are merged stay as they are."
            )


def _read(folder: Path) -> Input:
    if not folder.is_dir():
        raise MergeError(f"There is no folder {folder}. Give the output folders of 'fairmoe bench', each once.")
    plan = read_plan(folder)
    if plan is None:
        raise MergeError(
            f"{folder} has no {FILE} that this version can read, so it is no output folder of 'fairmoe bench', it was "
            "not copied whole, or an earlier version wrote it: run its command again with this version; cells of the "
            "same code are kept."
        )
    facts = folder / "suite.json"
    try:
        told = json.loads(facts.read_text(encoding="utf-8")) if facts.is_file() else {}
    except ValueError as error:
        raise MergeError(f"{facts} is damaged ({error}). Copy the folder again, or run its command again.") from error
    return Input(folder, plan, tuple(told.get("failures", ())))
