"""Scores as the only feature, for what works on the scores of a model that was fitted elsewhere."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.base import BaseEstimator

from benchmarks.methods.estimator_expert import Floats


class Scores(BaseEstimator):  # type: ignore[no-untyped-call]
    """Hands scores on: a fitted model whose only feature is its score."""

    def fit(self, X: Any, y: Any) -> Scores:  # noqa: ARG002
        """Nothing to fit; scikit-learn asks every estimator to have it."""
        return self

    def __sklearn_is_fitted__(self) -> bool:
        return True

    def decision_function(self, X: Any) -> Floats:
        """[r] the single column."""
        scores: Floats = np.asarray(X, dtype=np.float64)[:, 0]
        return scores
