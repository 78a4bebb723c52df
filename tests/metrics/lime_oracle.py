"""Plain GraphLIME, one node and one model at a time, written from its definition: kernels and scikit-learn's lasso."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import Lasso, LassoLars

Array = NDArray[np.float64]


def importances(features: Array, probability: Array, nodes: NDArray[np.int64], solver: str = "lars") -> Array:
    """[d] weights of the features for one node, given its neighbourhood.

    ``lars`` is what the CFA code uses, but its path is not always optimal; ``descent`` converges to the minimum.
    """
    p = np.stack((1 - probability[nodes], probability[nodes]), 1)
    output = np.exp(-((p[:, None] - p[None]) ** 2).sum(-1) / (2 * 2 * 0.1 + 1e-10))
    design, target, size = feature_kernels(features, nodes), scaled(output), len(nodes)
    if solver == "lars":
        lasso = LassoLars(alpha=0.1, fit_intercept=False, positive=True)
    else:
        lasso = Lasso(alpha=0.1, fit_intercept=False, positive=True, tol=1e-12, max_iter=100_000)
    return np.asarray(lasso.fit(design * size, target * size).coef_, dtype=np.float64)


def feature_kernels(features: Array, nodes: NDArray[np.int64]) -> Array:
    """[m m, d] scaled kernels of the features in a neighbourhood."""
    x, d = features[nodes], features.shape[1]
    kernels = np.exp(-((x[:, None] - x[None]) ** 2) / (2 * d * 0.1 + 1e-10))
    return np.stack([scaled(kernels[:, :, k]) for k in range(d)], 1)


def scaled(kernel: Array) -> Array:
    """Double-centred, Frobenius norm 1, as a vector."""
    kernel = kernel - kernel.mean(0)
    kernel = kernel - kernel.mean(1, keepdims=True)
    return (kernel / (np.linalg.norm(kernel) + 1e-10)).ravel()
