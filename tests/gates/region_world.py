"""A planted world of experts: in each region of the feature space another one is right, or one mixture is everywhere.

Labels are drawn from the planted mixture of what the experts say, so its weights are the best there are: a gate can be
held to the gain of an oracle that knows them, and where they are the same for all rows no gate can gain by looking.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from foundation.seeding import numpy_generator

FEATURES = 4
SLOPE = 2.0
"""Of an expert's log odds in its own direction."""


@dataclass(frozen=True)
class RegionWorld:
    """n rows, and what m experts say about them.

    Attributes
    ----------
    features : [n, 4] float32
        Standard normal; a region is an interval of the first.
    labels, groups : [n] int64 in {0, 1}
        P(label = 1) = Σ_k weights_k · sigmoid(margins_k).
    margins : [n, m] float32
        Each expert's are linear in the features, in a direction of its own.
    weights : [n, m] float32
        The planted mixture, which an oracle knows: one-hot by region, or the same for all rows.
    """

    features: Tensor
    labels: Tensor
    groups: Tensor
    margins: Tensor
    weights: Tensor


def region_world(rows: int, seed: int, *, regions: bool = True, experts: int = 3) -> RegionWorld:
    """Draw a world.

    Parameters
    ----------
    rows : int
    seed : int
    regions : bool
        Whether each of the experts is right in a region of its own, all regions equally probable; if not, the planted
        weights are those of one mixture, drawn from the simplex.
    experts : int
    """
    generator = numpy_generator(seed, "regions", str(regions))
    features = generator.standard_normal((rows, FEATURES))
    directions = generator.standard_normal((FEATURES, experts))
    margins = SLOPE * features @ (directions / np.linalg.norm(directions, axis=0))
    if regions:
        edges = np.quantile(generator.standard_normal(100_000), np.arange(1, experts) / experts)
        weights = np.eye(experts)[np.searchsorted(edges, features[:, 0])]
    else:
        weights = np.tile(generator.dirichlet(np.full(experts, 2.0)), (rows, 1))
    probability = (weights / (1 + np.exp(-margins))).sum(1)
    labels = (generator.random(rows) < probability).astype(np.int64)
    groups = generator.integers(0, 2, rows)
    return RegionWorld(
        features=torch.from_numpy(features).float(),
        labels=torch.from_numpy(labels),
        groups=torch.from_numpy(groups),
        margins=torch.from_numpy(margins).float(),
        weights=torch.from_numpy(weights).float(),
    )
