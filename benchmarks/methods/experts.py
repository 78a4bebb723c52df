"""Experts on tables and graphs as methods: each role of each family, its λ = 0 twins, and one network of all losses."""

from __future__ import annotations

from benchmarks.methods.families import FamilyFacts
from benchmarks.methods.method import Method, Rate, network_name
from experts.families.registry import PLAIN
from experts.roles import ROLES, Role

COLOURS: dict[Role, str] = {"utility": "vermillion", "result": "green", "procedural": "purple", "combined": "orange"}

ABOUT: dict[Role, str] = {
    "utility": "tuned for accuracy, F1 and AUC",
    "result": "tuned for small gaps in outcomes",
    "procedural": "tuned for the same reasons in all groups",
}

TWIN_ABOUT: dict[Role, str] = {
    "result": "the result expert without its loss",
    "procedural": "the procedural expert without its loss",
}

COMPARED = {
    "result": (("tabular", "result_lambda0"),),
    "procedural": (("tabular", "procedural_lambda0"),),
    "gcn_utility": (("graph", "utility"),),
    "gcn_result": (("graph", "gcn_result_lambda0"),),
    "gcn_procedural": (("graph", "gcn_procedural_lambda0"),),
}
"""What each fairness loss achieves, and what edges do."""

LEVELS = {"utility": (("rival", "thresholds"), ("reference", "thresholds"))}
LANDMARKS = ("utility", "result")
SECOND_LAYERS = ("gin", "sage")
"""Graph layers beside the one that the graph mixtures hold by default."""

TWIN_RATE = Rate(1.0, 0.8)


def network_rate(family: FamilyFacts) -> Rate:
    """Time of tuning a role, per trial."""
    return Rate(0.2, 0.3, per_trial=True) if family.needs_edges else Rate(0.15, 0.10, per_trial=True)


def experts_of(family: FamilyFacts) -> tuple[Method, ...]:
    """The three roles of a family."""
    return tuple(_expert(family, role) for role in ROLES)


def twins_of(family: FamilyFacts) -> tuple[Method, ...]:
    """The fair roles of a family without their fairness terms."""
    return tuple(_twin(family, role) for role in ROLES[1:])


def combined_of(family: FamilyFacts) -> Method:
    """One network with the losses of all roles."""
    return Method(
        id=f"combined_{family.name}",
        label=f"Combined-loss {family.label}",
        about="one network, all losses at once",
        family=family.name,
        colour=COLOURS["combined"],
        explainer=family.explainer,
        recipe="benchmarks.run.stages.experts:NETWORK",
        tuned=True,
        networks=(("combined", family.name),),
        rate=network_rate(family),
    )


def _expert(family: FamilyFacts, role: Role) -> Method:
    name = network_name(role, family.name)
    return Method(
        id=name,
        label=_label(family, f"{role} expert"),
        about=f"{role} expert that passes messages" if family.needs_edges else ABOUT[role],
        kind="expert",
        family=family.name,
        reads=_reads(family),
        colour=COLOURS[role],
        explainer=family.explainer,
        secondary=family.name in SECOND_LAYERS,
        landmark=name in LANDMARKS,
        code=family.code + role[0].upper(),
        compared=COMPARED.get(name, ()),
        levels=LEVELS.get(name, ()),
        recipe="benchmarks.run.stages.experts:NETWORK",
        tuned=True,
        edges=family.needs_edges,
        role=role,
        networks=((role, family.name),),
        rate=network_rate(family),
    )


def _twin(family: FamilyFacts, role: Role) -> Method:
    return Method(
        id=f"{network_name(role, family.name)}_lambda0",
        label=_label(family, f"{role}, λ = 0"),
        about=TWIN_ABOUT[role] if family.name == PLAIN else "without its loss",
        kind="twin",
        family=family.name,
        reads=_reads(family),
        colour=COLOURS[role],
        explainer=family.explainer,
        secondary=True,
        recipe="benchmarks.run.stages.experts:TWIN",
        edges=family.needs_edges,
        role=role,
        networks=((role, family.name),),
        rate=TWIN_RATE,
    )


def _label(family: FamilyFacts, words: str) -> str:
    return words.capitalize() if family.name == PLAIN else f"{family.label} {words}"


def _reads(family: FamilyFacts) -> str:
    return "graph" if family.needs_edges else "tabular"
