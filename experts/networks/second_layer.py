"""The contract of a second layer over neighbours: what lanes of graph networks do beyond tabular ones."""

from __future__ import annotations

from typing import Protocol

from torch import Tensor

from experts.networks.lanes import LaneParameters, Parts, Workspace


class SecondLayer(Protocol):
    """A second layer for some rows, and the nodes that it reads.

    Parameters of lanes are as :meth:`experts.networks.lanes.LaneParameters.split` gives them.
    """

    @property
    def nodes(self) -> int:
        """Nodes whose hidden layer is read."""
        ...

    def first(self, count: int) -> SecondLayer:
        """The same for the first ``count`` rows."""
        ...

    def forward(self, parts: Parts, mask: Tensor, workspace: Workspace) -> tuple[Tensor, Tensor]:
        """Margins [K, n] of the rows under dropout, and the slopes that :meth:`backward` needs; builds no graph."""
        ...

    def backward(self, upstream: Tensor, slopes: Tensor, parts: Parts, out: Tensor) -> None:
        """Write the gradient of Σ upstream · margins into ``out`` [K, P]; overwrites the slopes."""
        ...

    def probabilities(self, parameters: LaneParameters) -> Tensor:
        """[K, n] probabilities of class 1 of the rows."""
        ...

    def reasons(self, parameters: LaneParameters, indicator: Tensor | None) -> tuple[Tensor, Tensor]:
        """Attributions by source column [K, n, c] and probabilities with each row's top column masked [K, n]."""
        ...

    def explain(
        self, parts: Parts, members: Tensor, weights: Tensor | None, indicator: Tensor | None
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Pre-activations [K, h, n] and margins [K, n] of the rows, and attribution profiles [K, c, g] of the groups.

        Differentiable, without dropout. ``members`` [n, g], ``weights`` [K, n] and ``indicator`` [c, d] are those of
        :class:`experts.networks.group_profiles.ProfileRows`.
        """
        ...
