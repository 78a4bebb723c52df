"""Rows whose labels depend on the group: what classifiers with scikit-learn's interface are tested on."""

from __future__ import annotations

from typing import Any

import numpy as np


def biased_data(n: int = 400, seed: int = 0) -> tuple[Any, Any, Any]:
    """Features [n, 3], labels "yes" or "no", groups "a" or "b"."""
    generator = np.random.Generator(np.random.PCG64(seed))
    groups = generator.integers(0, 2, n)
    x = np.column_stack([generator.normal(size=(n, 2)), groups + 0.3 * generator.normal(size=n)])
    y = np.where(x[:, 0] + 1.2 * groups + 0.5 * generator.normal(size=n) > 0.6, "yes", "no")
    return x, y, np.where(groups == 1, "a", "b")


def parity_gap(predictions: Any, groups: Any) -> float:
    """Difference of the shares of "yes"."""
    return float(abs((predictions[groups == "a"] == "yes").mean() - (predictions[groups == "b"] == "yes").mean()))
