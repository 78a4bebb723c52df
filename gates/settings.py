"""Settings of trained gates: what one configuration weighs, and how long all of them are trained."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class GateConfig:
    """One configuration of a trained gate.

    Attributes
    ----------
    lambda_fair, lambda_attention : float >= 0
        Weights of the mixture's soft group gaps and of its ATT_JSD; see :mod:`gates.objective`.
    balance, decision : float >= 0
        Weights of "use all experts" and "decide for one per row"; three deliberately different experts need
        not be used equally, so both are small.
    temperature : float > 0
    learning_rate : float > 0
    """

    lambda_fair: float = 1.0
    lambda_attention: float = 0.0
    balance: float = 1e-3
    decision: float = 0.0
    temperature: float = 1.0
    learning_rate: float = 0.01


DEFAULT_CONFIGS: tuple[GateConfig, ...] = tuple(
    GateConfig(lambda_fair=fair, lambda_attention=attention, learning_rate=rate)
    for rate in (0.003, 0.03)
    for fair, attention in ((0.0, 0.0), (0.5, 1.0), (2.0, 1.0), (8.0, 4.0))
)
"""Eight configurations from pure utility to strongly fair, each at two learning rates."""


@dataclass(frozen=True)
class GateBudget:
    """How long gates are trained.

    Attributes
    ----------
    steps : int
        Most optimiser steps.
    patience : int
        Checkpoints in a row without a new overall best, after which training stops.
    batch : int
        Rows per step (all rows when there are fewer).
    attention_rows : int
        Rows per step whose attributions enter the objective.
    evaluate_every : int
        Steps between validation checkpoints.
    hidden : int
        Width of the gate network.
    """

    steps: int = 300
    patience: int = 4
    batch: int = 1024
    attention_rows: int = 128
    evaluate_every: int = 25
    hidden: int = 16
