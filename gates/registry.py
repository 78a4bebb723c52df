"""All gates by name, and how a gate is written and read."""

from __future__ import annotations

import json
from dataclasses import fields
from pathlib import Path
from typing import Any

from safetensors.torch import load_file, save_file
from torch import Tensor

from foundation.files import atomic_path, write_json
from gates.best_single import BestSingleGate
from gates.dense import DenseGate
from gates.gate import ProjectedGate
from gates.static_simplex import StaticSimplexGate
from gates.topk import TopKGate
from gates.uniform import UniformGate

GATES: dict[str, type[ProjectedGate]] = {
    gate.name: gate for gate in (DenseGate, TopKGate, UniformGate, BestSingleGate, StaticSimplexGate)
}


def save_gate(gate: ProjectedGate, folder: Path) -> None:
    """Write ``gate.safetensors`` and ``gate.json`` into ``folder``.

    Raises
    ------
    ValueError
        If the gate is not in the registry (the oracle, which holds labels, never is).
    """
    if gate.name not in GATES:
        raise ValueError(f"gate {gate.name!r} cannot be saved; known gates are {sorted(GATES)}")
    parts: dict[str, Any] = {f.name: getattr(gate, f.name) for f in fields(gate)}  # type: ignore[arg-type]
    tensors = {k: v.detach().contiguous().clone() for k, v in parts.items() if isinstance(v, Tensor)}
    settings = {k: v for k, v in parts.items() if k not in tensors}
    with atomic_path(folder / "gate.safetensors") as temporary:
        save_file(tensors, temporary)
    write_json(folder / "gate.json", {"name": gate.name, "settings": settings})


def load_gate(folder: Path) -> ProjectedGate:
    """Read a gate that :func:`save_gate` wrote."""
    record = json.loads((folder / "gate.json").read_text(encoding="utf-8"))
    if record["name"] not in GATES:
        raise ValueError(f"{folder / 'gate.json'} names the gate {record['name']!r}; known gates are {sorted(GATES)}")
    return GATES[record["name"]](**load_file(folder / "gate.safetensors"), **record["settings"])
