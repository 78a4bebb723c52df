"""Gradient-boosted trees of LightGBM, for the baselines that stand on them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from benchmarks.methods.estimator_expert import Floats
from foundation.files import atomic_path

DETERMINISTIC = {
    "objective": "binary", "deterministic": True, "force_row_wise": True, "num_threads": 1, "verbosity": -1,
}  # fmt: skip
"""The same rows and seed give the same trees, on every run and number of cores."""
ROUNDS, PATIENCE = 300, 20


@dataclass(frozen=True)
class TreeModel:
    """A LightGBM booster."""

    booster: Any

    @property
    def parameter_count(self) -> int:
        """Number of nodes, inner and leaves."""
        leaves = sum(tree["num_leaves"] for tree in self.booster.dump_model()["tree_info"])
        return int(2 * leaves - self.booster.num_trees())

    def margins(self, features: Tensor) -> Tensor:
        """[r] raw scores of class 1."""
        raw = self.booster.predict(features.numpy(), raw_score=True, num_threads=1)
        return torch.from_numpy(raw).float()

    def write(self, folder: Path) -> None:
        """Write the trees as LightGBM's text."""
        with atomic_path(folder / "trees.txt") as path:
            self.booster.save_model(str(path))


def fit_trees(
    features: Tensor,
    labels: Tensor,
    settings: Mapping[str, Any],
    seed: int,
    *,
    weights: Floats | None = None,
    validation: tuple[Tensor, Tensor] | None = None,
    rounds: int = ROUNDS,
) -> TreeModel:
    """Boosted trees for the binary log loss.

    Parameters
    ----------
    features : [r, d] float32
    labels : [r] int64 in {0, 1}
    settings : mapping
        LightGBM parameters, such as ``num_leaves``.
    seed : int
    weights : [r] float64, optional
        Of the rows.
    validation : ([v, d], [v]), optional
        Features and labels that stop the boosting when their log loss has not fallen for 20 rounds.
    rounds : int
        Largest number of trees.
    """
    import lightgbm

    given = {**DETERMINISTIC, "seed": seed % 2**31, **settings}
    train = lightgbm.Dataset(features.numpy(), labels.numpy(), weight=weights, params=given)
    if validation is None:
        return TreeModel(lightgbm.train(given, train, rounds))
    watched = train.create_valid(validation[0].numpy(), validation[1].numpy())
    stopping = lightgbm.early_stopping(PATIENCE, verbose=False)
    booster = lightgbm.train(given, train, rounds, valid_sets=[watched], callbacks=[stopping])
    return TreeModel(booster)
