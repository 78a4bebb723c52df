"""NSGA-II over genes in [0, 1], a generation at a time (Deb et al., IEEE TEC 2002; Optuna's sampler).

Optuna proposes and selects; a generation is asked for as a whole, so that it is evaluated as one tensor expression.
Crossover is simulated binary (Deb & Agrawal 1995), mutation polynomial.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

import optuna
import torch
from optuna.distributions import BaseDistribution, FloatDistribution
from optuna.exceptions import ExperimentalWarning
from optuna.samplers import NSGAIISampler
from optuna.samplers.nsgaii import PolynomialMutation, SBXCrossover
from torch import Tensor

from foundation.seeding import derive_seed

GENE = FloatDistribution(0.0, 1.0)
"""The range of every gene, in every trial."""


class Verdict(NamedTuple):
    """What a generation is told: ``losses`` [P, m] (smaller is better), ``violations`` [P, c] (0 or less: met)."""

    losses: Tensor
    violations: Tensor


class Evolution:
    """One NSGA-II study: ask for a generation, tell what it is worth.

    Parameters
    ----------
    genes, objectives : int
    population : int
    seed : int
    words : words that name the study; seed and words determine every proposal.
    start : [S, genes] or None
        The first generation begins with these; what is missing to a population is random.
    """

    def __init__(
        self,
        genes: int,
        objectives: int,
        population: int,
        seed: int,
        *words: str | int,
        start: Tensor | None = None,
    ) -> None:
        self._space: dict[str, BaseDistribution] = {f"gene{k}": GENE for k in range(genes)}
        with _quiet():
            sampler = NSGAIISampler(
                population_size=population,
                crossover=SBXCrossover(),
                mutation=PolynomialMutation(),
                seed=derive_seed(seed, "evolution", *words) % 2**32,
            )
            self.study = optuna.create_study(directions=["minimize"] * objectives, sampler=sampler)
        self._population = population
        for row in () if start is None else start[:population].tolist():
            self.study.enqueue_trial(dict(zip(self._space, row, strict=True)))
        self._asked: list[optuna.Trial] = []

    def ask(self) -> Tensor:
        """[population, genes] float64 of the next generation."""
        self._asked = [self.study.ask(self._space) for _ in range(self._population)]
        return torch.tensor([[t.params[name] for name in self._space] for t in self._asked], dtype=torch.float64)

    def tell(self, verdict: Verdict) -> None:
        """Report the generation asked for last."""
        rows = zip(self._asked, verdict.losses.tolist(), verdict.violations.tolist(), strict=True)
        for trial, losses, violations in rows:
            for column, value in enumerate(violations):
                trial.set_constraint(str(column), value)
            self.study.tell(trial, losses)
        self._asked = []


@contextmanager
def _quiet() -> Iterator[None]:
    """No line per study, no notice that polynomial mutation is new in Optuna 5."""
    level = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ExperimentalWarning)
            yield
    finally:
        optuna.logging.set_verbosity(level)
