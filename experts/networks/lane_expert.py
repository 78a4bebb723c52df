"""What experts of one trained lane share: their contract, and the two files in which they are kept."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol, cast, get_args

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from experts.expert import Expert, Role
from experts.networks.lanes import LaneParameters
from foundation.files import atomic_path, write_json
from tasks.task import TaskView

WEIGHTS = "weights.safetensors"
DESCRIPTION = "expert.json"


class ExpertError(ValueError):
    """An expert that cannot be read, or does not fit a task."""


class LaneExpert(Expert, Protocol):
    """An expert of one lane, tabular or graph."""

    @property
    def parameters(self) -> LaneParameters:
        """One lane."""
        ...

    @property
    def feature_names(self) -> tuple[str, ...]:
        """The encoded features that it reads, in order."""
        ...

    @property
    def task_hash(self) -> str:
        """Hash of the task that it was trained on."""
        ...


def save_lane(expert: LaneExpert, folder: Path, **further: Any) -> None:
    """Write ``weights.safetensors`` and ``expert.json``, which also says ``further``, into an existing folder."""
    with atomic_path(folder / WEIGHTS) as path:
        save_file({"theta": expert.parameters.theta.detach().contiguous().clone()}, path)
    facts = {
        "family": expert.family, "role": expert.role, "explainer": expert.explainer,
        "hidden": expert.parameters.hidden, "feature_names": list(expert.feature_names), "task_hash": expert.task_hash,
    }  # fmt: skip
    write_json(folder / DESCRIPTION, facts | further)


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


def read_description(path: Path, families: Sequence[str], what: str, *, lanes: bool = True) -> dict[str, Any]:
    """What ``expert.json`` says; ``what`` names an expert of these families in the error.

    Experts that are no ``lanes`` have no hidden units to speak of.
    """
    facts = read_facts(path)
    if problem := _problem(facts, families, lanes):
        raise ExpertError(f"{path} does not describe {what}: {problem}.")
    return cast(dict[str, Any], facts)


def read_facts(path: Path) -> Any:
    """The JSON of an ``expert.json``, whatever its family."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ExpertError(f"There is no {path}; an expert is a folder with {DESCRIPTION} and {WEIGHTS}.") from None
    except ValueError as error:
        raise ExpertError(f"{path} is not JSON ({error}); train or fetch the expert again.") from error


def _problem(facts: Any, families: Sequence[str], lanes: bool) -> str:
    """What is wrong with a description; "" if nothing is."""
    if not isinstance(facts, dict):
        return "it is not an object"
    if facts.get("family") not in families:
        return f"its family is {facts.get('family')!r}"
    if facts.get("role") not in get_args(Role):
        return f"its role is {facts.get('role')!r}"
    units, names = facts.get("hidden"), facts.get("feature_names")
    if lanes and (not isinstance(units, int) or isinstance(units, bool) or units < 1):
        return f"hidden is {units!r}, not a positive integer"
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        return "feature_names is not a list of strings"
    return "" if isinstance(facts.get("task_hash"), str) else "task_hash is missing"


def read_theta(path: Path, shape: tuple[int, int]) -> Tensor:
    """Weights of one lane, checked against the shape that the description asks for."""
    try:
        tensors = load_file(path)
    except FileNotFoundError:
        raise ExpertError(f"There is no {path}; an expert is a folder with {DESCRIPTION} and {WEIGHTS}.") from None
    except (SafetensorError, OSError) as error:
        raise ExpertError(f"{path} is damaged ({error}); train or fetch the expert again.") from error
    if set(tensors) != {"theta"} or tensors["theta"].shape != shape or tensors["theta"].dtype != torch.float32:
        found = {name: (tuple(tensor.shape), str(tensor.dtype)) for name, tensor in tensors.items()}
        raise ExpertError(f"{path} holds {found}, but {DESCRIPTION} asks for theta {shape} of float32.")
    if not bool(tensors["theta"].isfinite().all()):
        raise ExpertError(f"{path} holds weights that are not finite; train the expert again.")
    return tensors["theta"]
