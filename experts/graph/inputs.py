"""What lanes read of a task: its features as they are, or propagated, and for two layers each row's neighbourhood."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from experts.graph.layers import graph_margins
from experts.graph.neighbourhood import Neighbourhood
from experts.graph.propagation import Operators, operators, propagated
from experts.graph.settings import GraphSettings
from experts.networks.lanes import LaneParameters, margins
from tasks.task import TaskView


@dataclass(frozen=True, eq=False)
class LaneInputs:
    """A task as lanes of one family see it.

    Attributes
    ----------
    view : TaskView
        Features of the first layer.
    second : tuple of sparse [n, n] arrays
        Operators of a second graph layer; () for tabular lanes and for one graph layer.
    """

    view: TaskView
    second: Operators = ()

    def neighbourhood(self, rows: Tensor) -> Neighbourhood | None:
        """What the second layer of ``rows`` [r] reads; None without a second layer."""
        return Neighbourhood.of(self.view.features, self.second, rows) if self.second else None

    def networks(self, theta: Tensor, hidden: int) -> LaneParameters:
        """Weights [K, P] as networks on these inputs."""
        return LaneParameters(theta, self.view.features.shape[1], hidden, max(1, len(self.second)))

    def initial(self, hidden: int, seeds: Sequence[int]) -> LaneParameters:
        """Networks at the start of training."""
        return LaneParameters.initial(self.view.features.shape[1], hidden, seeds, max(1, len(self.second)))

    @torch.no_grad()
    def margins(self, parameters: LaneParameters, rows: Tensor) -> Tensor:
        """[K, r] logit margins of rows."""
        around = self.neighbourhood(rows)
        return margins(parameters, self.view.features[rows]) if around is None else graph_margins(parameters, around)


def lane_inputs(view: TaskView, graph: GraphSettings | None) -> LaneInputs:
    """Inputs of tabular lanes (None) or of graph lanes.

    Raises
    ------
    ExpertError
        If graph lanes are asked for and the task has no edges.
    """
    if graph is None:
        return LaneInputs(view)
    second = operators(view, graph.kind) if graph.layers == 2 else ()
    return LaneInputs(propagated(view, graph.kind), second)
