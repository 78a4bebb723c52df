"""What decides a discovery's numbers beside its settings: the base, as it is held, and files that settings name."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from benchmarks.discovering.settings import DiscoverySettings
from foundation.hashing import hash_file


def identity_of(settings: DiscoverySettings, named: str) -> dict[str, Any]:
    """The base's id and hash, and how it is held; nothing is loaded.

    Parameters
    ----------
    settings : DiscoverySettings
    named : str
        The base with its revision.
    """
    from benchmarks.run.stages.text import device_of
    from llm_experts.bases.load import base_hash

    return {
        "id": named, "hash": base_hash(named), "dtype": settings.dtype, "quantisation": settings.quantisation,
        "device": device_of(settings.device),
    }  # fmt: skip


def files_of(settings: DiscoverySettings) -> dict[str, str]:
    """Hashes of files, by the setting that names them: the same name may lead to something else tomorrow."""
    path = settings.gates
    return {} if path is None else {"gates": hash_file(Path(path))}
