"""All gates by name, found by the file that defines them, and how a gate is written and read."""

from __future__ import annotations

import json
from dataclasses import fields
from pathlib import Path
from typing import Any

from safetensors.torch import load_file, save_file
from torch import Tensor

from foundation.discovery import items, load
from foundation.files import atomic_path, write_json
from gates.definition import GateDefinition
from gates.gate import ProjectedGate

ROOM, ITEM = "gates", "GATE"


def gate_names() -> tuple[str, ...]:
    """Names of all gates, those of plug-in folders last."""
    return tuple(items(ROOM, ITEM))


def gate_definition(name: str) -> GateDefinition:
    """What a gate's file defines; it is imported only now.

    Raises
    ------
    ValueError
        If there is no such gate (the oracle, which holds labels, is none), or its class has another name than its file.
    """
    if name not in gate_names():
        raise ValueError(f"there is no gate {name!r}; known gates are {', '.join(gate_names())}")
    definition: GateDefinition = load(ROOM, ITEM, name)
    if definition.gate.name != name:
        raise ValueError(f"the file of the gate {name!r} defines a class whose name is {definition.gate.name!r}")
    return definition


def save_gate(gate: ProjectedGate, folder: Path) -> None:
    """Write ``gate.safetensors`` and ``gate.json`` into ``folder``.

    Raises
    ------
    ValueError
        If the gate is not in the registry.
    """
    if gate.name not in gate_names():
        raise ValueError(f"gate {gate.name!r} cannot be saved; known gates are {', '.join(gate_names())}")
    parts: dict[str, Any] = {f.name: getattr(gate, f.name) for f in fields(gate)}  # type: ignore[arg-type]
    tensors = {k: v.detach().contiguous().clone() for k, v in parts.items() if isinstance(v, Tensor)}
    settings = {k: v for k, v in parts.items() if k not in tensors}
    with atomic_path(folder / "gate.safetensors") as temporary:
        save_file(tensors, temporary)
    write_json(folder / "gate.json", {"name": gate.name, "settings": settings})


def load_gate(folder: Path) -> ProjectedGate:
    """Read a gate that :func:`save_gate` wrote.

    Raises
    ------
    ValueError
        If there is no gate of that name here.
    """
    record = json.loads((folder / "gate.json").read_text(encoding="utf-8"))
    if record["name"] not in gate_names():
        known = ", ".join(gate_names())
        raise ValueError(f"{folder / 'gate.json'} names the gate {record['name']!r}; known gates are {known}")
    gate = gate_definition(record["name"]).gate
    return gate(**load_file(folder / "gate.safetensors"), **record["settings"])
