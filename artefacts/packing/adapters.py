"""Adapters of language models among the files of a package, and the base that they stand on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from artefacts.format.error import PackageError
from artefacts.packing.reading import Facts, experts_in, facts_in, optional
from foundation.hashing import hash_file

CONFIG, WEIGHTS, FACTS = "adapter_config.json", "adapter_model.safetensors", "fairmoe.json"


def adapters_of(folder: Path) -> list[dict[str, Any]]:
    """The manifest's ``adapters``: every adapter in PEFT's format at or below a folder."""
    return [_adapter(path.parent, folder) for path in sorted(folder.rglob(CONFIG))]


def base_of(folder: Path) -> dict[str, Any] | None:
    """The manifest's ``base``: what experts of text, or an adapter's ``fairmoe.json``, say they stand on.

    Raises
    ------
    PackageError
        ``wrong-base``: parts of it stand on several.
    """
    told = [facts["base"] for _, facts in experts_in(folder) if isinstance(facts.get("base"), dict)]
    told += [facts_in(path)["base"] for path in sorted(folder.rglob(FACTS))]
    hashes = {base["hash"] for base in told}
    if len(hashes) > 1:
        raise PackageError("wrong-base", f"{folder} stands on {len(hashes)} bases; all adapters of a package have one.")
    return _base(told[0]) if told else None


def _base(told: Facts) -> dict[str, Any]:
    further = {key: told[key] for key in ("revision", "rope_scaling") if told.get(key)}
    return {
        "name": told["id"], "sha256": told["hash"], "dtype": told.get("dtype"),
        "quantisation": told.get("quantisation"), **further,
    }  # fmt: skip


def _adapter(place: Path, folder: Path) -> dict[str, Any]:
    config, weights = facts_in(place / CONFIG), place / WEIGHTS
    if not weights.is_file():
        raise PackageError("file-missing", f"{place} has no {WEIGHTS}; weights in other formats have no place here.")
    kind = optional(place / FACTS).get("kind") or config.get("peft_type") or "unknown"
    modules = config.get("target_modules")
    return {
        "type": str(kind).lower(),
        "target_modules": sorted(modules) if isinstance(modules, list) else [modules] if modules else [],
        "rank": config.get("r", config.get("rank")), "alpha": config.get("lora_alpha"),
        "dropout": config.get("lora_dropout"),
        "scaling": "alpha / sqrt(rank)" if config.get("use_rslora") else "alpha / rank" if "r" in config else None,
        "path": weights.relative_to(folder).as_posix(), "bytes": weights.stat().st_size, "sha256": hash_file(weights),
    }  # fmt: skip
