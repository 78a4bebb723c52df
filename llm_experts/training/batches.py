"""Batches of training texts."""

from __future__ import annotations

import torch
from torch import Tensor

from experts.networks.batches import RowStream, training_strata
from foundation.seeding import torch_generator
from llm_experts.training.objectives import Teacher, TextBatch
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
    teacher : Teacher or None
        Of the training rows.

    Attributes
    ----------
    places : [n] int64
        Positions of the current batch among the training rows.

    Raises
    ------
    ValueError
        If a training label is hidden, or the weights or the teacher do not fit.
    """

    def __init__(
        self,
        texts: TaskTexts,
        rows: int,
        seed: int,
        *,
        moved: bool = False,
        weights: Tensor | None = None,
        teacher: Teacher | None = None,
    ) -> None:
        view = texts.view
        self.train = view.split.train
        self.rows = min(rows, len(self.train))
        if teacher is not None and len(teacher) != len(self.train):
            raise ValueError(f"The teacher speaks of {len(teacher)} rows; there are {len(self.train)} training rows.")
        self._labels, self._groups = view.labels[self.train], view.groups[self.train]
        strata = training_strata(view, weights)
        self._n_groups, self._n_columns = len(view.group_names), len(view.columns)
        self._device = texts.cut.base.device
        self.weights = None if weights is None else weights.to(self._device)
        self.base: Tensor | None = None
        self.teacher = None if teacher is None else teacher.to(self._device)
        self.block = texts.rows(self.train)
        self.moved: TextBlock | None = None
        if moved:
            shift = torch.randint(1, self._n_groups, self._groups.shape, generator=torch_generator(seed, "moved"))
            self.moved = texts.moved(self.train, (self._groups + shift) % self._n_groups)
        self._stream = RowStream(strata, torch_generator(seed, "text batches"))
        self.places = torch.empty(0, dtype=torch.int64)

    def draw(self) -> None:
        """Go on to the next batch."""
        self.places = self._stream.take(self.rows)

    def batch(self) -> TextBatch:
        """The batch of :attr:`places`."""
        return self.take(self.places)

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
            teacher=None if self.teacher is None else self.teacher.take(places.to(self._device)),
        )

    def halve(self) -> bool:
        """Half the rows from now on, beginning with this batch, whose rest comes next; False if they are too few."""
        if len(self.places) <= LEAST_BATCH:
            return False
        self.rows = max(LEAST_BATCH, len(self.places) // 2)
        self._stream.put_back(self.places[self.rows :])
        self.places = self.places[: self.rows]
        return True

    def select(self, lanes: Tensor) -> None:
        """Go on with the weights of some lanes."""
        if self.weights is not None:
            self.weights = self.weights[lanes.to(self._device)]
