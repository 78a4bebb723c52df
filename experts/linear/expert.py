"""An expert with a linear margin."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Self

import torch
from torch import Tensor

from experts.expert import Role
from experts.networks.piecewise_linear import PiecewiseLinear
from experts.networks.ple_mlp import read_encoding
from experts.saved import (
    DESCRIPTION,
    WEIGHTS,
    ExpertError,
    check_features,
    description_of,
    read_description,
    read_weights,
    write_weights,
)
from foundation.files import write_json
from tasks.task import TaskView


@dataclass(frozen=True)
class LinearExpert:
    """A margin that is linear in encoded features: a sum of parts by source column, which are its exact reasons.

    Attributes
    ----------
    role : {"utility", "result", "procedural"}
    encoding : PiecewiseLinear
        Without bins for a margin that is linear in the features as they are.
    weight : [e] float32
        Of the encoded features.
    bias : float
    feature_names : tuple of str
        The d features of the task, in order; not the encoded ones.
    task_hash : str
        Hash of the task that it was trained on.
    """

    role: str
    encoding: PiecewiseLinear
    weight: Tensor
    bias: float
    feature_names: tuple[str, ...]
    task_hash: str
    family: str = "linear"
    explainer: str = "integrated_gradients"

    @classmethod
    def of(cls, view: TaskView, role: Role, encoding: PiecewiseLinear, theta: Tensor) -> Self:
        """The expert of weights and bias ``theta`` [e+1] on encoded features of a view."""
        return cls(role, encoding, theta[:-1].float(), float(theta[-1]), view.feature_names, view.hash)

    @property
    def parameter_count(self) -> int:
        """Weights and bias."""
        return self.weight.numel() + 1

    def logits(self, task: TaskView, rows: Tensor, keep: Tensor | None = None) -> Tensor:
        """[r] margin of class 1; ``keep`` [r, columns] bool masks columns to unknown."""
        parts = self.attributions(task, rows)
        return (parts if keep is None else parts * keep).sum(1) + self.bias

    def attributions(self, task: TaskView, rows: Tensor) -> Tensor:
        """[r, columns] what each column adds to the margin; 0 for an unknown one: exact integrated gradients."""
        check_features(self.role, self.feature_names, task)
        parts = self.encoding.encode(task.features[rows]) * self.weight
        owner = task.column_of_feature[self.encoding.owner]
        return torch.zeros(len(rows), len(task.columns)).index_add_(1, owner, parts)

    def save(self, folder: Path) -> None:
        """Write ``weights.safetensors`` and ``expert.json``, which holds the bin edges, into an existing folder."""
        bias = torch.tensor(self.bias, dtype=torch.float64)
        write_weights(folder / WEIGHTS, {"weight": self.weight, "bias": bias})
        write_json(folder / DESCRIPTION, description_of(self, edges=self.encoding.edges))

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read what :meth:`save` wrote.

        Raises
        ------
        ExpertError
            If a file is missing, damaged, or the two files do not belong together; the text names the file.
        """
        path = folder / DESCRIPTION
        facts = read_description(path, ("linear",), "a linear expert")
        names = tuple(facts["feature_names"])
        encoding = read_encoding(facts.get("edges"), len(names), path)
        weight, bias = _read_weights(folder / WEIGHTS, len(encoding.owner))
        return cls(facts["role"], encoding, weight, bias, names, facts["task_hash"])


def _read_weights(path: Path, width: int) -> tuple[Tensor, float]:
    """Weights [width] and bias."""
    found = read_weights(path)
    shapes = {name: tuple(tensor.shape) for name, tensor in found.items()}
    if shapes != {"weight": (width,), "bias": ()} or not all(bool(t.isfinite().all()) for t in found.values()):
        raise ExpertError(f"{path} holds {shapes}, but {DESCRIPTION} asks for {width} finite weights and a bias.")
    return found["weight"].float(), float(found["bias"])
