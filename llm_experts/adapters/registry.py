"""All kinds of adapters by name: the files of this room that define a ``KIND``, and those of plug-in folders."""

from __future__ import annotations

from typing import TYPE_CHECKING

from foundation.discovery import items, load
from llm_experts.adapters.error import AdapterError
from llm_experts.adapters.kind import AdapterKind

if TYPE_CHECKING:
    from peft import PeftConfig

ROOM, NAME = "llm_experts.adapters", "KIND"


def _all_kinds() -> dict[str, AdapterKind]:
    found = [(item, load(ROOM, NAME, item)) for item in items(ROOM, NAME)]
    for item, kind in found:
        if kind.name != item:
            raise AdapterError(f"The adapter kind of the file {item} is called {kind.name!r}; give both one name.")
    return dict(sorted(found, key=lambda pair: (pair[1].place, pair[0])))


ADAPTERS = _all_kinds()
KINDS = tuple(ADAPTERS)


def kind_named(name: str) -> AdapterKind:
    """The kind of a name; :class:`AdapterError` says which there are."""
    if name not in ADAPTERS:
        raise AdapterError(f"There is no adapter kind {name!r}; choose one of {', '.join(KINDS)}.")
    return ADAPTERS[name]


def kind_of(config: PeftConfig) -> AdapterKind:
    """The kind of a configuration, also of one that another program wrote (LoRA-FA then reads as LoRA).

    Raises
    ------
    AdapterError
        If PEFT's method is none of ours.
    """
    named = getattr(config, "fairmoe_kind", None)
    if named:
        return kind_named(named)
    method = str(getattr(config.peft_type, "value", config.peft_type))
    readable = [kind for kind in ADAPTERS.values() if kind.peft_type == method and not kind.written_as]
    if not readable:
        raise AdapterError(f"PEFT's method {method} is not one of the adapter kinds {', '.join(KINDS)}.")
    flagged = [kind for kind in readable if kind.peft_flag and getattr(config, kind.peft_flag)]
    if len(flagged) > 1:
        names = " and ".join(sorted(kind.label for kind in flagged))
        raise AdapterError(f"An adapter that is both {names} is no kind of this project; choose one.")
    return (flagged or [kind for kind in readable if not kind.peft_flag])[0]
