"""The families that there are."""

from __future__ import annotations

from collections.abc import Sequence

from foundation.discovery import items, load
from llm_experts.data.error import DataError
from llm_experts.data.example import Example
from llm_experts.families.family import Family

ROOMS, NAME = ("llm_experts.families", "llm_experts.families.published"), "FAMILY"
FAMILIES: dict[str, Family] = {item: load(room, NAME, item) for room in ROOMS for item in items(room, NAME)}
"""The files of these rooms that define a ``FAMILY``, generated ones first, and those of plug-in folders."""
OF_TASKS = "rows"
"""The family whose items are rows of a task, which may stand behind a colon."""


def family_named(name: str) -> Family:
    """The family with this name; ``rows:TASK`` is that of another task's rows than the default one's.

    Raises
    ------
    DataError
        If there is none.
    """
    kind, _, task = name.partition(":")
    if kind == OF_TASKS and task:
        from llm_experts.families.rows import rows_of

        return rows_of(task)
    if name not in FAMILIES:
        raise DataError(f"There is no family {name!r}; families are {', '.join(FAMILIES)}.")
    return FAMILIES[name]


def family_of(example: Example) -> Family | None:
    """The family that an item says it is of (``facts["family"]``), None where it says nothing.

    Raises
    ------
    DataError
        If there is no such family.
    """
    name = example.facts.get("family")
    return None if name is None else family_named(str(name))


def common_family(examples: Sequence[Example]) -> Family | None:
    """The family that all items say they are of; None where they do not, or mean something else by the word."""
    names = {str(example.facts.get("family")) for example in examples}
    name = names.pop() if len(names) == 1 else ""
    return family_named(name) if name in FAMILIES or name.startswith(f"{OF_TASKS}:") else None
