"""Fitted candidates of a gate, and the one that wins on validation rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch

from gates.gate import ProjectedGate
from gates.problem import GateProblem
from gates.selection import ValidationScore, ValidationScores, choose
from gates.settings import GateConfig

Record = dict[str, float | int]
"""One line of a history."""


@dataclass(frozen=True)
class GateFit:
    """A gate, and how it was found.

    Attributes
    ----------
    gate : ProjectedGate
    config : GateConfig or None
        None for gates that are not trained.
    score : ValidationScore
        Of the returned gate.
    history : list of dict
        One record per validation checkpoint and configuration: ``step, lane, utility, fair_res, fair_proc``.
    finalists : tuple of ProjectedGate
        The best checkpoint of every configuration; empty for gates that are not trained.
    """

    gate: ProjectedGate
    config: GateConfig | None
    score: ValidationScore
    history: list[Record] = field(default_factory=list)
    finalists: tuple[ProjectedGate, ...] = ()


@dataclass(frozen=True)
class Candidate:
    """A gate that may win, what it scored, and the configuration that it was trained with."""

    gate: ProjectedGate
    score: ValidationScore
    config: GateConfig | None = None


def winner(problem: GateProblem, candidates: Sequence[Candidate], history: list[Record] | None = None) -> GateFit:
    """The best candidate; with a costlier procedural measure all of them are compared by it.

    Parameters
    ----------
    problem : GateProblem
    candidates : sequence of Candidate, at least one
    history : list of dict, optional
        How they came to be.
    """
    scores = [problem.finish(candidate.gate, candidate.score) for candidate in candidates]
    columns = [torch.tensor([getattr(s, f) for s in scores]) for f in ("utility", "fair_res", "fair_proc", "rarer")]
    best = choose(ValidationScores(*columns), problem.floor)
    finalists = tuple(candidate.gate for candidate in candidates)
    return GateFit(candidates[best].gate, candidates[best].config, scores[best], history or [], finalists)


def best_of(problem: GateProblem, gates: Sequence[ProjectedGate]) -> GateFit:
    """The gate that validation rows prefer among some; how a gate with a few settings of its own is fitted."""
    return winner(problem, [Candidate(gate, problem.score(gate)) for gate in gates])
