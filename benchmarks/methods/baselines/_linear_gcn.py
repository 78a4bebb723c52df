"""One graph layer and one linear layer with no activation between them: the GCN that EDITS and FairVGNN stand on."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from benchmarks.methods.baseline import Params
from benchmarks.methods.baselines._graph_operators import undirected
from benchmarks.methods.baselines._graph_training import seeded
from experts.graph.adjacency import normalised
from tasks.task import TaskView

HIDDEN = 16
"""Width of the graph layer in the papers."""


class LinearGCN(nn.Module):
    """Margin = head(layer(P x) + bias) with the propagation P left out: it is given propagated features.

    All is linear, so one vector per model says what it does: see :meth:`line`. Columns that ``mask`` [d] holds 0 for
    are never read; (P X) * mask = P (X * mask).
    """

    mask: Tensor

    def __init__(self, mask: Tensor, hidden: int = HIDDEN) -> None:
        super().__init__()
        self.layer = nn.Linear(len(mask), hidden, bias=False)
        self.bias = nn.Parameter(torch.zeros(hidden))
        self.head = nn.Linear(hidden, 1)
        self.register_buffer("mask", mask.clone())

    @classmethod
    def drawn(cls, mask: Tensor, seed: int, *, glorot: bool = False) -> LinearGCN:
        """First weights from a seed; ``glorot``: those of the layer as graph libraries draw them."""
        with seeded(seed, "linear_gcn"):
            model = cls(mask)
            if glorot:
                nn.init.xavier_uniform_(model.layer.weight)
            return model

    def line(self, head: nn.Linear | None = None, masks: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Layers multiplied out: weights [..., d] of propagated features under masks [..., d], and the constant []."""
        head = self.head if head is None else head
        weight = head.weight[0]
        return (self.mask if masks is None else masks) * (weight @ self.layer.weight), weight @ self.bias + head.bias[0]

    def forward(self, propagated: Tensor) -> Tensor:
        """[r, d] propagated features → [r] margins."""
        weight, constant = self.line()
        return propagated @ weight + constant


def empty_gcn(features: int, settings: Params) -> LinearGCN:  # noqa: ARG001 - all are of one width
    """A linear GCN with weights that mean nothing yet."""
    return LinearGCN.drawn(torch.ones(features), 0)


def weighted_operator(view: TaskView, weights: Tensor) -> Tensor:
    """[n, n] CSR D^-1/2 (A + I) D^-1/2 of a task's graph with weights [m] ≥ 0 on its edges."""
    return normalised(undirected(view), len(view.features), weights.repeat(2))
