"""The trees of a HistGradientBoostingClassifier as arrays, which is what is kept of it: scikit-learn has no format."""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import torch

from experts.saved import WEIGHTS, read_weights, write_weights

Numbers = npt.NDArray[Any]


@dataclass(frozen=True)
class Forest:
    """Binary trees on numbers without missing ones, added up in their order.

    Attributes
    ----------
    root : [t] int64
        Position of each tree's root among the nodes of all trees.
    feature, left, right : [k] int64
        What a node looks at, and where rows go whose value is at most its threshold, or above it; a leaf leads to
        itself.
    threshold, value : [k] float64
        ``value`` is what a leaf adds to the margin.
    baseline : [1] float64
        The margin before the first tree.
    """

    root: Numbers
    feature: Numbers
    left: Numbers
    right: Numbers
    threshold: Numbers
    value: Numbers
    baseline: Numbers

    @classmethod
    def of(cls, model: Any) -> Self:
        """Of a fitted HistGradientBoostingClassifier of two classes."""
        trees = [tree.nodes for stage in model._predictors for tree in stage]
        root = np.cumsum([0, *(len(nodes) for nodes in trees)])[:-1].astype(np.int64)
        nodes = np.concatenate(trees)
        first, here = np.repeat(root, [len(part) for part in trees]), np.arange(len(nodes))
        leaf = nodes["is_leaf"].astype(bool)
        left, right = (np.where(leaf, here, first + nodes[side].astype(np.int64)) for side in ("left", "right"))
        feature = np.where(leaf, 0, nodes["feature_idx"]).astype(np.int64)
        baseline = np.asarray(model._baseline_prediction, dtype=np.float64).reshape(1)
        return cls(root, feature, left, right, nodes["num_threshold"].copy(), nodes["value"].copy(), baseline)

    @property
    def nodes(self) -> int:
        """Number of nodes, leaves included."""
        return len(self.value)

    def decision_function(self, features: Numbers) -> Numbers:
        """[r] float64 margins of feature rows [r, d]."""
        rows = np.arange(len(features))
        margins = np.full(len(features), self.baseline[0])
        for root in self.root:
            at = np.full(len(features), root)
            while True:
                below = features[rows, self.feature[at]] <= self.threshold[at]
                following = np.where(below, self.left[at], self.right[at])
                if np.array_equal(following, at):
                    break
                at = following
            margins += self.value[at]
        return margins

    def write(self, folder: Path) -> None:
        """Write the arrays as safetensors."""
        parts = {part.name: torch.from_numpy(getattr(self, part.name).copy()) for part in fields(self)}
        write_weights(folder / WEIGHTS, parts)

    @classmethod
    def read(cls, folder: Path) -> Self:
        """What :meth:`write` wrote.

        Raises
        ------
        ValueError
            If nodes lead out of the trees, or back.
        """
        found = cls(**{name: part.numpy() for name, part in read_weights(folder / WEIGHTS).items()})
        found._check(folder)
        return found

    def _check(self, folder: Path) -> None:
        here = np.arange(self.nodes)
        leaf = (self.left == here) & (self.right == here)
        onward = (self.left > here) & (self.right > here) & (self.left < self.nodes) & (self.right < self.nodes)
        rooted = (self.root >= 0) & (self.root < self.nodes)
        if not ((leaf | onward).all() and rooted.all() and (self.feature >= 0).all()):
            raise ValueError(f"{folder / WEIGHTS} holds trees whose nodes lead out of them; save the model again")
