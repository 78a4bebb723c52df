"""How a saved model was made; no times, so that the same model is packed into the same bytes on any day."""

from __future__ import annotations

from typing import Any

from artefacts.packing.reading import Facts


def provenance_of(model: Facts, card: Facts, promise: Facts) -> dict[str, Any]:
    """The manifest's ``provenance``.

    Parameters
    ----------
    model, card : mapping
        ``model.json`` and ``card.json``.
    promise : mapping
        ``promise.json``; empty where there is none.
    """
    origin, facts = model.get("origin", {}), promise.get("facts", {})
    split = origin.get("split", facts.get("split"))
    return {
        "task": model["task"], "task_hash": model.get("task_hash") or None, "data_hash": _data_hash(card),
        "protocol": facts.get("protocol"), "split": None if split is None else str(split),
        "seed": origin.get("seed"), "method": model["method"], "variant": origin.get("variant") or None,
        "params": origin.get("params") or {}, "command": origin.get("command"), "versions": model.get("versions", {}),
    }  # fmt: skip


def _data_hash(card: Facts) -> str | None:
    """sha256 of the published table, where it is one file."""
    found = [file["sha256"] for file in card.get("file", ()) if file.get("role", "table") == "table"]
    return found[0] if len(found) == 1 else None
