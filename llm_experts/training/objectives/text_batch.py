"""Training texts of one step."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import torch
from torch import Tensor
from torch.nn.functional import one_hot

from llm_experts.decoder.layout import TopInput
from llm_experts.training.objectives.teacher import Teacher
from metrics.surrogates import group_targets, known_rates, rate_weights, relative_weights


@dataclass(frozen=True)
class TextBatch:
    """Training texts of one step, shared by the lanes.

    Attributes
    ----------
    given : TopInput of n texts
    moved : TopInput of the same rows in another group, or None
    labels, groups : [n] int64
    n_groups, n_columns : int
    weights : [K, n] float32 or None
        Weight of each row in each lane; None: all 1.
    base : [n] or None
        Margins of the base, for the reward's KL.
    teacher : Teacher of n rows or None
        What the loss also learns from.
    shares : [K, n] or None
        Of a part of a batch: the weights that its rows have in the whole batch.
    """

    given: TopInput
    labels: Tensor
    groups: Tensor
    n_groups: int
    n_columns: int
    moved: TopInput | None = None
    weights: Tensor | None = None
    base: Tensor | None = None
    teacher: Teacher | None = None
    shares: Tensor | None = None

    def part(self, rows: Tensor, lanes: int) -> TextBatch:
        """Some rows with the weights that they have in the whole batch, for the first so many lanes."""
        weights, count = self.relative_weights, len(self)
        shares = self.targets.new_full((lanes, count), 1 / count) if weights is None else weights
        return replace(
            self,
            given=self.given.texts(rows),
            moved=None if self.moved is None else self.moved.texts(rows),
            labels=self.labels[rows],
            groups=self.groups[rows],
            weights=None if self.weights is None else self.weights[:, rows],
            base=None if self.base is None else self.base[rows],
            teacher=None if self.teacher is None else self.teacher.take(rows),
            shares=shares[:, rows],
        )

    def __len__(self) -> int:
        """Number of rows."""
        return len(self.labels)

    @cached_property
    def targets(self) -> Tensor:
        """[n] float32 labels."""
        return self.labels.to(torch.float32)

    @cached_property
    def rates(self) -> Tensor:
        """[n, 2·g] weights of the selection and true positive rates."""
        return rate_weights(self.labels.cpu(), self.groups.cpu(), self.n_groups).to(self.labels.device)

    @cached_property
    def known_rates(self) -> Tensor:
        """[2·g] or [K, 2·g] bool: groups with rows that the rate speaks of."""
        return known_rates(self.rates, self.weights)

    @cached_property
    def relative_weights(self) -> Tensor | None:
        """[K, n] weights that sum to 1 in each lane; None: all 1/n."""
        return relative_weights(self.weights) if self.shares is None else self.shares

    @cached_property
    def group_targets(self) -> Tensor:
        """[o, n] what the adversary guesses."""
        return group_targets(self.groups, self.n_groups)

    def of(self, values: Tensor | None, lanes: slice) -> Tensor | None:
        """Rows of a lane-wise tensor that belong to a chunk of lanes."""
        return None if values is None else values[lanes]

    def known(self, lanes: slice) -> Tensor:
        """[2·g] or [k, 2·g]: :attr:`known_rates` of a chunk of lanes."""
        return self.known_rates if self.weights is None else self.known_rates[lanes]

    def group_sums(self, values: Tensor, lanes: slice) -> Tensor:
        """[k, g, c] weighted sums of values [k, n, c] over the rows of each group."""
        members = one_hot(self.groups, self.n_groups).to(values.dtype)
        weighted = values if self.weights is None else values * self.weights[lanes, :, None]
        return torch.einsum("knc,ng->kgc", weighted, members)

    def mean(self, by_row: Tensor, lanes: slice) -> Tensor:
        """[k] weighted means of [k, n] over the rows."""
        weights = self.of(self.relative_weights, lanes)
        return by_row.mean(1) if weights is None else (by_row * weights).sum(1)
