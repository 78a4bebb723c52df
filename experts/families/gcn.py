"""Graph convolutional networks (Kipf and Welling, ICLR 2017)."""

from __future__ import annotations

from experts.families.family import Family
from experts.families.graphs import graph_tuner, load_graph

FAMILY = Family(
    label="GCN",
    code="g",
    needs_edges=True,
    explainer="integrated_gradients",
    tuner=graph_tuner("gcn"),
    load=load_graph,
)
