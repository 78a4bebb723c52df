"""Experts on texts as methods: each role, its twins, other kinds of adapters, and the base alone."""

from __future__ import annotations

from typing import Any

from benchmarks.methods.experts import COLOURS
from benchmarks.methods.gates import TABULAR_ROLES, TEXT_RATE
from benchmarks.methods.method import Method
from experts.roles import ROLES, Role
from foundation.discovery import facts, items

ROOM, NAME = "llm_experts.adapters", "KIND"

LAST = 100
"""Place of a kind that says none."""

ROLE_KIND = "lora"
"""Kind of the three roles unless a suite says otherwise; the others are methods beside them."""

ABOUT: dict[Role, str] = {
    "utility": "adapter tuned for accuracy, F1 and AUC",
    "result": "adapter tuned for small gaps in outcomes",
    "procedural": "adapter tuned for the same reasons",
}
TWIN_ABOUT: dict[Role, str] = {
    "result": "the result adapter without its loss",
    "procedural": "without its loss",
}

COMPARED = {
    "utility": (("text", "llm_base"), ("text", "constant"), ("both", "utility")),
    "result": (("text", "llm_result_lambda0"), ("text", "llm_utility")),
    "procedural": (("text", "llm_procedural_lambda0"), ("text", "llm_utility")),
}


def _text(**said: Any) -> Method:
    """A method of the text half; mixtures of both families make the tabular roles part of every text job."""
    fixed: dict[str, Any] = {
        "reads": "text", "family": "llm", "explainer": "occlusion", "text": True, "networks": TABULAR_ROLES,
        "rate": TEXT_RATE,
    }  # fmt: skip
    return Method(**fixed | said)


EXPERTS = tuple(
    _text(
        id=f"llm_{role}", label=f"LLM {role} expert", about=ABOUT[role], kind="expert", colour=COLOURS[role],
        code=f"t{role[0].upper()}", compared=COMPARED[role], role=role,
        recipe="benchmarks.run.stages.text_experts:ADAPTER",
    )
    for role in ROLES
)  # fmt: skip

TWINS = tuple(
    _text(
        id=f"llm_{role}_lambda0", label=f"LLM {role}, λ = 0", about=TWIN_ABOUT[role], kind="twin",
        colour=COLOURS[role], secondary=True, role=role, recipe="benchmarks.run.stages.text_experts:TWIN",
    )
    for role in ROLES[1:]
)  # fmt: skip

BASE = _text(
    id="llm_base", label="LLM base", about="the base model as it is, calibrated", colour="grey", code="tB",
    untrained=True, recipe="benchmarks.run.stages.text_experts:BASE",
)  # fmt: skip


def adapter_kinds() -> tuple[Method, ...]:
    """Utility experts of every other kind of adapter, in the order of the pages."""
    found = {name: facts(path, NAME) for name, path in items(ROOM, NAME).items()}
    order = sorted(found, key=lambda name: found[name].get("place", LAST))
    return tuple(_kind(name, found[name]) for name in order if name != ROLE_KIND)


def _kind(name: str, said: dict[str, Any]) -> Method:
    about = said.get("about", "")
    return _text(
        id=f"llm_{name}", label=f"LLM {said.get('label', name)}", colour=COLOURS["combined"], secondary=True,
        about=f"utility adapter: {about}" if about else "utility adapter", adapter=name,
        recipe="benchmarks.run.stages.text_experts:KIND",
    )  # fmt: skip
