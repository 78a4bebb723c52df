"""The second graph layer as the lane trainer uses it."""

from __future__ import annotations

from torch import Tensor

from experts.graph.layers import (
    Explained,
    graph_backward,
    graph_forward,
    graph_probabilities,
    graph_profiles,
    graph_reasons,
    head_margins,
)
from experts.graph.neighbourhood import Neighbourhood
from experts.networks.lanes import LaneParameters, Parts, Workspace, hidden


class GraphLayer(Neighbourhood):
    """A second graph layer over the neighbourhood of some rows: :class:`experts.networks.second_layer.SecondLayer`."""

    def forward(self, parts: Parts, mask: Tensor, workspace: Workspace) -> tuple[Tensor, Tensor]:
        """Margins [K, n] under dropout, and the nodes' slopes [K, h, m]."""
        return graph_forward(parts, self, mask, workspace)

    def backward(self, upstream: Tensor, slopes: Tensor, parts: Parts, out: Tensor) -> None:
        """Write the gradient of Σ upstream · margins into ``out`` [K, P]; overwrites the slopes."""
        graph_backward(upstream, slopes, parts, self, out)

    def probabilities(self, parameters: LaneParameters) -> Tensor:
        """[K, n] probabilities of class 1 of the rows."""
        return graph_probabilities(parameters, self)

    def reasons(self, parameters: LaneParameters, indicator: Tensor | None) -> tuple[Tensor, Tensor]:
        """Attributions by source column [K, n, c] and probabilities with each row's top column masked [K, n]."""
        return graph_reasons(parameters, self, indicator)

    def explain(
        self, parts: Parts, members: Tensor, weights: Tensor | None, indicator: Tensor | None
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Own pre-activations of the first layer [K, h, n], margins [K, n] and attribution profiles [K, c, g]."""
        pre_activations = hidden(parts[0], self.features)
        profiles = graph_profiles(pre_activations, parts, Explained(self, members, weights, indicator))
        return pre_activations[..., self.own], head_margins(pre_activations, parts, self), profiles
