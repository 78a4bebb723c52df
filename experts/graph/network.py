"""Graph networks as lanes."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

from experts.expert import Role
from experts.graph.expert import GraphExpert
from experts.graph.inputs import GraphInputs, graph_inputs
from experts.graph.settings import GraphSettings
from experts.networks.lanes import LaneParameters
from tasks.task import TaskView


@dataclass(frozen=True)
class GraphNetwork:
    """A graph network of a kind and depth: :class:`experts.networks.network.Network`.

    Attributes
    ----------
    graph : GraphSettings
    """

    graph: GraphSettings

    @property
    def name(self) -> str:
        """The kind, with the number of layers where it is not one: ``gcn``, ``gcn2``."""
        return self.graph.name

    def settings(self) -> dict[str, Any]:
        """Kind and depth, for records of tunings."""
        return {"graph": dataclasses.asdict(self.graph)}

    def inputs(self, view: TaskView) -> GraphInputs:
        """Propagated features, and the operators of a second layer; ``ExpertError`` for a task without edges."""
        return graph_inputs(view, self.graph)

    def expert(self, view: TaskView, role: Role, parameters: LaneParameters, lane: int = 0) -> GraphExpert:
        """A graph expert."""
        return GraphExpert.of_lane(view, role, self.graph, parameters, lane)
