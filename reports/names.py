"""How kinds of methods and metrics are called, ordered and coloured on the pages.

Colours are the palette of Okabe & Ito, which people with the common colour vision deficiencies can tell apart; kinds
also differ by shape, so that no mark depends on colour alone.
"""

from __future__ import annotations

from metrics.registry import METRICS

BLUE, SKY, GREEN, ORANGE, VERMILLION, PURPLE, INK, GREY = (
    "#0072B2", "#56B4E9", "#009E73", "#E69F00", "#D55E00", "#CC79A7", "#1A1A1A", "#6B6B6B",
)  # fmt: skip

PALETTE = {
    "blue": BLUE, "sky": SKY, "green": GREEN, "orange": ORANGE, "vermillion": VERMILLION, "purple": PURPLE,
    "ink": INK, "grey": GREY,
}  # fmt: skip
"""What the records of methods call the colours."""

KINDS = {
    "gate": "gated mixtures",
    "static": "mixtures without a gate",
    "expert": "experts",
    "twin": "λ = 0 twins",
    "baseline": "baselines",
    "own": "own methods",
}
"""Kinds of methods: what they are told apart by in figures and in the filter."""

READS = {"tabular": "tabular", "graph": "graph", "text": "text", "both": "both families"}
"""What a method reads a row as: feature columns, columns and edges, sentences, or columns and sentences both."""

SECTIONS = {
    "tabular": "Tabular experts and their mixtures",
    "baselines": "Baselines: what one would pick instead",
    "own": "Own methods",
    "graph": "Graph experts, and mixtures with them",
    "graph-baselines": "Graph baselines",
    "text": "Text experts and their mixtures",
    "adapters": "Other kinds of adapters, and the base alone",
    "both": "Mixtures of both families",
}
"""Parts of tables and figures, in their order."""

UTILITY, DISPARITY = "utility@1", "fair_res@1"
"""The two axes of the question: how useful, and how unequal in its results."""

HEADLINE = (UTILITY, DISPARITY, "fair_proc@1", "final@1")
OUTCOME = ("acc@1", "f1@1", "auc@1", "dp@1", "eopp@1", "eodds@1", "ece@1")
PROCEDURAL = ("fair_proc@1", "ref@1", "vef@1", "att_jsd@1", "signed_att@1", "cfr@1", "sens_share@1", "gpf_fae@1")

ROUTING = {
    "routing_jsd@1": "routing disparity",
    "soft_dp@1": "soft parity gap",
    "soft_dp_routing@1": "… by routing",
    "soft_dp_within@1": "… within experts",
    "soft_eopp@1": "soft opportunity gap",
    "soft_eopp_routing@1": "… by routing",
    "soft_eopp_within@1": "… within experts",
    "routing_flip_tv@1": "routing flip",
    "effective_experts@1": "experts in use",
    "oracle_closed@1": "oracle gap closed",
}
"""Metrics of mixtures alone, in the order of the gate panel, and their words."""


def section_of(kind: str, reads: str) -> str:
    """Part of the tables that a method of a kind stands in: a key of ``SECTIONS``."""
    if kind == "own":
        return "own"
    plain = {"tabular": "baselines", "graph": "graph-baselines", "text": "adapters"}
    return plain.get(reads, reads) if kind == "baseline" else reads


def metric_name(metric: str) -> str:
    """Words of a metric, from the registry; a metric of mixtures, or an unknown one, by its own words or its id."""
    return METRICS[metric].name if metric in METRICS else ROUTING.get(metric, metric)


def metric_symbol(metric: str) -> str:
    """Column head of a metric."""
    if metric == UTILITY:
        return "utility"
    return METRICS[metric].symbol if metric in METRICS else ROUTING.get(metric, plain_metric(metric))


def plain_metric(metric: str) -> str:
    """An unknown metric by its id, without the version."""
    return metric.removesuffix("@1").replace("_", " ")


def larger_is_better(metric: str) -> bool:
    """Direction of a metric of the registry."""
    return METRICS[metric].direction == "higher"
