"""Baselines: what people would pick instead. One file per method, found by its name.

A file ``benchmarks/methods/baselines/<method>.py`` defines ``METHOD``, a
:class:`benchmarks.methods.baseline.Baseline`; nothing else needs to be written anywhere. Files whose name starts with
an underscore are not methods.
"""

from __future__ import annotations

import ast
import importlib
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from benchmarks.methods.baseline import Baseline

BASELINE_FOLDER = Path(__file__).parent
BASELINES = tuple(sorted(path.stem for path in BASELINE_FOLDER.glob("[!_]*.py")))
"""Names of the baselines, without importing one."""


@cache
def needs_edges(name: str) -> bool:
    """Whether a baseline says ``graph=True``; read from its source, because importing it takes seconds."""
    tree = ast.parse((BASELINE_FOLDER / f"{name}.py").read_text(encoding="utf-8"))
    calls = [n.value for n in tree.body if isinstance(n, ast.Assign) and isinstance(n.value, ast.Call)]
    return any(
        keyword.arg == "graph" and isinstance(keyword.value, ast.Constant) and keyword.value.value is True
        for call in calls
        if isinstance(call.func, ast.Name) and call.func.id == "Baseline"
        for keyword in call.keywords
    )


def load_baseline(name: str) -> Baseline:
    """The method that a file defines; it is imported only now."""
    method: Baseline = importlib.import_module(f"benchmarks.methods.baselines.{name}").METHOD
    return method
