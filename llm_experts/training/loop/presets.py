"""Settings that are a good beginning, by the kind of adapter, the size of the base and the number of items."""

from __future__ import annotations

from llm_experts.adapters.registry import kind_named
from llm_experts.bases.base import Base

REFERENCE_WIDTH = 1024
"""Width of the base that the kinds' learning rates are meant for."""


def learning_rate(kind: str, base: Base) -> float:
    """Learning rate of a kind on a base: the geometric middle of the kind's range.

    Adam's rate for matrices goes with 1 / width (Yang & Hu, "Tensor Programs V", 2022).
    """
    chosen = kind_named(kind)
    low, high = chosen.lr_range
    scale = REFERENCE_WIDTH / base.hidden_size if chosen.trains_matrices else 1.0
    return float((low * high) ** 0.5 * scale)
