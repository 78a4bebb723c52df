"""What graph lanes read of a task: propagated features, and for two layers each row's neighbourhood."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from experts.graph.layers import graph_margins
from experts.graph.propagation import Operators, operators, propagated
from experts.graph.second_layer import GraphLayer
from experts.graph.settings import GraphSettings
from experts.networks.inputs import LaneInputs
from experts.networks.lanes import LaneParameters
from tasks.task import TaskView


@dataclass(frozen=True, eq=False)
class GraphInputs(LaneInputs):
    """A task as graph lanes of one kind see it; the view holds propagated features.

    Attributes
    ----------
    second : tuple of sparse [n, n] arrays
        Operators of a second graph layer; () for one graph layer.
    """

    second: Operators = ()

    @property
    def heads(self) -> int:
        """Weights w2 of a hidden unit: one per operator of the second layer."""
        return max(1, len(self.second))

    def neighbourhood(self, rows: Tensor) -> GraphLayer | None:
        """The second layer of ``rows`` [r]; None without one."""
        return GraphLayer.of(self.view.features, self.second, rows) if self.second else None

    @torch.no_grad()
    def margins(self, parameters: LaneParameters, rows: Tensor) -> Tensor:
        """[K, r] logit margins of rows."""
        around = self.neighbourhood(rows)
        return super().margins(parameters, rows) if around is None else graph_margins(parameters, around)


def graph_inputs(view: TaskView, settings: GraphSettings) -> GraphInputs:
    """Inputs of the lanes of a graph network.

    Raises
    ------
    ExpertError
        If the task has no edges.
    """
    second = operators(view, settings.kind) if settings.layers == 2 else ()
    return GraphInputs(propagated(view, settings.kind), second)
