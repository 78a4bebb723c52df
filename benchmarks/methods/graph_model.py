"""A fitted model of all nodes of a graph as an expert.

Everything that stays the same while a model is trained is computed once. A first graph layer is linear in the
features, Â(XW) = (ÂX)W, so that ÂX of fixed features is a table and training touches only the labelled rows of it;
what is unknown in a column is unknown in the same column of ÂX, so that masked predictions need no propagation.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from foundation.files import atomic_path, write_json
from tasks.task import TaskView

WEIGHTS = "weights.safetensors"
DESCRIPTION = "expert.json"
PATTERNS = 128
"""Most masks whose predictions of all nodes are kept in memory."""

Propagate = Callable[[Tensor], Tensor]
Margins = Callable[[Tensor], Tensor]


class GraphError(ValueError):
    """A task without a graph, or a graph model that is asked about another graph."""


def _identity(features: Tensor) -> Tensor:
    return features


@dataclass
class _Memory:
    """What was computed for the last features tensor that was asked about."""

    features: Tensor | None = None
    propagated: Tensor | None = None
    margins: dict[bytes, Tensor] = field(default_factory=dict)


@dataclass(frozen=True)
class GraphModel:
    """A fitted node model as an expert.

    A column that is unknown is unknown (0) in the whole graph, also at the neighbours. Rows that share a mask share
    one evaluation of the graph.

    Attributes
    ----------
    module : nn.Module
        Holds the weights of prediction, and nothing that only training needs.
    margins : callable
        Propagated features [n, d] of all nodes → margins [n]; deterministic. ``module`` is in evaluation mode.
    family : str
    seed : int
    task_hash : str
    feature_names : tuple of str
    settings : mapping
        Hyperparameters.
    propagate : callable
        Features [n, d] → what ``margins`` reads [n, d]; linear, and each column by itself (such as Â), so that masks
        can be put on after it. The identity for models that propagate what is not fixed.
    """

    module: nn.Module
    margins: Margins
    family: str
    seed: int
    task_hash: str
    feature_names: tuple[str, ...]
    settings: Mapping[str, Any] = field(default_factory=dict)
    propagate: Propagate = _identity
    role: str = "baseline"
    explainer: str = "occlusion"
    _memory: _Memory = field(default_factory=_Memory, repr=False, compare=False)

    @classmethod
    def of_view(
        cls,
        view: TaskView,
        module: nn.Module,
        margins: Margins,
        *,
        family: str,
        seed: int,
        settings: Mapping[str, Any],
        propagate: Propagate = _identity,
    ) -> GraphModel:
        """The expert of a model that was fitted on a view."""
        module.eval().requires_grad_(False)
        return cls(module, margins, family, seed, view.hash, view.feature_names, dict(settings), propagate)

    @property
    def parameter_count(self) -> int:
        """Number of weights of prediction."""
        return sum(parameter.numel() for parameter in self.module.parameters())

    def logits(self, task: TaskView, rows: Tensor, keep: Tensor | None = None) -> Tensor:
        """[r] margin of class 1; ``keep`` [r, columns] bool: columns unknown in the whole graph, row by row."""
        if keep is None or not len(rows):
            return self._of_mask(task, torch.ones(len(task.columns), dtype=torch.bool))[rows]
        masks, which = torch.unique(keep, dim=0, return_inverse=True)
        margins = torch.empty(len(rows))
        for number, mask in enumerate(masks):
            mine = which == number
            margins[mine] = self._of_mask(task, mask)[rows[mine]]
        return margins

    def attributions(self, task: TaskView, rows: Tensor) -> Tensor:
        """[r, columns] what the margin loses when a column is unknown in the whole graph."""
        columns = len(task.columns)
        whole = self.logits(task, rows)
        masks = ~torch.eye(columns, dtype=torch.bool)
        return torch.stack([whole - self._of_mask(task, mask)[rows] for mask in masks], dim=1)

    def _of_mask(self, task: TaskView, mask: Tensor) -> Tensor:
        """[n] margins of all nodes with the columns of ``mask`` [columns] known; kept until other features come."""
        memory = self._remembered(task)
        key = mask.numpy().tobytes()
        if key not in memory.margins:
            if len(memory.margins) >= PATTERNS:
                memory.margins.clear()
            assert memory.propagated is not None
            known = memory.propagated if bool(mask.all()) else memory.propagated * mask[task.column_of_feature]
            with torch.no_grad():
                memory.margins[key] = self.margins(known).detach().float()
        return memory.margins[key]

    def _remembered(self, task: TaskView) -> _Memory:
        memory = self._memory
        if memory.features is not task.features:
            self._check(task)
            with torch.no_grad():
                memory.propagated = self.propagate(task.features)
            memory.features = task.features
            memory.margins.clear()
        return memory

    def _check(self, task: TaskView) -> None:
        if task.hash != self.task_hash or task.feature_names != self.feature_names:
            raise GraphError(
                f"This {self.family} model was fitted on the graph of one task and is asked about task {task.name} "
                "with another graph, split or encoding; a model of all nodes of a graph answers for that graph alone. "
                "Fit it again on this task."
            )

    def save(self, folder: Path) -> None:
        """Write ``weights.safetensors`` and ``expert.json`` into an existing folder."""
        weights = {name: tensor.detach().clone().contiguous() for name, tensor in self.module.state_dict().items()}
        with atomic_path(folder / WEIGHTS) as path:
            save_file(weights, path)
        facts = {"family": self.family, "role": self.role, "seed": self.seed, "explainer": self.explainer}
        description = {**facts, "feature_names": list(self.feature_names), "task_hash": self.task_hash}
        write_json(folder / DESCRIPTION, {**description, "settings": dict(self.settings)})
