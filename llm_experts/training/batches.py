"""Batches of training texts."""

from __future__ import annotations

import torch
from torch import Tensor

from experts.networks.batches import RowStream, training_strata
from foundation.seeding import torch_generator
from llm_experts.training.objectives import TextBatch
from llm_experts.training.text_blocks import TaskTexts, TextBlock

LEAST_BATCH = 8
"""Rows below which a batch that does not fit in memory is not halved any more."""


class TrainingTexts:
    """An endless stream of minibatches in which every (label, group) cell stands in proportion; depends on the seed.

    Parameters
    ----------
    texts : TaskTexts
    rows : int
        Rows of a minibatch.
    seed : int
    moved : bool
        Also the texts of the same rows in another group, drawn once per row.
    weights : [K, n_train] or None
        Weight of each row in each lane's loss.

    Raises
    ------
    ValueError
        If a training label is hidden, or the weights do not fit.
    """

    def __init__(
        self, texts: TaskTexts, rows: int, seed: int, *, moved: bool = False, weights: Tensor | None = None
    ) -> None:
        view = texts.view
        self.train = view.split.train
        self.rows = min(rows, len(self.train))
        self._labels, self._groups = view.labels[self.train], view.groups[self.train]
        strata = training_strata(view, weights)
        self._n_groups, self._n_columns = len(view.group_names), len(view.columns)
        self._device = texts.stack.base.device
        self.weights = None if weights is None else weights.to(self._device)
        self.base: Tensor | None = None
        self.block = texts.rows(self.train)
        self.moved: TextBlock | None = None
        if moved:
            shift = torch.randint(1, self._n_groups, self._groups.shape, generator=torch_generator(seed, "moved"))
            self.moved = texts.moved(self.train, (self._groups + shift) % self._n_groups)
        self._places = RowStream(strata, torch_generator(seed, "text batches"))

    def places(self) -> Tensor:
        """Positions, among the training rows, of the next batch."""
        return self._places.take(self.rows)

    def take(self, places: Tensor) -> TextBatch:
        """The batch of some positions among the training rows."""
        return TextBatch(
            given=self.block.take(places),
            moved=None if self.moved is None else self.moved.take(places),
            labels=self._labels[places].to(self._device),
            groups=self._groups[places].to(self._device),
            n_groups=self._n_groups,
            n_columns=self._n_columns,
            weights=None if self.weights is None else self.weights[:, places],
            base=None if self.base is None else self.base[places],
        )

    def halve(self, places: Tensor) -> Tensor:
        """Half the rows from now on: the first half of a batch that did not fit; the rest comes next."""
        self.rows = max(LEAST_BATCH, len(places) // 2)
        self._places.put_back(places[self.rows :])
        return places[: self.rows]

    def select(self, lanes: Tensor) -> None:
        """Go on with the weights of some lanes."""
        if self.weights is not None:
            self.weights = self.weights[lanes.to(self._device)]
