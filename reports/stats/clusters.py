"""Standard error of a mean over tasks that come in clusters (sources), for any number of columns at once.

The estimator is the plain mean of the task means: every task weighs the same. Its error is clustered by source, because
tasks of one source share rows: the bias-reduced estimator CR2 of Bell & McCaffrey, "Bias Reduction in Standard Errors
for Linear Regression with Multi-Stage Samples", Survey Methodology 28 (2002), which for a mean is

    V = 1/T² · Σ_g (Σ_{t in g} (d_t − d̄))² / (1 − n_g/T)

with n_g of the T tasks in source g. Degrees of freedom are theirs too (Satterthwaite's, tasks taken as independent for
that purpose). With one task per source V is s²/T with T − 1 degrees of freedom: the plain t interval over tasks.
"""

from __future__ import annotations

import numpy as np

from reports.stats.statistics import Floats


def cluster_scores(deviations: Floats, has: Floats, member: Floats) -> Floats:
    """[..., G] what each source adds to the mean: the sum of squares is CR2's variance.

    Parameters
    ----------
    deviations : [..., T] float
        Task means minus their mean; 0 where a task has none.
    has : [..., T] float
        1 where a task has a mean, else 0.
    member : [T, G] float
        1 where a task is of a source.
    """
    sizes, tasks = has @ member, has.sum(-1, keepdims=True)
    left = 1 - sizes / np.maximum(tasks, 1)
    alone = left <= 0  # all tasks are of this source: nothing to compare it with
    scores: Floats = np.where(alone, 0.0, deviations @ member) / np.sqrt(np.where(alone, 1.0, left))
    mean: Floats = scores / np.maximum(tasks, 1)
    return mean


def cluster_freedom(has: Floats, member: Floats) -> Floats:
    """[...] degrees of freedom of the variance of :func:`cluster_scores`; 0 with fewer than two sources.

    Sources of equal size have G − 1; unequal ones fewer, because the large ones decide.
    """
    sizes, tasks = has @ member, has.sum(-1)
    total = np.maximum(tasks, 1)
    left = 1 - sizes / total[..., None]
    weight = np.where(left > 0, sizes**2 / np.where(left > 0, left, 1.0), 0.0)
    across = (weight.sum(-1) ** 2 - (weight**2).sum(-1)) / total**2
    squares = (sizes**2).sum(-1)
    freedom: Floats = np.where((sizes > 0).sum(-1) > 1, total**2 / np.maximum(squares + across, 1e-300), 0.0)
    return freedom


def membership(sources: tuple[int, ...]) -> Floats:
    """[T, G] 1 where a task is of a source, of the sources' numbers."""
    found: Floats = np.eye(max(sources, default=-1) + 1)[list(sources)]
    return found
