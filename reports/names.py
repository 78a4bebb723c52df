"""How methods and metrics are called, ordered and coloured on the pages.

Colours are the palette of Okabe & Ito, which people with the common colour vision deficiencies can tell apart; kinds
also differ by shape, so that no mark depends on colour alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from metrics.registry import METRICS

BLUE, SKY, GREEN, ORANGE, VERMILLION, PURPLE, INK, GREY = (
    "#0072B2", "#56B4E9", "#009E73", "#E69F00", "#D55E00", "#CC79A7", "#1A1A1A", "#6B6B6B",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class MethodName:
    """Words and mark of a method."""

    label: str
    kind: str  # a key of KINDS
    colour: str
    about: str
    reads: str = ""
    """What it reads, where its suite says so: a key of ``READS``."""
    reference: str = ""
    """Where it comes from, where its suite says so."""


KINDS = {
    "gate": "gated mixtures",
    "static": "mixtures without a gate",
    "expert": "experts",
    "twin": "λ = 0 twins",
    "baseline": "baselines",
    "own": "own methods",
}
"""Kinds of methods: what they are told apart by in figures and in the filter."""


GRAPH_KINDS = {"gcn": "GCN", "gin": "GIN", "sage": "SAGE"}
"""Graph experts by the layer they are made of."""

GRAPH_FAMILIES = frozenset({*GRAPH_KINDS, "graph"})
"""Families, as tables have them, that need the edges of a task."""


def _graph_experts() -> dict[str, MethodName]:
    """Graph experts of all roles, then their twins."""
    roles = {"utility": VERMILLION, "result": GREEN, "procedural": PURPLE}
    experts = {
        f"{kind}_{role}": MethodName(f"{words} {role} expert", "expert", colour, f"{role} expert that passes messages")
        for kind, words in GRAPH_KINDS.items()
        for role, colour in roles.items()
    }
    twins = {
        f"{kind}_{role}_lambda0": MethodName(f"{words} {role}, λ = 0", "twin", roles[role], "without its loss")
        for kind, words in GRAPH_KINDS.items()
        for role in ("result", "procedural")
    }
    return experts | twins


METHOD_NAMES = {
    "mixture": MethodName("Mixture", "gate", BLUE, "experts and gate after joint fine-tuning"),
    "gate_dense": MethodName("Dense gate", "gate", BLUE, "frozen experts, softmax weights row by row"),
    "gate_top2": MethodName("Top-2 gate", "gate", BLUE, "the same gate, only its two largest weights"),
    "static_simplex": MethodName("Static weights", "static", SKY, "one set of weights for all rows"),
    "uniform": MethodName("Uniform mixture", "static", SKY, "every expert weighs the same"),
    "best_single": MethodName("Best single expert", "static", SKY, "the expert that validation rows prefer"),
    "utility": MethodName("Utility expert", "expert", VERMILLION, "tuned for accuracy, F1 and AUC"),
    "result": MethodName("Result expert", "expert", GREEN, "tuned for small gaps in outcomes"),
    "procedural": MethodName("Procedural expert", "expert", PURPLE, "tuned for the same reasons in all groups"),
    "result_lambda0": MethodName("Result, λ = 0", "twin", GREEN, "the result expert without its loss"),
    "procedural_lambda0": MethodName("Procedural, λ = 0", "twin", PURPLE, "the procedural expert without its loss"),
    "combined_mlp": MethodName("Combined-loss MLP", "baseline", ORANGE, "one network, all losses at once"),
    "graph_gate_dense": MethodName("Graph gate", "gate", BLUE, "tabular and graph experts, row by row"),
    "graph_static_simplex": MethodName("Graph static weights", "static", SKY, "both kinds, one set of weights"),
    "graph_uniform": MethodName("Graph uniform mixture", "static", SKY, "tabular and graph experts weigh the same"),
    "graph_best_single": MethodName("Graph best single", "static", SKY, "the best of tabular and graph experts"),
    **_graph_experts(),
    "constant": MethodName("Constant predictor", "baseline", GREY, "the same answer for everyone"),
    "logistic_regression": MethodName("Logistic regression", "baseline", GREY, "plain, without a fairness method"),
    "gradient_boosting": MethodName("HistGradientBoosting", "baseline", INK, "plain trees, no fairness method"),
    "lightgbm": MethodName("LightGBM", "baseline", INK, "plain trees, no fairness method"),
    "reweighing": MethodName("Reweighing", "baseline", ORANGE, "row weights make group and label independent"),
    "exponentiated_gradient": MethodName(
        "ExponentiatedGradient (linear)", "baseline", ORANGE, "a random choice among reweighted linear models"
    ),
    "exponentiated_gradient_trees": MethodName(
        "ExponentiatedGradient (trees)", "baseline", ORANGE, "a random choice among reweighted small trees"
    ),
    "grid_search": MethodName("GridSearch (linear)", "baseline", ORANGE, "the best of a grid of linear models"),
    "threshold_optimizer": MethodName("ThresholdOptimizer", "baseline", ORANGE, "trees with a threshold per group"),
    "correlation_remover": MethodName("CorrelationRemover", "baseline", ORANGE, "features uncorrelated with groups"),
    "adversarial_mitigation": MethodName("Adversarial mitigation", "baseline", ORANGE, "an adversary looks for groups"),
    "gcn": MethodName("GCN", "baseline", INK, "plain graph convolutions"),
    "gin": MethodName("GIN", "baseline", INK, "plain graph isomorphism network"),
    "nifty": MethodName("NIFTY", "baseline", ORANGE, "GCN alike under changed edges, features and groups"),
    "fairgnn": MethodName("FairGNN", "baseline", ORANGE, "GCN with an adversary on the group"),
    "edits": MethodName("EDITS", "baseline", ORANGE, "attributes and edges changed, then a GCN"),
    "fairvgnn": MethodName("FairVGNN", "baseline", ORANGE, "learnt masks of attributes that tell the group"),
    "llm_mixture": MethodName("LLM mixture", "gate", BLUE, "text experts and gate after joint fine-tuning"),
    "llm_gate_dense": MethodName("LLM dense gate", "gate", BLUE, "frozen text experts, softmax weights row by row"),
    "llm_static_simplex": MethodName("LLM static weights", "static", SKY, "text experts, one set of weights"),
    "llm_uniform": MethodName("LLM uniform mixture", "static", SKY, "every text expert weighs the same"),
    "llm_best_single": MethodName("LLM best single", "static", SKY, "the text expert that validation rows prefer"),
    "llm_bank": MethodName("LLM adapter bank", "gate", BLUE, "adapters mixed row by row inside the layers"),
    "llm_svf_search": MethodName("LLM SVF search", "static", SKY, "singular-value vectors, weights by evolution"),
    "llm_dispatch": MethodName("LLM dispatch", "gate", BLUE, "Bayesian dispatch by hidden state and keywords"),
    "llm_utility": MethodName("LLM utility expert", "expert", VERMILLION, "adapter tuned for accuracy, F1 and AUC"),
    "llm_result": MethodName("LLM result expert", "expert", GREEN, "adapter tuned for small gaps in outcomes"),
    "llm_procedural": MethodName("LLM procedural expert", "expert", PURPLE, "adapter tuned for the same reasons"),
    "llm_result_lambda0": MethodName("LLM result, λ = 0", "twin", GREEN, "the result adapter without its loss"),
    "llm_procedural_lambda0": MethodName("LLM procedural, λ = 0", "twin", PURPLE, "without its loss"),
    "llm_rslora": MethodName("LLM rsLoRA", "baseline", ORANGE, "utility adapter: rank-stabilised LoRA"),
    "llm_dora": MethodName("LLM DoRA", "baseline", ORANGE, "utility adapter: weight-decomposed LoRA"),
    "llm_lora_fa": MethodName("LLM LoRA-FA", "baseline", ORANGE, "utility adapter: LoRA with frozen A"),
    "llm_ia3": MethodName("LLM IA³", "baseline", ORANGE, "utility adapter: learnt gains"),
    "llm_svf": MethodName("LLM SVF", "baseline", ORANGE, "utility adapter: singular-value fine-tuning"),
    "llm_prefix": MethodName("LLM prefix", "baseline", ORANGE, "utility adapter: learnt keys and values"),
    "llm_soft_prompt": MethodName("LLM soft prompt", "baseline", ORANGE, "utility adapter: learnt input vectors"),
    "llm_base": MethodName("LLM base", "baseline", GREY, "the base model as it is, calibrated"),
    "cross_gate_dense": MethodName("Cross-family gate", "gate", BLUE, "tabular and text experts, gated row by row"),
    "cross_static_simplex": MethodName("Cross-family weights", "static", SKY, "both families, one set of weights"),
    "cross_uniform": MethodName("Cross-family uniform", "static", SKY, "tabular and text experts weigh the same"),
    "cross_best_single": MethodName("Cross-family best single", "static", SKY, "the best of both families"),
}  # fmt: skip

BASE = "llm_base"
"""The base model without any adapter, as a method."""

EXPERT_NAMES = {"base": MethodName("Base", "baseline", GREY, "the base model without an adapter")}
"""Experts of mixtures that are no method of their own."""

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


@dataclass(frozen=True, slots=True)
class Block:
    """Comparisons that answer one question; Holm's correction runs within a block."""

    id: str
    title: str
    reads: str  # key of READS: what the filter hides it with
    mixture: str  # the method that the sentences speak of; "" for none
    pairs: tuple[tuple[str, str], ...]


BLOCKS = (
    Block(
        "tabular", "Tabular experts and their mixture", "tabular", "mixture",
        (
            ("mixture", "best_single"), ("mixture", "static_simplex"), ("mixture", "uniform"),
            ("mixture", "combined_mlp"), ("mixture", "gradient_boosting"), ("result", "result_lambda0"),
            ("procedural", "procedural_lambda0"),
        ),
    ),
    Block(
        "baselines", "The mixture against what one would pick instead", "tabular", "",
        tuple(
            ("mixture", m)
            for m in ("lightgbm", "exponentiated_gradient", "threshold_optimizer", "reweighing")
        ),
    ),
    Block(
        "graph", "Graph experts and mixtures with them", "graph", "graph_gate_dense",
        (
            ("graph_gate_dense", "graph_best_single"), ("graph_gate_dense", "mixture"),
            ("graph_gate_dense", "fairgnn"), ("graph_gate_dense", "nifty"), ("gcn_utility", "utility"),
            ("gcn_result", "gcn_result_lambda0"), ("gcn_procedural", "gcn_procedural_lambda0"),
        ),
    ),
    Block(
        "text", "Text experts: what training and each objective do", "text", "",
        (
            ("llm_utility", "llm_base"), ("llm_utility", "constant"), ("llm_result", "llm_result_lambda0"),
            ("llm_result", "llm_utility"), ("llm_procedural", "llm_procedural_lambda0"),
            ("llm_procedural", "llm_utility"),
        ),
    ),
    Block(
        "text-mixtures", "Mixtures of text experts", "text", "llm_mixture",
        tuple((m, "llm_best_single") for m in ("llm_mixture", "llm_bank", "llm_dispatch", "llm_svf_search")),
    ),
    Block(
        "both", "Both families together", "both", "cross_gate_dense",
        (("cross_gate_dense", "cross_best_single"), ("cross_gate_dense", "mixture"), ("llm_utility", "utility")),
    ),
)  # fmt: skip
"""Questions about pairs of methods: what a mixture, and what each fairness loss, achieves."""

COMPARISONS = tuple(pair for block in BLOCKS for pair in block.pairs)
"""Pairs whose difference is told, first minus second."""

HEADLINE = ("utility@1", "fair_res@1", "fair_proc@1", "final@1")
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


BIAS_SETS = {"bbq": "BBQ", "crows_pairs": "CrowS-Pairs", "stereoset": "StereoSet", "winobias": "WinoBias"}
"""Names of the language bias sets, in the order of the table."""


@dataclass(frozen=True, slots=True)
class BiasName:
    """Head of a column of the bias table: ``ideal`` says which value is best, ``digits`` how many decimals."""

    symbol: str
    ideal: str
    about: str
    digits: int = 3


BIAS = {
    ("bbq", "acc_amb@1"): BiasName("acc. ambiguous", "1 best", "accuracy where the right answer is “unknown”"),
    ("bbq", "acc_dis@1"): BiasName("acc. decided", "1 best", "accuracy where the context decides"),
    ("bbq", "s_amb@1"): BiasName("bias ambiguous", "0 ideal", "answers that follow the stereotype, weighted by errors"),
    ("bbq", "s_dis@1"): BiasName("bias decided", "0 ideal", "answers that follow the stereotype, where it is decided"),
    ("crows_pairs", "shared@1"): BiasName("score %", "50 ideal", "pairs whose stereotype is likelier, shared words", 1),
    ("stereoset", "lms@1"): BiasName("LMS %", "100 best", "related continuations preferred to the unrelated one", 1),
    ("stereoset", "ss@1"): BiasName("SS %", "50 ideal", "stereotypes preferred to anti-stereotypes", 1),
    ("stereoset", "icat@1"): BiasName("ICAT", "100 best", "LMS · min(SS, 100 − SS) / 50", 1),
    ("winobias", "acc_mean@1"): BiasName("accuracy", "1 best", "mean of sentences for and against the stereotype"),
    ("winobias", "gap@1"): BiasName("gap", "0 ideal", "accuracy for minus accuracy against the stereotype"),
}
"""Columns of the bias table, in their order; other metrics of a set stand in its fold."""


def method_name(method: str, info: Mapping[str, str] | None = None) -> MethodName:
    """Words of a method or an expert.

    Parameters
    ----------
    method : str
    info : mapping, optional
        What the suite says of a baseline or an own method: "label", "about", "reference", "kind" and "reads". It
        names methods that are not built in; one without it is called by its id.
    """
    info = info or {}
    found = METHOD_NAMES.get(method) or EXPERT_NAMES.get(method)
    if found is None:
        kind = "own" if info.get("kind") == "own" else "baseline"
        found = MethodName(info.get("label") or method, kind, INK, info.get("about", ""))
    return replace(found, reads=info.get("reads", ""), reference=info.get("reference", "")) if info else found


def reads(method: str, family: str = "") -> str:
    """What a method or an expert reads: a key of ``READS``; an unknown one by the family in its rows."""
    if method.startswith("cross_"):
        return "both"
    if method.startswith("llm_") or method == "base" or family == "llm":
        return "text"
    edges = method.startswith(("graph_", *(f"{kind}_" for kind in GRAPH_KINDS))) or family in GRAPH_FAMILIES
    return "graph" if edges else "tabular"


def section(method: str, family: str = "", name: MethodName | None = None) -> str:
    """Part of the tables that a method stands in: a key of ``SECTIONS``."""
    name = name or method_name(method)
    where = name.reads or reads(method, family)
    if name.kind == "own":
        return "own"
    plain = {"tabular": "baselines", "graph": "graph-baselines", "text": "adapters"}
    return plain.get(where, where) if name.kind == "baseline" else where


def secondary(method: str) -> bool:
    """Whether a method is there to explain others: a twin, a second kind of gate, graph layer or adapter."""
    name = method_name(method)
    return (
        name.kind == "twin"
        or method in ("gate_top2", "llm_gate_dense", "grid_search", "exponentiated_gradient_trees")
        or method.startswith(("gin_", "sage_"))
        or (method.startswith("llm_") and name.kind == "baseline" and method != BASE)
    )


def expert_code(expert: str) -> str:
    """Letter of an expert in the gate panel: U, R, P; t before it for text, and g, i or s for kinds of graph layers."""
    layer, _, role = expert.partition("_")
    if role and layer in GRAPH_KINDS:
        return {"gcn": "g", "gin": "i", "sage": "s"}[layer] + role[:1].upper()
    role = expert.removeprefix("llm_")
    return ("t" if reads(expert) == "text" else "") + role[:1].upper()


def bias_name(set: str, metric: str) -> BiasName:
    """Head of a column of the bias table; an unknown metric is called by its id."""
    return BIAS.get((set, metric)) or BiasName(metric.removesuffix("@1").replace("_", " "), "", "")


def metric_name(metric: str) -> str:
    """Words of a metric, from the registry; a metric of mixtures, or an unknown one, by its own words or its id."""
    return METRICS[metric].name if metric in METRICS else ROUTING.get(metric, metric)


def metric_symbol(metric: str) -> str:
    """Column head of a metric."""
    if metric == "utility@1":
        return "utility"
    return (
        METRICS[metric].symbol
        if metric in METRICS
        else ROUTING.get(metric, metric.removesuffix("@1").replace("_", " "))
    )


def larger_is_better(metric: str) -> bool:
    """Direction of a metric of the registry."""
    return METRICS[metric].direction == "higher"


def expert_colour(expert: str) -> str:
    """Colour of an expert in the gate panel: that of its role."""
    return method_name(expert).colour
