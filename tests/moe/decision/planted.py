"""Worlds whose probabilities are known: what a decision is worth in truth, and the best that any could be."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from metrics.composites import utility
from metrics.counts.group_rates import rates_of_counts
from metrics.registry import COUNTS
from metrics.thresholds import margins_of
from moe.decision.blind import common_thresholds
from moe.decision.linear_post import aware_joint, linear_optimum
from moe.decision.problem import DecisionProblem
from tasks.scm import ScmParameters, ScmTruth, scm_truth

FIELD_EFFECT = {"engineering": 0.4, "health": 0.0, "trade": -0.4}


@dataclass(frozen=True)
class World:
    """Rows with their true probabilities.

    ``probability`` is P(y | x, a), ``blind`` P(a, y | x) without the column sex.
    """

    labels: Tensor
    groups: Tensor
    probability: Tensor
    blind: Tensor

    @property
    def aware(self) -> Tensor:
        return aware_joint(self.probability, self.groups, 2)

    def problem(self, *, blind: bool = False, new_rows: int = 6000, folds: int = 5) -> DecisionProblem:
        """A decision problem whose mixture knows the truth."""
        n = len(self.labels)
        probability = self.blind[..., 1].sum(-1) if blind else self.probability
        return DecisionProblem(
            margins_of(probability)[None], ("utility",), self.labels, self.groups, 2, torch.arange(n) % folds, new_rows,
            joint=self.blind if blind else None,
        )  # fmt: skip


def world(rows: int, seed: int, **parameters: float) -> World:
    """A draw of the structural causal model."""
    given = {"rows": rows, **parameters}
    truth = scm_truth(given, seed=seed)
    tensors = [torch.from_numpy(part) for part in (truth.label, truth.sensitive, truth.probability)]
    labels, groups, probability = tensors
    # rounded: rows that are equal but for the order of summation are ties
    return World(labels, groups, probability.round(decimals=8), blind_joint(truth, ScmParameters.model_validate(given)))


def blind_joint(truth: ScmTruth, p: ScmParameters) -> Tensor:
    """[n, 2, 2] P(a, y | all columns but sex), from the equations of the model."""
    part_time = truth.frame["part_time"].to_numpy()
    density = [np.exp(-(((part_time - 10 - 2 * p.proxy * s) / 2) ** 2) / 2) for s in (0, 1)]
    women = p.share * density[1] / (p.share * density[1] + (1 - p.share) * density[0])
    positive = [_probability(truth, p, part_time, s) for s in (0, 1)]
    parts = [np.stack((share * (1 - y), share * y), -1) for share, y in zip((1 - women, women), positive, strict=True)]
    return torch.from_numpy(np.stack(parts, 1))


def _probability(truth: ScmTruth, p: ScmParameters, part_time: np.ndarray, s: int) -> np.ndarray:
    """P(y | x, s)."""
    frame = truth.frame
    own = part_time - 2 * p.proxy * s
    margin = p.intercept + 1.2 * (frame["experience"].to_numpy() - 8) / 3 - 0.5 * (own - 10) / 2
    margin = margin + 0.8 * (frame["test_score"].to_numpy() - 60) / 12 + frame["field"].map(FIELD_EFFECT).to_numpy()
    found: np.ndarray = (1 - p.label_bias * s) / (1 + np.exp(-(margin - (p.direct + 0.5 * p.proxy) * s)))
    return found


def true_values(moved: Tensor, joint: Tensor, gap: str) -> tuple[float, float]:
    """Expected utility (points) and gap of decided probabilities [n] of rows with P(a, y | x) [n, 2, 2]."""
    selected = torch.stack((moved <= 0.5, moved > 0.5), -1).to(torch.float64)
    rates = rates_of_counts(torch.einsum("nay,np->ayp", joint, selected))
    accuracy, f1, unequal = (float(COUNTS[id].statistic.value(rates)) for id in ("acc@1", "f1@1", gap))
    return 100 * utility(accuracy, f1, expected_auc(margins_of(moved), joint[..., 1].sum(-1))), unequal


def expected_auc(margins: Tensor, probability: Tensor) -> float:
    """AUC when rows are positive with a probability; ties are left out of account."""
    positive = probability[margins.argsort()]
    negative = 1 - positive
    below = negative.cumsum(0) - negative / 2
    return float((positive * below).sum() / (positive.sum() * negative.sum()))


def best_utility(joint: Tensor, gap: str, limit: float) -> float:
    """Expected utility (points) of the best fair classifier: linear programs on the truth, over common thresholds."""
    probability = joint[..., 1].sum(-1)
    found = [linear_optimum(joint, gap, limit, t)[1] for t in common_thresholds(probability, 9)]
    values = [true_values(rule.apply(probability, joint), joint, gap) for rule in found]
    return max(worth for worth, unequal in values if unequal <= limit + 0.003)
