"""Baselines: what people would pick instead. One file per method, found by its name.

A file ``benchmarks/baselines/<method>.py`` defines ``METHOD``, a :class:`benchmarks.baseline.Baseline`; nothing else
needs to be written anywhere. Files whose name starts with an underscore are not methods.
"""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from benchmarks.baseline import Baseline

BASELINE_FOLDER = Path(__file__).parent
BASELINES = tuple(sorted(path.stem for path in BASELINE_FOLDER.glob("[!_]*.py")))
"""Names of the baselines, without importing one."""


def load_baseline(name: str) -> Baseline:
    """The method that a file defines; it is imported only now."""
    method: Baseline = importlib.import_module(f"benchmarks.baselines.{name}").METHOD
    return method
