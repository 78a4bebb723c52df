"""Mixtures of language experts: one adapter that is the mixture, the experts that it is made of, and its weights."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from artefacts.format.error import PackageError
from artefacts.packing.adapters import CONFIG, FACTS, WEIGHTS, adapters_of, base_of
from artefacts.packing.reading import Facts, facts_in
from artefacts.packing.source import Source, files_of
from artefacts.packing.told import name_of

MIXTURE, EXPERTS = "mixture.json", "experts"
PARTS = (CONFIG, WEIGHTS, FACTS)


def is_mixture(folder: Path) -> bool:
    """Whether a folder is one that 'fairmoe discover' hands on: ``mixture.json`` beside an adapter."""
    return (folder / MIXTURE).is_file() and (folder / CONFIG).is_file()


def mixture_folder(folder: Path) -> Source:
    """The mixture's own adapter, ``experts/NAME`` of each expert, ``mixture.json`` and the card.

    Raises
    ------
    PackageError
        ``file-missing``, ``json-...``, ``link-symbolic``; ``wrong-base``: parts stand on several bases; ``kind``: no
        kind of adapter that fairmoe can run; ``no-model``: ``mixture.json`` is not as fairmoe writes it.
    """
    told = facts_in(folder / MIXTURE)
    try:
        experts = [str(name) for name in told["experts"]]
        files = _files(folder, experts)
        facts = _facts(folder, told)
    except (KeyError, TypeError, AttributeError) as error:
        raise PackageError(
            "no-model",
            f"{folder / MIXTURE} is not as fairmoe writes it ({type(error).__name__}: {error}); run 'fairmoe discover' "
            "on its folder again, or copy it again.",
        ) from error
    return Source(files, facts)


def _files(folder: Path, experts: list[str]) -> dict[str, Path]:
    names = [MIXTURE, *PARTS, *(f"{EXPERTS}/{name}/{part}" for name in experts for part in PARTS)]
    files = files_of(folder, names)
    for path in files.values():
        if not path.is_file():
            raise PackageError("file-missing", f"There is no {path}; run 'fairmoe discover' on its folder again.")
    return files


def _facts(folder: Path, told: Facts) -> dict[str, Any]:
    base = base_of(folder)
    assert base is not None  # the adapter's own facts name one, or reading them failed
    count = len(told["experts"])
    return {
        "name": name_of("discovered", str(base["name"])),
        "description": f"A mixture of {count} discovered {'expert' if count == 1 else 'experts'} of {base['name']}.",
        "licence": "not told", "kind": "mixture", "base": base, "adapters": adapters_of(folder),
        "provenance": {
            "method": "discover", "seed": told["seed"], "params": {
                "experts": dict(zip(told["experts"], told["optimal_mixture"], strict=True)),
                "settings": told["settings_hash"],
            },
        },
        **_measured(told["figures"], told["scenarios"]),
        **({"decoding": told["decoding"]} if told.get("decoding") else {}),
    }  # fmt: skip


def _measured(figures: Mapping[str, Any], scenarios: int) -> dict[str, Any]:
    """What the final examination measured, in the field that packages have for measurements on test items."""
    metrics = {
        name: {side: found.get(side) for side in ("estimate", "low", "high")}
        for name, found in figures.items()
        if found.get("estimate") is not None
    }
    note = "Measured on scenarios that no step of the discovery saw before; intervals are of 95 %."
    return {"fairness": {"suite": "discovery", "rows": scenarios, "metrics": metrics, "note": note}} if metrics else {}
