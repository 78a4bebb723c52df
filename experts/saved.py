"""The two files of a saved expert, whatever its family: what they are called, what both say, and what may be wrong."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol, cast, get_args

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from experts.expert import Expert, Role
from foundation.files import atomic_path
from tasks.task import TaskView

WEIGHTS = "weights.safetensors"
DESCRIPTION = "expert.json"
KIND = "family"
"""What ``expert.json`` calls an expert of a family, beside bags, mixtures and the rest."""


class ExpertError(ValueError):
    """An expert that cannot be read, or does not fit a task."""


class SavedExpert(Expert, Protocol):
    """An expert that says which features it reads."""

    @property
    def feature_names(self) -> tuple[str, ...]:
        """The encoded features that it reads, in order."""
        ...

    @property
    def task_hash(self) -> str:
        """Hash of the task that it was trained on."""
        ...


def description_of(expert: SavedExpert, **further: Any) -> dict[str, Any]:
    """What ``expert.json`` says of an expert, ``further`` included."""
    return {
        "kind": KIND, "family": expert.family, "role": expert.role, "explainer": expert.explainer,
        "feature_names": list(expert.feature_names), "task_hash": expert.task_hash, **further,
    }  # fmt: skip


def check_features(role: str, names: tuple[str, ...], task: TaskView) -> None:
    """Raise :class:`ExpertError` when a task has other features than an expert reads."""
    if task.feature_names == names:
        return
    missing = [name for name in names if name not in task.feature_names]
    extra = [name for name in task.feature_names if name not in names]
    raise ExpertError(
        f"This {role} expert reads other features than task {task.name} has: missing {missing[:5]}, "
        f"not known to the expert {extra[:5]}{'' if missing or extra else ', same names in another order'}. "
        "Use the encoder and the use_sensitive setting that it was trained with."
    )


def read_description(path: Path, families: Sequence[str], what: str) -> dict[str, Any]:
    """What ``expert.json`` says; ``what`` names an expert of these families in the error."""
    facts = read_facts(path)
    if problem := _problem(facts, families):
        raise ExpertError(f"{path} does not describe {what}: {problem}.")
    return cast(dict[str, Any], facts)


def part_of(folder: Path, name: Any) -> Path:
    """A sub-folder that a description names.

    Raises
    ------
    ExpertError
        If the name could lead out of the folder: descriptions may come from strangers.
    """
    if not isinstance(name, str) or not re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9_.-]*", name):
        raise ExpertError(
            f"{folder / DESCRIPTION} names a part {name!r}; a part is a folder beside it, named by letters, digits and "
            "_ . - alone. Do not use this folder."
        )
    return folder / name


def read_facts(path: Path) -> Any:
    """The JSON of an ``expert.json``, whatever its family."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise _absent(path) from None
    except ValueError as error:
        raise ExpertError(f"{path} is not JSON ({error}); train or fetch the expert again.") from error


def _problem(facts: Any, families: Sequence[str]) -> str:
    """What is wrong with a description; "" if nothing is."""
    if not isinstance(facts, dict):
        return "it is not an object"
    if facts.get("family") not in families:
        return f"its family is {facts.get('family')!r}"
    if facts.get("role") not in get_args(Role):
        return f"its role is {facts.get('role')!r}"
    names = facts.get("feature_names")
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        return "feature_names is not a list of strings"
    return "" if isinstance(facts.get("task_hash"), str) else "task_hash is missing"


def write_weights(path: Path, tensors: Mapping[str, Tensor]) -> None:
    """Write tensors as safetensors, each in memory of its own."""
    with atomic_path(path) as temporary:
        save_file({name: part.detach().contiguous().clone() for name, part in tensors.items()}, temporary)


def read_weights(path: Path) -> dict[str, Tensor]:
    """The tensors of a ``weights.safetensors``, by name."""
    try:
        return load_file(path)
    except FileNotFoundError:
        raise _absent(path) from None
    except (SafetensorError, OSError) as error:
        raise ExpertError(f"{path} is damaged ({error}); train or fetch the expert again.") from error


def finite_parts(parts: Mapping[str, Tensor]) -> tuple[dict[str, Tensor], dict[str, dict[str, str]]]:
    """Tensors whose numbers are all finite, and what stood in the others' places.

    A packed file of weights holds no NaN and no infinity, which would hide damage; what means "not known" or "never"
    is told in words beside it.

    Returns
    -------
    dict of str to Tensor
        0 where a number was not finite.
    dict of str to dict
        By name: flat position to ``nan``, ``inf`` or ``-inf``; empty where all are finite.
    """
    told: dict[str, dict[str, str]] = {}
    for name, part in parts.items():
        places = torch.nonzero(~torch.isfinite(part).flatten())[:, 0].tolist()
        if places:
            told[name] = {str(place): str(part.flatten()[place].item()) for place in places}
    return {name: torch.where(torch.isfinite(part), part, 0) for name, part in parts.items()}, told


def with_others(parts: Mapping[str, Tensor], told: Mapping[str, Mapping[str, str]]) -> dict[str, Tensor]:
    """The inverse of :func:`finite_parts`."""
    found = dict(parts)
    for name, places in told.items():
        flat = parts[name].flatten().clone()
        for place, word in places.items():
            flat[int(place)] = float(word)
        found[name] = flat.reshape(parts[name].shape)
    return found


def _absent(path: Path) -> ExpertError:
    return ExpertError(f"There is no {path}; an expert is a folder with {DESCRIPTION} and {WEIGHTS}.")
