"""A packed adapter in forms that need its base: melted into it, or as a plain LoRA, for programs other than PEFT."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from artefacts.format.manifest import Manifest
from artefacts.packing.export import export
from benchmarks.models.error import ModelError
from foundation.files import atomic_path
from llm_experts.bases.error import BaseError

if TYPE_CHECKING:
    from llm_experts.bases.base import Base


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
        If the package has not one adapter, or the folder exists.
    AdapterError, BaseError
        If its kind does not change weights, or the base is another one, keeps codes, or cannot be read.
    """
    from llm_experts.adapters.composition import melt
    from llm_experts.adapters.store import load_adapter

    _check_new(folder)
    loaded = _base(manifest, base)
    with _unpacked(manifest, read) as place:
        merged: Any = melt(load_adapter(loaded, place))
    with atomic_path(folder) as temporary:
        merged.save_pretrained(temporary, safe_serialization=True)
        loaded.tokenizer.save_pretrained(temporary)


def write_lora(manifest: Manifest, read: Callable[[str], bytes], folder: Path, base: str | None = None) -> int:
    """Write one adapter, of whatever kind that changes weights, as a plain LoRA that changes them alike.

    Parameters
    ----------
    manifest, read, folder, base
        As :func:`merge` takes them.

    Returns
    -------
    int
        Its rank: see :func:`llm_experts.adapters.composition.as_lora`.

    Raises
    ------
    ModelError, AdapterError, BaseError
        As :func:`merge`; also if the kind cannot be said as a LoRA.
    """
    from llm_experts.adapters.composition import as_lora
    from llm_experts.adapters.store import check_base, read_adapter, save_adapter

    _check_new(folder)
    loaded = _base(manifest, base)
    with _unpacked(manifest, read) as place:
        saved = read_adapter(place)
        check_base(saved, loaded, place)
    model: Any = loaded.model
    made = as_lora(saved.config, saved.state, model.get_decoder().layers)
    config: Any = made.config
    save_adapter(folder, loaded, config, made.state, {**saved.facts, "written as a LoRA": saved.kind})
    return int(config.r)


def _base(manifest: Manifest, base: str | None) -> Base:
    from llm_experts.bases.load import load_base

    if len(manifest.adapters) != 1 or manifest.base is None:
        raise ModelError(f"{manifest.name} has {len(manifest.adapters)} adapters; only one adapter can be written so.")
    try:
        return load_base(base or manifest.base.name, dtype=manifest.base.dtype or "auto")
    except BaseError as error:
        raise error if base else BaseError(f"{error} Where it lies elsewhere, name its folder with --base.") from error


def _check_new(folder: Path) -> None:
    if folder.exists() or folder.is_symlink():
        raise ModelError(f"{folder} exists already; give a folder that does not.")


@contextmanager
def _unpacked(manifest: Manifest, read: Callable[[str], bytes]) -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="fairmoe-adapter-") as name:
        place = Path(name) / "adapter"
        export(manifest, read, "peft", place)
        yield place
