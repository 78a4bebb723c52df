"""An expert of one trained lane: a network with one hidden layer."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from experts.expert import Role
from experts.networks.integrated_gradients import by_column, column_indicator, lane_attributions
from experts.networks.lane_expert import read_lane, read_theta, save_lane
from experts.networks.lanes import LaneParameters, margins, row_chunks
from experts.saved import DESCRIPTION, WEIGHTS, check_features
from tasks.task import TaskView


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
        facts = read_lane(folder / DESCRIPTION, ("mlp",), "an MLP expert")
        names = tuple(facts["feature_names"])
        theta = read_theta(folder / WEIGHTS, (1, facts["hidden"] * (len(names) + 2) + 1))
        parameters = LaneParameters(theta, len(names), facts["hidden"])
        return cls(facts["role"], parameters, names, facts["task_hash"])
