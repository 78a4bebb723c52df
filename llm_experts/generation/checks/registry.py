"""The checks that there are."""

from __future__ import annotations

from collections.abc import Sequence

from foundation.discovery import items, load
from llm_experts.data.error import DataError
from llm_experts.generation.checks.check import Check

ROOM, NAME = "llm_experts.generation.checks", "CHECK"
CHECKS: dict[str, Check] = {
    check.name: check
    for check in sorted((load(ROOM, NAME, item) for item in items(ROOM, NAME)), key=lambda c: (c.needs_model, c.name))
}
"""The files of this room that define a ``CHECK``, and those of plug-in folders; those that ask no model come first."""


def checks_named(names: Sequence[str]) -> tuple[Check, ...]:
    """Checks in the order of :data:`CHECKS`; ``all`` and ``none`` may stand alone.

    Raises
    ------
    DataError
        If there is none of a name.
    """
    if list(names) in (["all"], ["none"]):
        return tuple(CHECKS.values()) if names[0] == "all" else ()
    for name in names:
        if name not in CHECKS:
            raise DataError(f"There is no check {name!r}; checks are {', '.join(CHECKS)}, or all, or none.")
    return tuple(check for check in CHECKS.values() if check.name in names)
