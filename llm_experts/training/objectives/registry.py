"""The terms of the objectives: the files of this room that define a ``TERM``, and those of plug-in folders."""

from __future__ import annotations

from typing import get_args

from experts.expert import Role
from foundation.discovery import items, load
from llm_experts.training.objectives.term import Term

ROOM, NAME = "llm_experts.training.objectives", "TERM"


def _all_terms() -> dict[str, Term]:
    terms = [load(ROOM, NAME, item) for item in items(ROOM, NAME)]
    return {term.name: term for term in sorted(terms, key=lambda term: (term.order, term.name))}


TERMS = _all_terms()
LAMBDAS: dict[Role, tuple[str, ...]] = {
    role: tuple(name for name, term in TERMS.items() if role in term.roles) for role in get_args(Role)
}
"""Names of each role's weights."""
