"""Piecewise-linear encoding of numbers (Gorishniy et al., "On embeddings for numerical features", NeurIPS 2022).

A number x with bin edges e_0 < … < e_T becomes T features clip((x − e_{t−1}) / (e_t − e_{t−1}), 0, 1), minus the same
of x = 0. Unknown is 0 before and after the encoding, so that masking and the baseline of attributions mean what they
mean for features as they are. Binary and categorical columns stay.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Self

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from tasks.columns import Column
from tasks.task import TaskView

Edges = tuple[float, ...]
BINS = 20
"""Quantile bins of a number, before those of the tails."""
TAILS = (0.005, 0.02)
"""Further quantiles on both sides: where numbers are rare, labels often change most."""
CHUNK_ROWS = 4096
"""Rows that are encoded at once: a table has many that no split part names."""
MOST_FEATURES = 256
"""Numbers share so many bins: a table of many numbers gets few for each."""


@dataclass(frozen=True)
class PiecewiseLinear:
    """The encoding of a task's features.

    Attributes
    ----------
    edges : tuple of tuple of float
        Rising bin edges of each of the d features; () for a feature that stays as it is.
    """

    edges: tuple[Edges, ...]

    @classmethod
    def fit(cls, view: TaskView) -> Self:
        """Bins from the training rows of a view."""
        numeric = [column.features[0] for column in view.columns if column.kind == "numeric"]
        bins = max(2, min(BINS, MOST_FEATURES // max(1, len(numeric)) - 2 * len(TAILS)))
        values = view.features[view.split.train].double().numpy()
        edges: list[Edges] = [()] * view.features.shape[1]
        for feature in numeric:
            edges[feature] = bin_edges(values[:, feature], bins)
        return cls(tuple(edges))

    @cached_property
    def owner(self) -> Tensor:
        """[e] int64 feature that each encoded feature is of."""
        return torch.repeat_interleave(torch.arange(len(self.edges)), torch.tensor(self._widths()))

    def _widths(self) -> list[int]:
        return [max(1, len(edges) - 1) for edges in self.edges]

    def encode(self, features: Tensor) -> Tensor:
        """[r, e] float32 encoded features of rows [r, d]."""
        whole, (low, width, binned) = features[:, self.owner], self.bins
        return torch.where(binned, _filled(whole, low, width) - _filled(torch.zeros(1), low, width), whole)

    @cached_property
    def bins(self) -> tuple[Tensor, Tensor, Tensor]:
        """[e] lower edge, width and whether there is a bin, of each encoded feature."""
        low, width, binned = list[float](), list[float](), list[bool]()
        for edges in self.edges:
            low.extend(edges[:-1] or (0.0,))
            width.extend([b - a for a, b in itertools.pairwise(edges)] or [1.0])
            binned.extend([True] * (len(edges) - 1) or [False])
        return torch.tensor(low), torch.tensor(width), torch.tensor(binned)

    def names(self, names: Sequence[str]) -> tuple[str, ...]:
        """Names of the encoded features: ``age``, or ``age[0]``, ``age[1]``, … where a number has bins."""
        widths = self._widths()
        return tuple(
            name if widths[feature] == 1 else f"{name}[{place}]"
            for feature, name in enumerate(names)
            for place in range(widths[feature])
        )

    def columns(self, columns: Sequence[Column]) -> tuple[Column, ...]:
        """The source columns, owning the encoded features."""
        ends = np.cumsum([0, *self._widths()])
        return tuple(
            dataclasses.replace(c, features=tuple(e for f in c.features for e in range(ends[f], ends[f + 1])))
            for c in columns
        )

    def view(self, view: TaskView) -> TaskView:
        """The task with encoded features; computed once per features.

        Rows of such a view cannot be moved to another group (``flip`` is None): move the original view, and encode it
        again.
        """
        return dataclasses.replace(
            view,
            features=_encoded(self, view.features, view.features._version),
            feature_names=self.names(view.feature_names),
            columns=self.columns(view.columns),
            flip=None,
        )


# Tensors are equal to themselves alone as keys, and a cache keeps its keys alive.
@lru_cache(maxsize=2)
def _encoded(encoding: PiecewiseLinear, features: Tensor, _version: int) -> Tensor:
    found = torch.empty(len(features), len(encoding.owner))
    for start in range(0, len(features), CHUNK_ROWS):
        found[start : start + CHUNK_ROWS] = encoding.encode(features[start : start + CHUNK_ROWS])
    return found


def _filled(values: Tensor, low: Tensor, width: Tensor) -> Tensor:
    return ((values - low) / width).clamp_(0.0, 1.0)


def bin_edges(values: npt.NDArray[np.float64], bins: int) -> Edges:
    """Rising edges of at most ``bins`` + 2 · len(TAILS) bins of values [n]; () if all are equal.

    Edges are quantiles, further ones in the tails. A value that many rows share counts for one bin at most, so that
    the other values get bins too (capital gains: 0 for nine people of ten).
    """
    distinct, counts = np.unique(values, return_counts=True)
    if len(distinct) < 2:
        return ()
    weights = np.minimum(counts, len(values) / bins)
    passed = np.cumsum(weights) / weights.sum()
    levels = np.concatenate([np.linspace(0, 1, bins + 1), TAILS, 1 - np.array(TAILS)])
    places = np.minimum(np.searchsorted(passed, np.sort(levels) - 1e-12), len(distinct) - 1)
    places[-1] = len(distinct) - 1
    edges = np.unique(distinct[np.unique(places)].astype(np.float32))
    return tuple(edges.tolist()) if len(edges) > 1 else ()
