"""Training of lanes: all configurations of a role at once, with their own stopping and pruning."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from torch import Tensor

from experts.expert import Role
from experts.lanes import LaneParameters
from tasks.task import TaskView

LaneState = Literal["completed", "pruned", "early_stopped", "failed"]


@dataclass(frozen=True)
class LaneConfig:
    """Hyperparameters of one lane; ``seed`` decides its initial weights.

    ``weight_decay`` is the L2 coefficient that is added to the gradient (as in ``torch.optim.Adam``, not
    decoupled), so that the published ranges keep their meaning.
    """

    lr: float
    weight_decay: float
    lambdas: Mapping[str, float]
    seed: int


@dataclass(frozen=True)
class Budget:
    """How long and how wide lanes train; equal for all lanes of a call.

    Attributes
    ----------
    steps : int
        Optimiser steps.
    eval_every : int
        Steps between evaluations on the evaluation rows; the last step is always evaluated.
    patience : int
        Evaluations without a better checkpoint after which a lane stops, counted from the end of warm-up.
    warm_up : int
        Steps of plain cross-entropy before the fairness terms of the fair roles set in. Their checkpoints are
        chosen after it, so that the fairness terms have always been at work. No meaning for the utility role.
    batch_rows : int
        Rows of a mini-batch; up to ``FULL_BATCH_ROWS`` training rows every step sees all of them.
    hidden : int
        Hidden units.
    dropout : float
        Dropout rate of hidden units.
    clip : float
        Largest Euclidean norm of a lane's gradient.
    rungs : tuple of float
        Fractions of ``steps`` at which lanes are ranked and the worse ones pruned; () prunes none.
    keep : float
        Share of the running lanes that a rung keeps.
    attribution_rows : int
        Rows of a batch on which the procedural losses are computed.
    """

    steps: int = 2000
    eval_every: int = 100
    patience: int = 5
    warm_up: int = 200
    batch_rows: int = 1024
    hidden: int = 16
    dropout: float = 0.3
    clip: float = 1.0
    rungs: tuple[float, ...] = (0.2, 0.5)
    keep: float = 0.5
    attribution_rows: int = 512


@dataclass
class LaneResult:
    """What came out of K lanes.

    Attributes
    ----------
    parameters : LaneParameters
        Weights of each lane at its chosen checkpoint.
    metrics : list of dict
        Metric id to value at the chosen checkpoint, on the evaluation rows.
    objective : list of float
        Role score there: utility@1 (higher is better), fair_res@1 or fair_proc@1 (lower is better).
    feasible : list of bool
        Whether utility@1 there reaches the floor.
    state : list of {"completed", "pruned", "early_stopped", "failed"}
    reason : list of str
        Why a lane was pruned, stopped or failed; "" when completed.
    step : list of int
        Step of the chosen checkpoint.
    history : list of dict
        One row per lane and evaluation: "lane", "step" and every metric id.
    """

    parameters: LaneParameters
    metrics: list[dict[str, float]]
    objective: list[float]
    feasible: list[bool]
    state: list[LaneState]
    reason: list[str]
    step: list[int]
    history: list[dict[str, float]]


def train_lanes(
    view: TaskView,
    role: Role,
    configs: Sequence[LaneConfig],
    budget: Budget,
    *,
    seed: int,
    utility_floor: float | None = None,
    row_weights: Tensor | None = None,
    eval_rows: Tensor | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> LaneResult:
    """Train K configurations of one role at once and keep each lane's best checkpoint.

    Parameters
    ----------
    view : TaskView
    role : {"utility", "result", "procedural"}
    configs : sequence of LaneConfig
    budget : Budget
    seed : int
        Seed of batch order and dropout, shared by the lanes and by the roles.
    utility_floor : float, optional
        utility@1 that a fair role's checkpoint must reach to be feasible.
    row_weights : [K, n_train] float, optional
        Weight of each training row in each lane's loss; 0 leaves the row out (out-of-fold lanes).
    eval_rows : [r] int64, optional
        Rows that choose checkpoints; default: the validation rows.
    progress : callable, optional
        Called with (steps done, steps in all).
    """
    raise NotImplementedError
