"""How a saved model was made; no times, so that the same model is packed into the same bytes on any day."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from artefacts.packing.adapters import FACTS, SCOPE, scope_of
from artefacts.packing.reading import Facts, experts_in, facts_in


def provenance_of(folder: Path, model: Facts, card: Facts, promise: Facts) -> dict[str, Any]:
    """The manifest's ``provenance``.

    Parameters
    ----------
    folder : Path
        Of the saved expert: experts of text say which template they read, their adapters which libraries wrote them.
    model, card : mapping
        ``model.json`` and ``card.json``.
    promise : mapping
        ``promise.json``; empty where there is none.
    """
    origin, facts = model.get("origin", {}), promise.get("facts", {})
    split, params = origin.get("split", facts.get("split")), {**(origin.get("params") or {}), **_scope(folder)}
    versions = [facts_in(path).get("libraries", {}) for path in sorted(folder.rglob(FACTS))] + [
        model.get("versions", {})
    ]
    return {
        "task": model["task"], "task_hash": model.get("task_hash") or None, "data_hash": _data_hash(card),
        "protocol": facts.get("protocol"), "split": None if split is None else str(split),
        "seed": origin.get("seed"), "method": model["method"], "variant": origin.get("variant") or None,
        "params": params, "command": origin.get("command"), "mlflow_run": origin.get("mlflow_run") or None,
        "learning_rate": params.get("lr"), "template": _template(folder),
        "versions": {name: told for found in versions for name, told in found.items()},
    }  # fmt: skip


def _scope(folder: Path) -> dict[str, str]:
    """What part of a text the adapters act on, where that is not the whole."""
    found = sorted({scope for path in folder.rglob(FACTS) if (scope := scope_of(facts_in(path)))})
    return {SCOPE: ", ".join(found)} if found else {}


def _template(folder: Path) -> str | None:
    """The template that rows are written by, where all experts of text have one."""
    found = {str(facts["template"]) for _, facts in experts_in(folder) if facts.get("template")}
    return found.pop() if len(found) == 1 else None


def _data_hash(card: Facts) -> str | None:
    """sha256 of the published table, where it is one file."""
    found = [file["sha256"] for file in card.get("file", ()) if file.get("role", "table") == "table"]
    return found[0] if len(found) == 1 else None
