"""A packed adapter melted into its base: a language model that needs neither PEFT nor us."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from artefacts.format.manifest import Manifest
from artefacts.packing.export import export
from benchmarks.models.error import ModelError
from foundation.files import atomic_path


def merge(manifest: Manifest, read: Callable[[str], bytes], folder: Path, base: str | None = None) -> None:
    """Write the base with one adapter added to its weights, as ``transformers`` reads it (safetensors).

    Parameters
    ----------
    manifest, read
        As :func:`artefacts.packing.export.export`.
    folder : Path
        New; whole or absent.
    base : str, optional
        Folder or name of the base; default: the name in the manifest. Its hash must be that of the manifest.

    Raises
    ------
    ModelError
        If the package has not one adapter, its kind does not change weights, or the folder exists.
    AdapterError, BaseError
        If the base is another one, or cannot be read.
    """
    from llm_experts.adapters.store import load_adapter
    from llm_experts.bases.load import load_base

    if len(manifest.adapters) != 1 or manifest.base is None:
        raise ModelError(
            f"{manifest.name} has {len(manifest.adapters)} adapters; only one adapter can become one with its base."
        )
    if folder.exists():
        raise ModelError(f"{folder} exists already; give a folder that does not.")
    loaded = load_base(base or manifest.base.name, dtype=manifest.base.dtype or "auto")
    with tempfile.TemporaryDirectory(prefix="fairmoe-merge-") as name:
        place = Path(name) / "adapter"
        export(manifest, read, "peft", place)
        model: Any = load_adapter(loaded, place)
    if not hasattr(model.base_model, "merge_and_unload"):
        raise ModelError(
            f"An adapter of the kind {manifest.adapters[0].type} adds words or states, not weights, so it cannot "
            "become one with its base; export it as peft."
        )
    merged = model.merge_and_unload()
    with atomic_path(folder) as temporary:
        merged.save_pretrained(temporary, safe_serialization=True)
        loaded.tokenizer.save_pretrained(temporary)
