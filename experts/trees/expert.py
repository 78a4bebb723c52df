"""An expert of boosted trees."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Self

import torch
from torch import Tensor

from experts.expert import Role
from experts.saved import DESCRIPTION, ExpertError, check_features, description_of, read_description
from experts.trees.booster import TREES, TreeModel, read_trees
from foundation.files import write_json
from tasks.task import TaskView


@dataclass(frozen=True)
class TreeExpert:
    """Boosted trees and the features that they read.

    Reasons are exact Shapley values of the trees (TreeSHAP); their baseline is the expected margin of the training
    rows. Masking a column makes it unknown (0), as for every family.

    Attributes
    ----------
    role : {"utility", "result", "procedural"}
    model : TreeModel
    feature_names : tuple of str
        The d encoded features, in order; also those that no tree may use.
    task_hash : str
        Hash of the task that it was trained on.
    """

    role: str
    model: TreeModel
    feature_names: tuple[str, ...]
    task_hash: str
    family: str = "gbdt"
    explainer: str = "tree_shap"

    @classmethod
    def of(cls, view: TaskView, role: Role, model: TreeModel) -> Self:
        """The expert of trees that were fitted on a view."""
        return cls(role, model, view.feature_names, view.hash)

    @property
    def parameter_count(self) -> int:
        """Number of nodes, inner and leaves."""
        return self.model.parameter_count

    def logits(self, task: TaskView, rows: Tensor, keep: Tensor | None = None) -> Tensor:
        """[r] margin of class 1; ``keep`` [r, columns] bool masks columns to unknown."""
        check_features(self.role, self.feature_names, task)
        features = task.features[rows]
        if keep is not None:
            features = features * keep[:, task.column_of_feature]
        return self.model.margins(features) if len(rows) else torch.zeros(0)

    def attributions(self, task: TaskView, rows: Tensor) -> Tensor:
        """[r, columns] sums of the Shapley values of a column's features; a row: margin − expected margin."""
        check_features(self.role, self.feature_names, task)
        return by_source(self.model.contributions(task.features[rows]), task).float()

    def save(self, folder: Path) -> None:
        """Write ``trees.txt`` (LightGBM's text) and ``expert.json`` into an existing folder."""
        self.model.write(folder)
        write_json(folder / DESCRIPTION, description_of(self, offset=self.model.offset))

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read what :meth:`save` wrote.

        Raises
        ------
        ExpertError
            If a file is missing, damaged, or the two files do not belong together; the text names the file.
        """
        from lightgbm.basic import LightGBMError

        facts = read_description(folder / DESCRIPTION, ("gbdt",), "an expert of boosted trees")
        names, offset, path = tuple(facts["feature_names"]), facts.get("offset"), folder / TREES
        if not isinstance(offset, float):
            raise ExpertError(
                f"{folder / DESCRIPTION} does not describe an expert of boosted trees: offset {offset!r}."
            )
        try:
            model = read_trees(path, offset)
        except (LightGBMError, OSError, ValueError) as error:
            raise ExpertError(f"{path} is missing or damaged ({error}); train or fetch the expert again.") from error
        if model.booster.num_feature() != len(names):
            raise ExpertError(f"{path} reads {model.booster.num_feature()} features, {DESCRIPTION} names {len(names)}.")
        return cls(facts["role"], model, names, facts["task_hash"])


def by_source(values: Tensor, task: TaskView) -> Tensor:
    """[r, columns] sums of values [r, d] over the features of a source column."""
    return values.new_zeros(len(values), len(task.columns)).index_add_(1, task.column_of_feature, values)
