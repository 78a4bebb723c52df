"""Experts that were trained on items: an adapter, and beside it what it was trained with."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

from artefacts.format.error import PackageError
from artefacts.packing.adapter_folder import adapter_folder
from artefacts.packing.adapters import CONFIG
from artefacts.packing.reading import DESCRIPTION, Facts, facts_in
from artefacts.packing.source import Source
from artefacts.packing.told import name_of

ADAPTER = "adapter"
NOT_PARAMS = ("method", "seed", "epochs")
"""Settings that the manifest has fields for."""


def is_trained(folder: Path) -> bool:
    """Whether a folder is one that 'fairmoe llm train --data' or '--family' writes.

    Experts on rows of tables have the same two parts, and say nothing of settings.
    """
    if not ((folder / ADAPTER / CONFIG).is_file() and (folder / DESCRIPTION).is_file()):
        return False
    return "settings" in facts_in(folder / DESCRIPTION)


def trained_folder(folder: Path) -> Source:
    """The adapter of a trained expert, with its training in the manifest; checkpoints, log and history stay.

    Raises
    ------
    PackageError
        As :func:`artefacts.packing.adapter_folder.adapter_folder`; ``no-model`` where ``expert.json`` lacks what all
        have.
    """
    source, told = adapter_folder(folder / ADAPTER), facts_in(folder / DESCRIPTION)
    try:
        facts = _facts(told, source.facts)
    except (KeyError, TypeError, AttributeError) as error:
        raise PackageError(
            "no-model",
            f"{folder / DESCRIPTION} is not as fairmoe writes it ({type(error).__name__}: {error}); train the expert "
            "again, or copy its folder again.",
        ) from error
    return dataclasses.replace(source, facts=facts)


def _facts(told: Facts, found: Facts) -> dict[str, Any]:
    settings = told["settings"]
    (adapter,) = found["adapters"]
    longest = told.get("longest_answer")
    answers = {"decoding": {"max_new_tokens": longest, "temperature": 0.0}} if longest else {}
    return {
        **found, **answers, "name": name_of(told["name"]),
        "description": f"An adapter ({adapter['type']}) of {found['base']['name']}, trained by {told['method']} on "
        f"{told['items']['train']} items.",
        "provenance": {
            "method": told["method"], "data_hash": told["data"]["train"], "seed": settings["seed"],
            "epochs": float(settings["epochs"]), "learning_rate": settings["lr"],
            "template": settings["style"], "versions": dict(told["libraries"]),
            "params": {
                **{name: value for name, value in settings.items() if name not in NOT_PARAMS and value is not None},
                "validation": {"data_hash": told["data"]["validation"], "items": told["items"]["validation"],
                               "score": told["score"], "score_before": told["score_before"]},
                "items": told["items"]["train"], "best_step": told["best_step"], "steps": told["steps"],
            },
        },
    }  # fmt: skip
