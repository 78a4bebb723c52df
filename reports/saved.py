"""Models of a run that were saved, as pages name them: by the folder below the run's."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

FOLDER, FACTS = "models", "model.json"
"""Where saved models lie below a run's folder, and the file of each that says what it is."""


@dataclass(frozen=True)
class Saved:
    """A saved model: its folder below the run's, and the task and the method that it is of."""

    folder: str
    task: str
    method: str


def saved_models(run: Path) -> tuple[Saved, ...]:
    """Saved models below a run's folder, by their paths; one that does not say its task and method is left out."""
    found = []
    for path in sorted((run / FOLDER).glob(f"**/{FACTS}")):
        facts = json.loads(path.read_text(encoding="utf-8"))
        if isinstance(facts, dict) and isinstance(facts.get("task"), str) and isinstance(facts.get("method"), str):
            found.append(Saved(path.parent.relative_to(run).as_posix(), facts["task"], facts["method"]))
    return tuple(found)
