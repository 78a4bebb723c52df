"""A fitted model of all nodes of a graph as an expert.

Everything that stays the same while a model is trained is computed once. A first graph layer is linear in the
features, Â(XW) = (ÂX)W, so that ÂX of fixed features is a table and training touches only the labelled rows of it;
what is unknown in a column is unknown in the same column of ÂX, so that masked predictions need no propagation.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Protocol

import torch
from torch import Tensor, nn

from experts.saved import DESCRIPTION, WEIGHTS, read_weights, write_weights
from foundation.files import write_json
from tasks.task import TaskView

KIND = "graph baseline"
PROPAGATION = "propagation.safetensors"
PATTERNS = 128
"""Most masks whose predictions of all nodes are kept in memory."""

Margins = Callable[[Tensor], Tensor]
Build = Callable[[int, Mapping[str, Any]], nn.Module]


class GraphError(ValueError):
    """A task without a graph, or a graph model that is asked about nodes or edges that it cannot answer for."""


class Propagation(Protocol):
    """What a model reads of a graph: features that went along its edges.

    Linear, and each column by itself (such as Â), so that masks can be put on after it. ``kind`` is what a description
    calls it.
    """

    kind: ClassVar[str]

    def __call__(self, task: TaskView) -> Tensor:
        """[n, d] propagated features of all nodes."""
        ...

    def tensors(self) -> dict[str, Tensor]:
        """What it holds, by the names of its arguments."""
        ...


@dataclass
class _Memory:
    """What was computed for the last features tensor that was asked about."""

    features: Tensor | None = None
    edges: Tensor | None = None
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
    propagate : Propagation
        What ``margins`` reads [n, d] of a task.
    network : str
        What a description calls the architecture of ``module``, which with ``settings`` is how it is built again.
    """

    module: nn.Module
    margins: Margins
    family: str
    seed: int
    task_hash: str
    feature_names: tuple[str, ...]
    propagate: Propagation
    network: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    role: str = "baseline"
    explainer: str = "occlusion"
    reads_graph: ClassVar[bool] = True
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
        propagate: Propagation,
        network: str,
    ) -> GraphModel:
        """The expert of a model that was fitted on a view."""
        module.eval().requires_grad_(False)
        known = view.hash, view.feature_names
        return cls(module, margins, family, seed, *known, propagate, network, dict(settings))

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
        if memory.features is not task.features or memory.edges is not task.edges:
            self._check(task)
            with torch.no_grad():
                memory.propagated = self.propagate(task)
            memory.features, memory.edges = task.features, task.edges
            memory.margins.clear()
        return memory

    def _check(self, task: TaskView) -> None:
        if task.feature_names != self.feature_names:
            raise GraphError(
                f"This {self.family} model was fitted on other features than task {task.name} has, and answers for "
                "nodes that are encoded as its own were. Use its own encoder, or fit it again on this task."
            )

    def save(self, folder: Path) -> None:
        """Write weights, what propagates features, and ``expert.json`` into an existing folder."""
        for name, tensors in ((WEIGHTS, self.module.state_dict()), (PROPAGATION, self.propagate.tensors())):
            write_weights(folder / name, tensors)
        write_json(folder / DESCRIPTION, {
            "kind": KIND, "network": self.network, "propagation": self.propagate.kind, "family": self.family,
            "role": self.role, "seed": self.seed, "explainer": self.explainer, "task_hash": self.task_hash,
            "feature_names": list(self.feature_names), "settings": dict(self.settings),
        })  # fmt: skip

    @classmethod
    def read(
        cls, folder: Path, facts: Mapping[str, Any], build: Build, propagation: Callable[..., Propagation]
    ) -> GraphModel:
        """What :meth:`save` wrote.

        Parameters
        ----------
        folder : Path
        facts : mapping
            Its ``expert.json``.
        build : callable
            (number of features, settings) → the network without its weights.
        propagation : callable
            From the tensors of ``propagation.safetensors``, by name.

        Raises
        ------
        ExpertError, RuntimeError
            If a file is missing or damaged, or the weights do not fit the settings.
        """
        names = tuple(facts["feature_names"])
        module = build(len(names), facts["settings"])
        module.load_state_dict(read_weights(folder / WEIGHTS))
        module.eval().requires_grad_(False)
        propagate = propagation(**read_weights(folder / PROPAGATION))
        told = facts["family"], facts["seed"], facts["task_hash"], names
        return cls(module, module, *told, propagate, facts["network"], facts["settings"], facts["role"])
