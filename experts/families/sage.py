"""GraphSAGE networks (Hamilton et al., NeurIPS 2017)."""

from __future__ import annotations

from experts.families.family import Family
from experts.families.graphs import graph_tuner, load_graph

FAMILY = Family(
    label="SAGE",
    code="s",
    needs_edges=True,
    explainer="integrated_gradients",
    tuner=graph_tuner("sage"),
    load=load_graph,
)
