"""A fitted model as a folder that others can use: weights, encoder, card, and what it is."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmarks.saving.error import ModelError
from benchmarks.saving.kinds import READERS
from benchmarks.saving.layout import CARD, ENCODER, EXPERT, FORMAT, MODEL
from benchmarks.saving.walk import needs_graph, needs_group
from experts.expert import Expert
from experts.saved import DESCRIPTION, read_facts
from foundation.files import atomic_path, write_json, write_text
from tasks.registry import attributes_named
from tasks.task import TaskView

LIBRARIES = ("fairmoe", "torch", "numpy", "pandas", "scikit-learn", "lightgbm", "catboost", "safetensors")


def save_model(expert: Expert, view: TaskView, folder: Path, *, method: str, origin: Mapping[str, Any]) -> None:
    """Write a model with all that raw rows need to become predictions; the folder is whole or absent.

    Parameters
    ----------
    expert : Expert
    view : TaskView
        The task that it was trained on.
    folder : Path
        A saved model that is there is replaced.
    method : str
        Name in tables.
    origin : mapping
        Where it comes from: suite, cell, split, variant, trial, seed, command.

    Raises
    ------
    ModelError
        If the folder holds something else, or the model has no safe format.
    """
    if folder.exists() and not (folder / MODEL).exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ModelError(f"{folder} exists and is no saved model; name another folder, or move what is there away.")
    with atomic_path(folder) as temporary:
        (temporary / EXPERT).mkdir(parents=True)
        expert.save(temporary / EXPERT)
        _check(temporary / EXPERT, method)
        write_text(temporary / ENCODER, view.encoder.to_json())
        write_text(temporary / CARD, view.card.model_dump_json(indent=2))
        write_json(temporary / MODEL, _facts(expert, view, method, origin))


def _facts(expert: Expert, view: TaskView, method: str, origin: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "format": FORMAT, "task": view.name, "task_hash": view.hash, "method": method,
        "positive": view.card.label.meaning, "negative": view.card.label.negative_meaning,
        "groups": list(view.group_names), "sensitive": list(attributes_named(view.name, view.card)),
        "use_sensitive": view.use_sensitive, "needs_group": needs_group(expert), "needs_graph": needs_graph(expert),
        "origin": dict(origin), "versions": _versions(),
    }  # fmt: skip


def _check(folder: Path, method: str) -> None:
    """Refuse what nobody could read again: an expert, or a part of one, of a kind that is not known."""
    for path in [folder / DESCRIPTION, *folder.rglob(f"*/{DESCRIPTION}")]:
        kind = read_facts(path).get("kind") if path.exists() else None
        if kind not in READERS:
            raise ModelError(
                f"The model of {method} cannot be saved: {path.relative_to(folder.parent)} is of the kind {kind!r}, "
                f"which no reader knows ({', '.join(READERS)}). Have its expert's save write one of these kinds, or "
                "fit it again where it is needed."
            )


def _versions() -> dict[str, str]:
    found = {}
    for name in LIBRARIES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue  # an optional package, or fairmoe run from its folder
    return found
