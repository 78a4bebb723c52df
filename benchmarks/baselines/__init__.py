"""Baselines: what people would pick instead. One file per method, one line here.

Every baseline module has ``fit(view, seed) -> Expert`` and the constant ``FAMILY``. It is fitted on training rows,
tuned on validation rows and never sees a test label.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from experts.expert import Expert
    from tasks.task import TaskView

BASELINES = ("constant", "logistic_regression", "gradient_boosting")


def baseline(name: str) -> Callable[[TaskView, int], Expert]:
    """The ``fit`` function of a baseline; its module is imported only now."""
    module = importlib.import_module(f"benchmarks.baselines.{name}")
    fit: Callable[[TaskView, int], Expert] = module.fit
    return fit
