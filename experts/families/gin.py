"""Graph isomorphism networks (Xu et al., ICLR 2019)."""

from __future__ import annotations

from experts.families.family import Family
from experts.families.graphs import graph_tuner, load_graph

FAMILY = Family(
    label="GIN",
    code="i",
    needs_edges=True,
    explainer="integrated_gradients",
    tuner=graph_tuner("gin"),
    load=load_graph,
)
