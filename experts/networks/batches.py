"""Batches of training rows: all of them, or slices that hold every (label, group) cell in proportion."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Protocol

import torch
from torch import Tensor

from experts.networks.lanes import with_ones
from experts.networks.second_layer import SecondLayer
from foundation.seeding import torch_generator
from metrics.surrogates import known_rates, rate_weights, relative_weights
from tasks.task import HIDDEN, TaskView

FULL_BATCH_ROWS = 2048
"""Up to this many training rows every step sees all of them."""


@dataclass(frozen=True)
class Batch:
    """Training rows of one step, shared by the lanes.

    Attributes
    ----------
    rows : [n, d+1] float32, with the column of ones
    labels : [n] int64
    groups : [n] int64 in 0..n_groups-1
    weights : [K, n] float32 or None
        Weight of each row in each lane; None: all 1.
    sample_rows : int
        Rows of :attr:`sample`.
    around : SecondLayer or None
        The second layer of the rows, over their neighbours.
    """

    rows: Tensor
    labels: Tensor
    groups: Tensor
    n_groups: int
    weights: Tensor | None = None
    sample_rows: int = 512
    around: SecondLayer | None = None

    def __len__(self) -> int:
        """Number of rows."""
        return len(self.rows)

    @cached_property
    def targets(self) -> Tensor:
        """[n] float32 labels."""
        return self.labels.to(torch.float32)

    @cached_property
    def relative_weights(self) -> Tensor | None:
        """[K, n] weights that sum to 1 in each lane (all 0 if a lane has no row here); None: all 1/n."""
        return relative_weights(self.weights)

    @cached_property
    def rates(self) -> Tensor:
        """[n, 2·g]: ``Rate.weights`` of the selection rate, then of the true positive rate."""
        return rate_weights(self.labels, self.groups, self.n_groups)

    @cached_property
    def members(self) -> Tensor:
        """[n, g]: columns average over the rows of a group."""
        return self.rates[:, : self.n_groups]

    @cached_property
    def transposed(self) -> Tensor:
        """[d, n] features, contiguous, without the ones."""
        return self.rows[:, :-1].T.contiguous()

    @cached_property
    def known_rates(self) -> Tensor:
        """[2·g] or, with row weights, [K, 2·g] bool: whether the group has rows that the rate speaks of."""
        return known_rates(self.rates, self.weights)

    @cached_property
    def group_means(self) -> Tensor:
        """Mean row of each group, [g, d+1] or, with row weights, [K, g, d+1]; 0 for a group without rows."""
        if self.weights is None:
            return self.members.mT @ self.rows
        totals = self.weights @ self.members
        sums = torch.einsum("kn,ng,nd->kgd", self.weights, self.members, self.rows)
        return sums / torch.where(totals > 0, totals, 1.0)[..., None]

    @cached_property
    def sample(self) -> Batch:
        """The first ``sample_rows`` rows; because batches are in stratified order, a stratified sample."""
        m = self.sample_rows
        if m >= len(self):
            return self
        weights = None if self.weights is None else self.weights[:, :m]
        around = None if self.around is None else self.around.first(m)
        rows, labels, groups = self.rows[:m], self.labels[:m], self.groups[:m]
        return replace(self, rows=rows, labels=labels, groups=groups, weights=weights, around=around)

    @property
    def nodes(self) -> int:
        """Nodes whose hidden layer a step computes: the rows, or all that their second graph layer reads."""
        return len(self) if self.around is None else self.around.nodes

    def lanes(self, part: slice) -> Batch:
        """The same rows with the weights of some lanes."""
        if self.weights is None or part == slice(0, len(self.weights)):
            return self
        return replace(self, weights=self.weights[part])


class BatchStream(Protocol):
    """Batches of training rows without end.

    Attributes
    ----------
    full : bool
        Whether every batch is all rows.
    batch_rows : int
    """

    full: bool
    batch_rows: int

    def next(self) -> Batch:
        """The next batch."""
        ...

    def select(self, lanes: Tensor) -> None:
        """Go on with the weights of some lanes."""
        ...


def stratified_order(strata: Tensor, generator: torch.Generator) -> Tensor:
    """[n] int64 permutation in which every stretch holds the strata in proportion.

    The j-th of the m shuffled rows of a stratum is sent to (j + u)/m with u uniform in [0, 1), and all rows are
    sorted by these positions (systematic sampling).
    """
    n = len(strata)
    shuffled = torch.randperm(n, generator=generator)
    by_stratum = shuffled[torch.argsort(strata[shuffled], stable=True)]
    sizes = torch.bincount(strata)
    starts = torch.cumsum(sizes, 0) - sizes
    owner = strata[by_stratum]
    place = torch.arange(n) - starts[owner] + torch.rand(n, generator=generator, dtype=torch.float64)
    return by_stratum[torch.argsort(place / sizes[owner])]


class RowStream:
    """Positions of rows, without end, in which every stretch holds the strata in proportion.

    Parameters
    ----------
    strata : [n] int64
    generator : torch.Generator
    """

    def __init__(self, strata: Tensor, generator: torch.Generator) -> None:
        self._strata, self._generator = strata, generator
        self._order = torch.empty(0, dtype=torch.int64)

    def take(self, count: int) -> Tensor:
        """[count] the next positions."""
        while len(self._order) < count:
            self._order = torch.cat([self._order, stratified_order(self._strata, self._generator)])
        places, self._order = self._order[:count], self._order[count:]
        return places

    def put_back(self, places: Tensor) -> None:
        """Positions that come next again."""
        self._order = torch.cat([places, self._order])


def training_strata(view: TaskView, weights: Tensor | None) -> Tensor:
    """[n_train] int64 cell (label, group) of each training row, checked for what batches need.

    Raises
    ------
    ValueError
        If a training label is hidden, or the weights [lanes, n_train] do not fit.
    """
    rows = view.split.train
    labels = view.labels[rows]
    if len(labels) == 0 or bool((labels == HIDDEN).any()):
        raise ValueError(f"Task {view.name} has no training rows, or training rows without a label; check its split.")
    if weights is not None and weights.shape[1:] != labels.shape:
        raise ValueError(
            f"row_weights has shape {tuple(weights.shape)}, expected [lanes, {len(labels)}] training rows."
        )
    return labels * len(view.group_names) + view.groups[rows]


class TrainingRows:
    """The training rows of a task as an endless stream of batches that depends on the seed alone.

    Parameters
    ----------
    view : TaskView
    batch_rows : int
        Rows of a mini-batch when there are more than ``FULL_BATCH_ROWS`` training rows.
    weights : [K, n_train] or None
    seed : int
    sample_rows : int
        Rows of each batch's sample for costly losses.
    neighbourhood : callable, optional
        From rows to their second layer.

    Raises
    ------
    ValueError
        If a training label is hidden, or the weights do not fit.
    """

    def __init__(
        self,
        view: TaskView,
        batch_rows: int,
        weights: Tensor | None,
        seed: int,
        sample_rows: int = 512,
        neighbourhood: Callable[[Tensor], SecondLayer | None] = lambda _: None,
    ) -> None:
        self._view = view
        self._neighbourhood = neighbourhood
        self._sample_rows = sample_rows
        self._rows = view.split.train
        self._n_groups = len(view.group_names)
        self._places = RowStream(training_strata(view, weights), torch_generator(seed, "batches"))
        self.full = len(self._rows) <= max(FULL_BATCH_ROWS, batch_rows)
        self.batch_rows = len(self._rows) if self.full else batch_rows
        self.weights = None if weights is None else weights.to(torch.float32)
        self._stream = self._full() if self.full else self._slices()

    def next(self) -> Batch:
        """The next batch."""
        return next(self._stream)

    def select(self, lanes: Tensor) -> None:
        """Go on with the weights of some lanes."""
        if self.weights is not None:
            self.weights = self.weights[lanes]

    def _take(self, places: Tensor) -> Batch:
        """Batch of positions in the training part."""
        rows = self._rows[places]
        weights = None if self.weights is None else self.weights[:, places]
        features = with_ones(self._view.features[rows])
        labels, groups = self._view.labels[rows], self._view.groups[rows]
        around = self._neighbourhood(rows)
        return Batch(features, labels, groups, self._n_groups, weights, self._sample_rows, around)

    def _full(self) -> Iterator[Batch]:
        places = self._places.take(self.batch_rows)
        while True:
            batch, lanes = self._take(places), self.weights
            while self.weights is lanes:
                yield batch

    def _slices(self) -> Iterator[Batch]:
        while True:
            yield self._take(self._places.take(self.batch_rows))
