"""An expert of one trained lane: a network with one hidden layer."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast, get_args

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from experts.expert import Role
from experts.networks.integrated_gradients import by_column, column_indicator, lane_attributions
from experts.networks.lanes import LaneParameters, hidden, margins, row_chunks, with_ones
from foundation.files import atomic_path, write_json
from tasks.task import TaskView

if TYPE_CHECKING:
    from experts.graph.expert import GraphExpert

WEIGHTS = "weights.safetensors"
DESCRIPTION = "expert.json"


class ExpertError(ValueError):
    """An expert that cannot be read, or does not fit a task."""


@dataclass(frozen=True)
class MLPExpert:
    """One network d–h–1 and the features it reads.

    Attributes
    ----------
    role : {"utility", "result", "procedural"}
    parameters : LaneParameters
        One lane.
    feature_names : tuple of str
        The d encoded features, in order.
    task_hash : str
        Hash of the task that it was trained on.
    """

    role: str
    parameters: LaneParameters
    feature_names: tuple[str, ...]
    task_hash: str
    family: str = "mlp"
    explainer: str = "integrated_gradients"

    @classmethod
    def of_lane(cls, view: TaskView, role: Role, parameters: LaneParameters, lane: int = 0) -> MLPExpert:
        """The expert of one lane that was trained on a view."""
        return cls(role, parameters.select([lane]), view.feature_names, view.hash)

    def logits(self, task: TaskView, rows: Tensor, keep: Tensor | None = None) -> Tensor:
        """[r] margin of class 1; ``keep`` [r, columns] bool masks columns to unknown."""
        check_features(self.role, self.feature_names, task)
        chunks = row_chunks(len(rows), max(self.parameters.hidden, self.parameters.n_features))
        parts = [self._logits(task, rows[c], None if keep is None else keep[c]) for c in chunks]
        return torch.cat(parts) if parts else torch.zeros(0)

    def _logits(self, task: TaskView, rows: Tensor, keep: Tensor | None) -> Tensor:
        features = task.features[rows]
        if keep is not None:
            features = features * keep[:, task.column_of_feature]
        return margins(self.parameters, features)[0]

    def attributions(self, task: TaskView, rows: Tensor) -> Tensor:
        """[r, columns] exact integrated gradients of the margin; Σ over columns = margin − margin of all unknown."""
        check_features(self.role, self.feature_names, task)
        indicator = column_indicator(task.column_of_feature, len(task.columns))
        chunks = row_chunks(len(rows), max(self.parameters.hidden, self.parameters.n_features))
        parts = [by_column(lane_attributions(self.parameters, task.features[rows[c]])[0], indicator) for c in chunks]
        return torch.cat(parts) if parts else torch.zeros(0, len(task.columns))

    def hidden(self, task: TaskView, rows: Tensor) -> Tensor:
        """[r, h] hidden pre-activations."""
        check_features(self.role, self.feature_names, task)
        return hidden(self.parameters.split()[0], with_ones(task.features[rows]))[0].T

    def save(self, folder: Path) -> None:
        """Write ``weights.safetensors`` and ``expert.json`` into an existing folder."""
        save_lane(self, folder)

    @classmethod
    def load(cls, folder: Path) -> MLPExpert:
        """Read what :meth:`save` wrote.

        Raises
        ------
        ExpertError
            If a file is missing, damaged, or the two files do not belong together; the text names the file.
        """
        facts = read_description(folder / DESCRIPTION, ("mlp",), "an MLP expert")
        names = tuple(facts["feature_names"])
        theta = read_theta(folder / WEIGHTS, (1, facts["hidden"] * (len(names) + 2) + 1))
        parameters = LaneParameters(theta, len(names), facts["hidden"])
        return cls(facts["role"], parameters, names, facts["task_hash"])


def save_lane(expert: MLPExpert | GraphExpert, folder: Path, **further: Any) -> None:
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


def read_description(path: Path, families: Sequence[str], what: str) -> dict[str, Any]:
    """What ``expert.json`` says; ``what`` names an expert of these families in the error."""
    try:
        facts = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ExpertError(f"There is no {path}; an expert is a folder with {DESCRIPTION} and {WEIGHTS}.") from None
    except ValueError as error:
        raise ExpertError(f"{path} is not JSON ({error}); train or fetch the expert again.") from error
    if problem := _problem(facts, families):
        raise ExpertError(f"{path} does not describe {what}: {problem}.")
    return cast(dict[str, Any], facts)


def _problem(facts: Any, families: Sequence[str]) -> str:
    """What is wrong with a description; "" if nothing is."""
    if not isinstance(facts, dict):
        return "it is not an object"
    if facts.get("family") not in families:
        return f"its family is {facts.get('family')!r}"
    if facts.get("role") not in get_args(Role):
        return f"its role is {facts.get('role')!r}"
    units, names = facts.get("hidden"), facts.get("feature_names")
    if not isinstance(units, int) or isinstance(units, bool) or units < 1:
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
