"""Networks with one hidden layer on piecewise-linear encoded numbers: how they are trained, and what comes of it."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import torch
from torch import Tensor

from experts.expert import Role
from experts.networks.inputs import LaneInputs
from experts.networks.integrated_gradients import by_column, column_indicator, lane_attributions
from experts.networks.lane_expert import read_lane, read_theta, save_lane
from experts.networks.lanes import LaneParameters, margins, row_chunks
from experts.networks.piecewise_linear import PiecewiseLinear
from experts.saved import DESCRIPTION, WEIGHTS, ExpertError, check_features
from tasks.task import TaskView


@dataclass(frozen=True)
class PLEExpert:
    """One network on encoded features; it reads the features of the task, and encodes them itself.

    Attributes
    ----------
    role : {"utility", "result", "procedural", "combined"}
    encoding : PiecewiseLinear
    parameters : LaneParameters
        One lane.
    feature_names : tuple of str
        The d features of the task, in order; not the encoded ones.
    task_hash : str
        Hash of the task that it was trained on.
    """

    role: str
    encoding: PiecewiseLinear
    parameters: LaneParameters
    feature_names: tuple[str, ...]
    task_hash: str
    family: str = "ple_mlp"
    explainer: str = "integrated_gradients"

    @property
    def parameter_count(self) -> int:
        """Numbers that were learnt."""
        return self.parameters.theta.numel()

    def logits(self, task: TaskView, rows: Tensor, keep: Tensor | None = None) -> Tensor:
        """[r] margin of class 1; ``keep`` [r, columns] bool masks columns to unknown."""
        check_features(self.role, self.feature_names, task)
        parts = [self._logits(task, rows[c], None if keep is None else keep[c]) for c in self._chunks(rows)]
        return torch.cat(parts) if parts else torch.zeros(0)

    def _logits(self, task: TaskView, rows: Tensor, keep: Tensor | None) -> Tensor:
        features = self.encoding.encode(task.features[rows])
        if keep is not None:
            features = features * keep[:, self._column_of_encoded(task)]
        return margins(self.parameters, features)[0]

    def attributions(self, task: TaskView, rows: Tensor) -> Tensor:
        """[r, columns] exact integrated gradients of the margin in the encoded features, summed by source column.

        Σ over columns = margin − margin of all unknown.
        """
        check_features(self.role, self.feature_names, task)
        indicator = column_indicator(self._column_of_encoded(task), len(task.columns))
        encoded = (self.encoding.encode(task.features[rows[c]]) for c in self._chunks(rows))
        parts = [by_column(lane_attributions(self.parameters, part)[0], indicator) for part in encoded]
        return torch.cat(parts) if parts else torch.zeros(0, len(task.columns))

    def _column_of_encoded(self, task: TaskView) -> Tensor:
        return task.column_of_feature[self.encoding.owner]

    def _chunks(self, rows: Tensor) -> list[slice]:
        return row_chunks(len(rows), max(self.parameters.hidden, self.parameters.n_features))

    def save(self, folder: Path) -> None:
        """Write ``weights.safetensors`` and ``expert.json``, which holds the bin edges, into an existing folder."""
        save_lane(self, folder, edges=self.encoding.edges)

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read what :meth:`save` wrote.

        Raises
        ------
        ExpertError
            If a file is missing, damaged, or the two files do not belong together; the text names the file.
        """
        path = folder / DESCRIPTION
        facts = read_lane(path, ("ple_mlp",), "a network on encoded numbers")
        names = tuple(facts["feature_names"])
        encoding = read_encoding(facts.get("edges"), len(names), path)
        width = len(encoding.owner)
        theta = read_theta(folder / WEIGHTS, (1, facts["hidden"] * (width + 2) + 1))
        parameters = LaneParameters(theta, width, facts["hidden"])
        return cls(facts["role"], encoding, parameters, names, facts["task_hash"])


def read_encoding(edges: Any, features: int, path: Path) -> PiecewiseLinear:
    """Bin edges as a description at ``path`` holds them.

    Raises
    ------
    ExpertError
        If they are not rising finite numbers of so many features.
    """
    known = isinstance(edges, list) and len(edges) == features and all(_rising(each) for each in edges)
    if not known:
        raise ExpertError(f"{path} does not hold bin edges of {features} features; train or fetch the expert again.")
    return PiecewiseLinear(tuple(tuple(each) for each in edges))


def _rising(edges: Any) -> bool:
    if not isinstance(edges, list) or not all(isinstance(edge, float) for edge in edges) or len(edges) == 1:
        return False
    return all(a < b for a, b in itertools.pairwise(edges))


@dataclass(frozen=True)
class PLENetwork:
    """One hidden layer on encoded numbers: :class:`experts.networks.network.Network`.

    Bins come from the training rows of a view: lanes are asked through the view that they were trained on, or as the
    expert that they become, which keeps its bins.
    """

    name: str = "ple_mlp"

    def settings(self) -> dict[str, Any]:
        """The encoding, for records of tunings."""
        return {"encoding": "piecewise_linear"}

    def inputs(self, view: TaskView) -> LaneInputs:
        """Encoded features."""
        return LaneInputs(PiecewiseLinear.fit(view).view(view))

    def expert(self, view: TaskView, role: Role, parameters: LaneParameters, lane: int = 0) -> PLEExpert:
        """An expert with the bins of the view's training rows."""
        encoding = PiecewiseLinear.fit(view)
        return PLEExpert(role, encoding, parameters.select([lane]), view.feature_names, view.hash)
