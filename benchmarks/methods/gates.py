"""Mixtures of frozen experts: a method per gate and pool of experts, from what each gate's file says of itself."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from benchmarks.methods.method import CROSS, GRAPH, TABULAR, TEXT, Method, Network, Rate
from experts.roles import ROLES
from foundation.discovery import facts, items

ROOM, NAME = "gates", "GATE"

TABULAR_ROLES: tuple[Network, ...] = tuple((role, "mlp") for role in ROLES)

PREFIX = {TABULAR: "", GRAPH: "graph_", TEXT: "llm_", CROSS: "cross_"}
READS = {TABULAR: "tabular", GRAPH: "graph", TEXT: "text", CROSS: "both"}
EXPLAINER = {
    TABULAR: "integrated_gradients", GRAPH: "shapley_sampling", TEXT: "occlusion", CROSS: "occlusion",
}  # fmt: skip
"""How a mixture of a pool's members is explained: as its least differentiable member asks for."""

WORDS = {
    (GRAPH, "dense"): ("Graph gate", "tabular and graph experts, row by row"),
    (GRAPH, "static_simplex"): ("Graph static weights", "both kinds, one set of weights"),
    (GRAPH, "uniform"): ("Graph uniform mixture", "tabular and graph experts weigh the same"),
    (GRAPH, "best_single"): ("Graph best single", "the best of tabular and graph experts"),
    (TEXT, "dense"): ("LLM dense gate", "frozen text experts, softmax weights row by row"),
    (TEXT, "static_simplex"): ("LLM static weights", "text experts, one set of weights"),
    (TEXT, "uniform"): ("LLM uniform mixture", "every text expert weighs the same"),
    (TEXT, "best_single"): ("LLM best single", "the text expert that validation rows prefer"),
    (CROSS, "dense"): ("Cross-family gate", "tabular and text experts, gated row by row"),
    (CROSS, "static_simplex"): ("Cross-family weights", "both families, one set of weights"),
    (CROSS, "uniform"): ("Cross-family uniform", "tabular and text experts weigh the same"),
    (CROSS, "best_single"): ("Cross-family best single", "the best of both families"),
}
"""Words that say better than the gate's own what it does in a pool; a new gate is called by :data:`COMPOSED`."""

COMPOSED = {
    GRAPH: ("Graph", "tabular and graph experts"), TEXT: ("LLM", "text experts"),
    CROSS: ("Cross-family", "tabular and text experts"),
}  # fmt: skip

SECONDARY = {"gate_top2", "llm_gate_dense"}
"""A second kind of gate, and the gate that the LLM mixture starts from."""

COMPARED = {
    "graph_gate_dense": tuple(("graph", other) for other in ("graph_best_single", "mixture", "fairgnn", "nifty")),
    "cross_gate_dense": tuple(("both", other) for other in ("cross_best_single", "mixture")),
}

LEVELS = {
    "graph_gate_dense": (("mixture", "plain"), ("mixture", "thresholds")),
    "cross_gate_dense": (("mixture", "plain"),),
}

RATE = Rate(1.5, 2.0)
TEXT_RATE = Rate(8.0, 30.0)


def gated(pool: str) -> tuple[Method, ...]:
    """The methods that mix a pool's experts, in the order of the pages."""
    found = [(name, _facts(path)) for name, path in items(ROOM, NAME).items()]
    ordered = sorted(found, key=lambda gate: gate[1]["place"])
    return tuple(_method(name, said, pool) for name, said in ordered if pool in said["pools"])


def _facts(path: Path) -> dict[str, Any]:
    """A gate's words with the defaults of :class:`gates.definition.GateDefinition`."""
    defaults: dict[str, Any] = {
        "label": path.stem, "about": "", "kind": "gate", "method": f"gate_{path.stem}", "pools": tuple(PREFIX),
        "colour": "blue", "place": 1000,
    }  # fmt: skip
    return defaults | {key: value for key, value in facts(path, NAME).items() if value != ""}


def _method(gate: str, said: dict[str, Any], pool: str) -> Method:
    name, text = PREFIX[pool] + said["method"], pool in (TEXT, CROSS)
    label, about = WORDS.get((pool, gate)) or _composed(said, pool)
    return Method(
        id=name,
        label=label,
        about=about,
        kind=said["kind"],
        family="mixture",
        reads=READS[pool],
        colour=said["colour"],
        explainer=EXPLAINER[pool],
        secondary=name in SECONDARY,
        compared=COMPARED.get(name, ()),
        levels=LEVELS.get(name, ()),
        recipe=f"benchmarks.run.stages.{'text_mixtures' if text else 'mixtures'}:GATED",
        text=text,
        edges=pool == GRAPH,
        networks=TABULAR_ROLES,
        pool=pool,
        gate=gate,
        rate=TEXT_RATE if text else RATE,
    )


def _composed(said: dict[str, Any], pool: str) -> tuple[str, str]:
    """Label and line of a gate in a pool for which it has no words of its own."""
    if pool == TABULAR:
        return said["label"], said["about"]
    first, experts = COMPOSED[pool]
    rest = said["label"]
    lowered = rest[:1].lower() + rest[1:] if rest[1:2].islower() else rest
    return f"{first} {lowered}", f"{experts}: {said['about']}" if said["about"] else experts
