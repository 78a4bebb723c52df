"""What the families of graph networks share."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from experts.graph.expert import GraphExpert
    from experts.graph.settings import Kind
    from experts.networks.network import Network
    from experts.tuning.network_tuner import NetworkTuner


def graph_tuner(kind: Kind) -> Callable[[], NetworkTuner]:
    """The tuner of a kind of graph network."""

    def tuner() -> NetworkTuner:
        from experts.graph.network import GraphNetwork
        from experts.graph.settings import GraphSettings
        from experts.tuning.network_tuner import NetworkTuner

        def network(layers: int) -> Network:
            return GraphNetwork(GraphSettings(kind, layers))

        return NetworkTuner(network)

    return tuner


def load_graph(folder: Path) -> GraphExpert:
    """A saved expert."""
    from experts.graph.expert import GraphExpert

    return GraphExpert.load(folder)
