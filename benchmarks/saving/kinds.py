"""Which code reads what a saved model is made of.

Descriptions say a *kind*, which is looked up here and nowhere else: files may come from strangers, and no file names
code that is run.
"""

from __future__ import annotations

import importlib
from typing import Any

MODELS = {
    "linear": "benchmarks.methods.baselines._linear:LinearModel",
    "trees": "experts.trees.booster:TreeModel",
    "symmetric trees": "benchmarks.methods.baselines.catboost:SymmetricTrees",
    "histogram trees": "benchmarks.methods.baselines.gradient_boosting:HistogramTrees",
    "network": "benchmarks.methods.baselines._network:Network",
    "linear votes": "benchmarks.methods.baselines._reductions:LinearVotes",
    "tree votes": "benchmarks.methods.baselines._reductions:TreeVotes",
    "group cuts": "benchmarks.methods.baselines.oxonfair:GroupCuts",
    "group lotteries": "benchmarks.methods.baselines.error_parity:GroupLotteries",
    "group thresholds": "benchmarks.methods.baselines.threshold_optimizer:GroupThresholds",
    "linear post": "benchmarks.methods.baselines.linear_post:LinearPostModel",
    "on uncorrelated": "benchmarks.methods.baselines.correlation_remover:OnUncorrelated",
    "linear on uncorrelated": "benchmarks.methods.baselines.correlation_remover:LinearOnUncorrelated",
}
"""Fitted models of baselines, by their kind: a class with ``read(folder)``."""

NETWORKS = {
    "gcn": "benchmarks.methods.baselines._graph:gcn_classifier",
    "gin": "benchmarks.methods.baselines._graph:gin_classifier",
    "normed gcn": "benchmarks.methods.baselines.nifty:normed_classifier",
    "linear gcn": "benchmarks.methods.baselines._linear_gcn:empty_gcn",
    "line": "benchmarks.methods.baselines.fairvgnn:empty_line",
}
"""Networks of graph baselines: (number of features, settings) → the network without its weights."""

PROPAGATIONS = {
    "smoothed": "benchmarks.methods.baselines._graph:Smoothed",
    "summed": "benchmarks.methods.baselines._graph:Summed",
    "reweighted": "benchmarks.methods.baselines.edits:Reweighted",
}
"""What graph baselines read of a graph."""

READERS = {
    "family": "benchmarks.models.kinds.readers:family",
    "bag": "benchmarks.models.kinds.readers:bag",
    "mixture": "benchmarks.models.kinds.readers:mixture",
    "decided": "benchmarks.models.kinds.readers:decided",
    "baseline": "benchmarks.models.kinds.readers:baseline",
    "group baseline": "benchmarks.models.kinds.readers:group_baseline",
    "constant": "benchmarks.models.kinds.readers:constant",
    "graph baseline": "benchmarks.models.kinds.readers:graph_baseline",
    "estimator": "benchmarks.models.kinds.readers:estimator",
    "text": "benchmarks.models.kinds.text_readers:text",
    "text mixture": "benchmarks.models.kinds.text_readers:text_mixture",
}
"""Experts, by the kind in their ``expert.json``: (folder, its facts, a reader of inner experts) → expert."""


def named(table: dict[str, str], kind: Any) -> Any:
    """The code of a kind, imported now; None where there is no such kind."""
    if not isinstance(kind, str) or kind not in table:
        return None
    module, name = table[kind].split(":")
    return getattr(importlib.import_module(module), name)
