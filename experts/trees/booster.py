"""Gradient-boosted trees of LightGBM: fitted, asked, explained and kept."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from experts.trees.fair_loss import FairLoss
from experts.trees.text import checked_booster
from foundation.files import atomic_path

Floats = npt.NDArray[np.float64]
DETERMINISTIC = {
    "objective": "binary", "deterministic": True, "force_row_wise": True, "num_threads": 1, "verbosity": -1,
}  # fmt: skip
"""The same rows and seed give the same trees, on every run and number of cores."""
ROUNDS, PATIENCE = 300, 20
TREES = "trees.txt"


@dataclass(frozen=True)
class TreeModel:
    """A LightGBM booster.

    Attributes
    ----------
    booster : lightgbm.Booster
    offset : float
        Margin before the first tree, where the booster does not hold it itself.
    """

    booster: Any
    offset: float = 0.0
    kind: ClassVar[str] = "trees"

    @property
    def parameter_count(self) -> int:
        """Number of nodes, inner and leaves."""
        leaves = sum(tree["num_leaves"] for tree in self.booster.dump_model()["tree_info"])
        return int(2 * leaves - self.booster.num_trees())

    def margins(self, features: Tensor) -> Tensor:
        """[r] raw scores of class 1."""
        raw = self.booster.predict(features.numpy(), raw_score=True, num_threads=1)
        return torch.from_numpy(raw + self.offset).float()

    def contributions(self, features: Tensor) -> Tensor:
        """[r, d] float64 exact Shapley values of the features, from the expected margin of the training rows.

        Path-dependent TreeSHAP (Lundberg et al., Nature Machine Intelligence 2020): a row sums to its margin minus the
        expected one.
        """
        if not len(features):
            return torch.zeros(0, features.shape[1], dtype=torch.float64)
        found = self.booster.predict(features.numpy(), pred_contrib=True, num_threads=1)
        return torch.from_numpy(np.ascontiguousarray(found[:, :-1]))

    def write(self, folder: Path) -> None:
        """Write the trees as LightGBM's text."""
        with atomic_path(folder / TREES) as path:
            self.booster.save_model(str(path))

    @classmethod
    def read(cls, folder: Path) -> Self:
        """What :meth:`write` wrote, of trees without an offset; raises as :func:`read_trees`."""
        return cls(read_trees(folder / TREES).booster)


def read_trees(path: Path, offset: float = 0.0) -> TreeModel:
    """Trees from LightGBM's text.

    Raises
    ------
    lightgbm.basic.LightGBMError, OSError, ValueError
        If the text is damaged or missing.
    """
    return TreeModel(checked_booster(path.read_text(encoding="utf-8")), offset)


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

    given = parameters(settings, seed)
    train = lightgbm.Dataset(features.numpy(), labels.numpy(), weight=weights, params=given)
    if validation is None:
        return TreeModel(lightgbm.train(given, train, rounds))
    watched = train.create_valid(validation[0].numpy(), validation[1].numpy())
    return boosted(train, watched, given, rounds)


def parameters(settings: Mapping[str, Any], seed: int) -> dict[str, Any]:
    """Of a fit, for LightGBM."""
    return {**DETERMINISTIC, "seed": seed % 2**31, **settings}


def boosted(
    train: Any,
    watched: Any,
    given: Mapping[str, Any],
    rounds: int = ROUNDS,
    callbacks: Sequence[Callable[[Any], None]] = (),
) -> TreeModel:
    """Trees of a LightGBM data set, stopped by the log loss of validation rows.

    Parameters
    ----------
    train, watched : lightgbm.Dataset
        Training rows, and validation rows with the bins of these; with labels, made with the parameters ``given``.
    given : mapping
        LightGBM parameters (:func:`parameters`).
    rounds : int
        Largest number of trees.
    callbacks : sequence of callable
        Called by LightGBM after each tree.
    """
    import lightgbm

    stopping = lightgbm.early_stopping(PATIENCE, verbose=False)
    return TreeModel(lightgbm.train(dict(given), train, rounds, valid_sets=[watched], callbacks=[stopping, *callbacks]))


def fit_fair_trees(
    features: Tensor,
    loss: FairLoss,
    settings: Mapping[str, Any],
    seed: int,
    *,
    validation: tuple[Tensor, FairLoss],
    rounds: int = ROUNDS,
) -> TreeModel:
    """Boosted trees for log loss and group gaps; the same loss on validation rows stops the boosting.

    Parameters
    ----------
    features : [r, d] float32
    loss : FairLoss
        Of these rows.
    settings, seed, rounds
        As :func:`fit_trees` takes them.
    validation : ([v, d], FairLoss)
        Features and loss of the rows that stop the boosting.
    """
    import lightgbm

    given = {
        **parameters(settings, seed), "metric": "None",
        "objective": lambda margins, _rows: loss.gradient(margins),
    }  # fmt: skip
    start = loss.start
    train = lightgbm.Dataset(features.numpy(), loss.labels, init_score=np.full(len(features), start), params=given)
    watched, judged = validation
    begun = np.full(len(watched), start)
    rows = train.create_valid(watched.numpy(), judged.labels, init_score=begun)
    stopping = lightgbm.early_stopping(PATIENCE, verbose=False)

    def value(margins: Floats, _rows: Any) -> tuple[str, float, bool]:
        return "fair loss", judged.value(margins), False

    booster = lightgbm.train(given, train, rounds, valid_sets=[rows], feval=value, callbacks=[stopping])
    return TreeModel(booster, start)
