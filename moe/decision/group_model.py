"""A model of (label, group) given x, for decisions that do not know the group.

``P(a, y | x) = P(y | x) P(a | x, y)``: the first factor is the mixture's probability, the second are boosted trees that
see the features and the label. So any mixture has a joint model, and the label's part of it is the mixture's own.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from experts.trees.text import checked_booster
from foundation.files import atomic_path
from foundation.seeding import derive_seed

FILE = "groups.txt"
ROUNDS = 100
SETTINGS = {
    "learning_rate": 0.05, "num_leaves": 15, "min_data_in_leaf": 20, "lambda_l2": 1.0, "deterministic": True,
    "force_row_wise": True, "num_threads": 1, "verbosity": -1,
}  # fmt: skip


@dataclass(frozen=True)
class GroupModel:
    """P(group | features, label): a LightGBM booster."""

    booster: Any
    n_groups: int

    @classmethod
    def fit(cls, features: Tensor, labels: Tensor, groups: Tensor, n_groups: int, seed: int) -> GroupModel:
        """Trees on features [n, d] and labels [n] for groups [n]."""
        import lightgbm

        given = {**SETTINGS, "objective": "multiclass", "num_class": n_groups, "seed": seed % 2**31}
        data = lightgbm.Dataset(_with_label(features, labels), groups.numpy(), params=given)
        return cls(lightgbm.train(given, data, ROUNDS), n_groups)

    def joint(self, features: Tensor, probability: Tensor) -> Tensor:
        """[n, g, 2] float64 P(group, label | x) of features [n, d] and probabilities of class 1 [n]."""
        p = probability.to(torch.float64)
        of_label = [self._groups(features, label) for label in (0, 1)]
        return torch.stack((of_label[0] * (1 - p)[:, None], of_label[1] * p[:, None]), -1)

    def _groups(self, features: Tensor, label: int) -> Tensor:
        labels = torch.full((len(features),), label)
        said = np.asarray(self.booster.predict(_with_label(features, labels), num_threads=1))
        return torch.from_numpy(said).to(torch.float64).view(len(features), self.n_groups)

    def save(self, folder: Path) -> None:
        """Write the trees as LightGBM's text."""
        with atomic_path(folder / FILE) as path:
            self.booster.save_model(str(path))

    @classmethod
    def load(cls, folder: Path, n_groups: int) -> GroupModel:
        """Read what :meth:`save` wrote; raises as :func:`experts.trees.text.checked_booster`."""
        return cls(checked_booster((folder / FILE).read_text(encoding="utf-8")), n_groups)


def _with_label(features: Tensor, labels: Tensor) -> Any:
    return torch.cat((features, labels[:, None].to(features.dtype)), 1).numpy()


def unseen_joint(
    features: Tensor, labels: Tensor, groups: Tensor, n_groups: int, probability: Tensor, fold: Tensor, seed: int
) -> Tensor:
    """[n, g, 2] float64 P(group, label | x) of rows by models that have not seen them.

    Parameters
    ----------
    features : [n, d] float32
    labels, groups : [n] int64
    probability : [n] float
        Out-of-fold probability of class 1.
    fold : [n] int64
        Folds of the rows.
    seed : int
    """
    joint = torch.empty(len(labels), n_groups, 2, dtype=torch.float64)
    for held in torch.unique(fold).tolist():
        mine = fold == held
        seen = ~mine
        model = GroupModel.fit(features[seen], labels[seen], groups[seen], n_groups, derive_seed(seed, "groups", held))
        joint[mine] = model.joint(features[mine], probability[mine])
    return joint
