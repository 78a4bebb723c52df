"""A plain graph isomorphism network."""

from __future__ import annotations

from benchmarks.methods.baseline import Baseline, Params
from benchmarks.methods.baselines._graph import fit_plain, published, space
from benchmarks.methods.graph_model import GraphModel
from tasks.task import TaskView


def fit(view: TaskView, params: Params, seed: int) -> GraphModel:
    """GIN on the training nodes; the loss of the validation nodes chooses the epoch."""
    return fit_plain(view, params, seed, "gin")


METHOD = Baseline(
    label="GIN",
    about="plain graph isomorphism network",
    family="gin",
    reference="Xu et al., How Powerful are Graph Neural Networks?, ICLR 2019",
    fit=fit,
    space=space,
    graph=True,
    published=published,
    colour="ink",
    explainer="occlusion",
    place=130,
)
