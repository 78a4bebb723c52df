"""What lanes read of a task."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from experts.networks.batches import BatchStream, TrainingRows
from experts.networks.lanes import LaneParameters, margins
from experts.networks.second_layer import SecondLayer
from tasks.task import TaskView


@dataclass(frozen=True, eq=False)
class LaneInputs:
    """A task as lanes of one kind of network see it; this one as tabular lanes do.

    Attributes
    ----------
    view : TaskView
        Features of the first layer.
    """

    view: TaskView

    @property
    def heads(self) -> int:
        """Weights w2 of a hidden unit."""
        return 1

    def neighbourhood(self, rows: Tensor) -> SecondLayer | None:  # noqa: ARG002
        """The second layer of ``rows`` [r]; None without one."""
        return None

    def training_rows(self, batch_rows: int, weights: Tensor | None, seed: int, sample_rows: int) -> BatchStream:
        """The training rows as batches, see :class:`experts.networks.batches.TrainingRows`."""
        return TrainingRows(self.view, batch_rows, weights, seed, sample_rows, self.neighbourhood)

    def networks(self, theta: Tensor, hidden: int) -> LaneParameters:
        """Weights [K, P] as networks on these inputs."""
        return LaneParameters(theta, self.view.features.shape[1], hidden, self.heads)

    def initial(self, hidden: int, seeds: Sequence[int]) -> LaneParameters:
        """Networks at the start of training."""
        return LaneParameters.initial(self.view.features.shape[1], hidden, seeds, self.heads)

    @torch.no_grad()
    def margins(self, parameters: LaneParameters, rows: Tensor) -> Tensor:
        """[K, r] logit margins of rows."""
        return margins(parameters, self.view.features[rows])
