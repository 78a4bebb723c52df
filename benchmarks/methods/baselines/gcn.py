"""A plain graph convolutional network."""

from __future__ import annotations

from benchmarks.methods.baseline import Baseline, Params
from benchmarks.methods.baselines._graph import fit_plain, published, space
from benchmarks.methods.graph_model import GraphModel
from tasks.task import TaskView


def fit(view: TaskView, params: Params, seed: int) -> GraphModel:
    """GCN on the training nodes; the loss of the validation nodes chooses the epoch."""
    return fit_plain(view, params, seed, "gcn")


METHOD = Baseline(
    label="GCN",
    about="plain graph convolutions",
    family="gcn",
    reference="Kipf and Welling, Semi-Supervised Classification with Graph Convolutional Networks, ICLR 2017",
    fit=fit,
    space=space,
    graph=True,
    published=published,
    colour="ink",
    explainer="occlusion",
    place=120,
)
