"""What it takes to go on after a kill as if there had been none: tensors and facts in pairs of whole files.

``tensors-STEP.safetensors`` is written first, ``step-STEP.json`` last; it holds the hash of the former, and only then
is the older pair removed. Whatever moment a process ends at, one pair is whole.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from foundation.files import atomic_path, write_json
from foundation.hashing import hash_file

FACTS = re.compile(r"step-(\d+)\.json")


def save(folder: Path, step: int, key: str, tensors: Mapping[str, Tensor], facts: Mapping[str, Any]) -> None:
    """Write the checkpoint of a step and remove older ones.

    Parameters
    ----------
    folder : Path
    step : int
    key : str
        What the run is known by: a checkpoint of another run is not read.
    tensors : mapping
    facts : mapping
        Plain JSON.
    """
    from safetensors.torch import save_file

    weights = folder / f"tensors-{step}.safetensors"
    with atomic_path(weights) as made:
        save_file({name: value.detach().cpu().contiguous().clone() for name, value in tensors.items()}, made)
    write_json(
        folder / f"step-{step}.json",
        {"key": key, "step": step, "sha256": hash_file(weights), "facts": dict(facts)},
    )
    for path in folder.iterdir():
        number = re.search(r"-(\d+)\.", path.name)
        if number and int(number[1]) != step:
            path.unlink()


def load(folder: Path, key: str) -> tuple[int, dict[str, Tensor], dict[str, Any]] | None:
    """Step, tensors and facts of the newest whole checkpoint of a run; None if there is none."""
    from safetensors.torch import load_file

    found = [(int(name[1]), path) for path in folder.glob("step-*.json") if (name := FACTS.fullmatch(path.name))]
    for step, path in sorted(found, reverse=True):
        try:
            written = json.loads(path.read_text(encoding="utf-8"))
        except ValueError:  # not written by this module, which writes files whole
            continue
        weights = folder / f"tensors-{step}.safetensors"
        if not isinstance(written, dict):
            continue
        if written.get("key") == key and weights.is_file() and hash_file(weights) == written.get("sha256"):
            return step, dict(load_file(weights)), written["facts"]
    return None
