"""What lies in the folder of a trained language expert."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.saving.error import ModelError
from foundation.hashing import hash_json

FACTS, HISTORY, ADAPTER = "expert.json", "history.csv", "adapter"


@dataclass(frozen=True)
class Made:
    """A finished expert, as its folder tells of it.

    Attributes
    ----------
    folder : Path
    facts : mapping
        ``expert.json``.
    history : list of dict
        A row per evaluation: column to number; what was undefined is left out.
    """

    folder: Path
    facts: Mapping[str, Any]
    history: list[dict[str, float]]

    @property
    def name(self) -> str:
        """The expert's name."""
        return str(self.facts["name"])

    @property
    def identity(self) -> str:
        """sha256 of all that its folder says."""
        return hash_json({"facts": dict(self.facts), "history": self.history})

    @property
    def data_sha256(self) -> str:
        """sha256 of its training items."""
        return str(self.facts["data"]["train"])

    @property
    def params(self) -> dict[str, Any]:
        """Settings by name; those of tables are ``table.name``."""
        found: dict[str, Any] = {}
        for name, value in self.facts["settings"].items():
            if isinstance(value, Mapping):
                found.update({f"{name}.{key}": item for key, item in value.items()})
            else:
                found[name] = value
        return found


def finished_experts(folder: Path) -> Iterator[Path]:
    """Folders of finished experts at or below a folder, in a stable order."""
    for path in sorted({*folder.glob(FACTS), *folder.glob(f"*/{FACTS}"), *folder.glob(f"*/*/{FACTS}")}):
        if (path.parent / HISTORY).is_file() and (path.parent / ADAPTER).is_dir():
            yield path.parent


def read_made(folder: Path) -> Made:
    """A finished expert.

    Raises
    ------
    ModelError
        If the folder is none, or was changed.
    """
    try:
        facts = json.loads((folder / FACTS).read_text(encoding="utf-8"))
        with (folder / HISTORY).open(encoding="utf-8", newline="") as stream:
            rows = [{name: float(value) for name, value in row.items() if value} for row in csv.DictReader(stream)]
    except (OSError, ValueError) as error:
        raise ModelError(
            f"{folder} is no folder of a trained expert ({error}); 'fairmoe llm train --data' writes one."
        ) from error
    return Made(folder, facts, rows)
