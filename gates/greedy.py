"""Greedy selection: experts are added one by one, with replacement, as long as the mixture's log loss falls."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from foundation.seeding import numpy_generator
from gates.candidates import GateFit
from gates.definition import GateDefinition
from gates.log_loss import true_probabilities
from gates.problem import GateProblem
from gates.static import SimplexWeights, as_point, static_fit

BAGS = 30
STEPS = 25
_TOGETHER = 4  # probabilities multiplied before one logarithm is taken: at least 1e-28, in range of float32

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class GreedyGate(SimplexWeights):
    """Weights by bagged greedy selection."""

    name: ClassVar[str] = "greedy"


def greedy_weights(probability: Tensor, seed: int, bags: int = BAGS, steps: int = STEPS) -> Tensor:
    """[m] float64 weights on the simplex by bagged greedy selection.

    Every bag draws half of the rows and adds, in each step, the expert with which the mean probability has the
    smallest log loss there (the first of equals); it keeps the step at which the loss was smallest. The weights are
    the mean over bags (Caruana, Niculescu-Mizil, Crew, Ksikes: Ensemble selection from libraries of models, ICML
    2004; there bags are of models, here of rows, so that the best expert is a candidate in each).

    Parameters
    ----------
    probability : [n, m]
        Of the true labels; see :func:`gates.log_loss.true_probabilities`.
    seed : int
    bags, steps : int
    """
    by_expert = np.ascontiguousarray(probability.numpy().T, dtype=np.float32)
    rows = by_expert.shape[1]
    generator = numpy_generator(seed, "greedy")
    total = np.zeros(len(by_expert))
    for _ in range(bags):
        picked = np.sort(generator.permutation(rows)[: -(-rows // 2)])
        total += _selected(np.take(by_expert, picked, axis=1), steps)
    return torch.from_numpy(total / total.sum()).clone()  # in torch's memory: see experts.linear.logistic.minimise


def _selected(probability: Floats, steps: int) -> npt.NDArray[np.float64]:
    """[m] weights of one bag from probabilities [m, r] of the true labels."""
    padded = _padded(probability)
    chosen, reached = np.zeros(len(padded), dtype=np.int64), np.zeros(padded.shape[1], dtype=np.float32)
    best, kept = np.inf, chosen
    work = np.empty_like(padded)
    for step in range(1, steps + 1):
        np.add(padded, reached, out=work)
        gains = _log_sums(work)
        pick = int(gains.argmax())
        loss = padded.shape[1] * np.log(step) - gains[pick]
        chosen[pick] += 1
        reached += padded[pick]
        if loss < best:
            best, kept = loss, chosen.copy()
    weights: npt.NDArray[np.float64] = kept / kept.sum()
    return weights


def _padded(probability: Floats) -> Floats:
    """Columns of ones are added, which tell no expert from another, until they divide by :data:`_TOGETHER`."""
    lacking = -probability.shape[1] % _TOGETHER
    return np.pad(probability, ((0, 0), (0, lacking)), constant_values=1.0)


def _log_sums(work: Floats) -> npt.NDArray[np.float64]:
    """[m] sum of logarithms of each row of [m, r]."""
    first, *others = np.split(work, _TOGETHER, axis=1)
    product = first * others[0]
    for other in others[1:]:
        product *= other
    sums: npt.NDArray[np.float64] = np.log(product, out=product).sum(1, dtype=np.float64)
    return sums


def fit(problem: GateProblem) -> GateFit:
    """Learns from all rows with outputs of experts that have not seen them."""
    weights = greedy_weights(true_probabilities(problem.oof), problem.seed)
    return static_fit(problem, GreedyGate(as_point(weights)))


GATE = GateDefinition(
    label="Greedy selection",
    about="experts added one by one while the log loss falls",
    gate=GreedyGate,
    fit=fit,
    kind="static",
    method="greedy",
    pools=(),
    colour="sky",
    place=60,
)
