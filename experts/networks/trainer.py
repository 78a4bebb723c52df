"""Training of lanes: all configurations of a role at once, with their own stopping and pruning."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from experts.expert import Role
from experts.graph.inputs import LaneInputs, lane_inputs
from experts.graph.layers import graph_backward, graph_forward
from experts.graph.settings import GraphSettings
from experts.networks.adam import LaneAdam, clip_lanes
from experts.networks.batches import Batch, TrainingRows
from experts.networks.checkpoints import Checkpoints
from experts.networks.lane_metrics import FINAL, OUTCOME_METRICS, REASON_METRICS, SCORES, lane_metrics, reason_metrics
from experts.networks.lanes import DropoutMasks, LaneParameters, Workspace, dropout_backward, dropout_forward
from experts.networks.objectives.combined import CombinedObjective
from experts.networks.objectives.objective import Forward, Objective, cross_entropy_gradient
from experts.networks.objectives.procedural import ProceduralObjective
from experts.networks.objectives.result import ResultObjective
from experts.networks.objectives.utility import UtilityObjective
from foundation.seeding import derive_seed
from tasks.task import HIDDEN, TaskView

LANE_CHUNK_FLOATS = 1 << 20
"""Floats of hidden activations that a training step holds at once (4 MiB)."""

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
    graph: GraphSettings | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> LaneResult:
    """Train K configurations of one role at once and keep each lane's best checkpoint.

    Parameters
    ----------
    view : TaskView
    role : {"utility", "result", "procedural", "combined"}
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
    graph : GraphSettings, optional
        Train graph networks of this kind and depth; default: tabular ones.
    progress : callable, optional
        Called with (steps done, steps in all).

    Raises
    ------
    ValueError
        If a configuration, the budget or the rows do not fit the role or the task.
    ExpertError
        If graph networks are asked for and the task has no edges.
    """
    _check(role, configs, budget)
    rows = view.split.validation if eval_rows is None else eval_rows
    if len(rows) == 0 or bool((view.labels[rows] == HIDDEN).any()):
        raise ValueError(
            f"Task {view.name}: the evaluation rows are empty or hold hidden labels; pass labelled eval_rows."
        )
    run = LaneRun(lane_inputs(view, graph), role, configs, budget, seed, utility_floor, row_weights, rows)
    for step in range(1, budget.steps + 1):
        run.step(step)
        if step % budget.eval_every == 0 or step == budget.steps:
            run.evaluate(step)
        if progress is not None:
            progress(step, budget.steps)
        if not len(run.alive):
            break
    return run.result()


def _check(role: Role, configs: Sequence[LaneConfig], budget: Budget) -> None:
    if not configs:
        raise ValueError("There is no configuration to train; pass at least one LaneConfig.")
    if budget.steps < 1 or budget.eval_every < 1 or budget.batch_rows < 2:
        raise ValueError("Budget needs steps ≥ 1, eval_every ≥ 1 and batch_rows ≥ 2.")
    if role != "utility" and not 0 <= budget.warm_up < budget.steps:
        raise ValueError(
            f"warm_up = {budget.warm_up} leaves no step of {budget.steps} for the fairness terms of the {role} role; "
            "lower warm_up or raise steps."
        )
    names = set(OBJECTIVES[role].lambdas)
    for lane, config in enumerate(configs):
        if unknown := set(config.lambdas) - names:
            raise ValueError(
                f"Lane {lane} has {sorted(unknown)}, but the {role} role has {sorted(names) or 'no weights'}."
            )
        if any(not (math.isfinite(value) and value >= 0) for value in config.lambdas.values()):
            raise ValueError(f"Lane {lane} has a negative or infinite weight: {dict(config.lambdas)}.")


OBJECTIVES: dict[Role, type[UtilityObjective | ResultObjective | ProceduralObjective | CombinedObjective]] = {
    "utility": UtilityObjective,
    "result": ResultObjective,
    "procedural": ProceduralObjective,
    "combined": CombinedObjective,
}


def make_objective(
    role: Role, view: TaskView, configs: Sequence[LaneConfig], hidden_units: int, seed: int
) -> Objective:
    """The objective of K lanes of a role; a λ that a configuration does not name is 0."""
    names = OBJECTIVES[role].lambdas
    lambdas = {name: torch.tensor([float(config.lambdas.get(name, 0.0)) for config in configs]) for name in names}
    if role == "utility":
        return UtilityObjective()
    if role == "result":
        return ResultObjective(lambdas)
    seeds = [derive_seed(seed, config.seed) for config in configs]
    owner, sizes = view.column_of_feature, (len(view.columns), hidden_units, len(view.group_names))
    procedural = ProceduralObjective(lambdas, owner, *sizes, seeds)
    return procedural if role == "procedural" else CombinedObjective(ResultObjective(lambdas), procedural)


class LaneRun:
    """The state of one call of :func:`train_lanes`; ``alive`` are the lanes that still train."""

    def __init__(
        self,
        inputs: LaneInputs,
        role: Role,
        configs: Sequence[LaneConfig],
        budget: Budget,
        seed: int,
        floor: float | None,
        row_weights: Tensor | None,
        rows: Tensor,
    ) -> None:
        view = inputs.view
        self.inputs, self.view, self.role, self.budget, self.rows = inputs, view, role, budget, rows
        self.around = inputs.neighbourhood(rows)
        self.alive = torch.arange(len(configs))
        self.warm_up = 0 if role == "utility" else budget.warm_up
        self.batches = TrainingRows(
            view, budget.batch_rows, row_weights, seed, budget.attribution_rows, inputs.neighbourhood
        )
        widest = self.batches.batch_rows if self.around is None else len(view.features)
        self.masks = DropoutMasks(budget.hidden, widest, budget.dropout, seed)
        # a weight of 0 adds a gradient of exactly 0, so lanes without any need not compute the terms
        self._penalised = any(value > 0 for config in configs for value in config.lambdas.values())
        self.objective = make_objective(role, view, configs, budget.hidden, seed)
        initial = inputs.initial(budget.hidden, [config.seed for config in configs])
        self.checkpoints = Checkpoints(initial.theta, SCORES[role], floor)
        self.optimiser = LaneAdam(
            initial.theta.clone(),
            torch.tensor([config.lr for config in configs]),
            torch.tensor([config.weight_decay for config in configs]),
        )
        self.workspace = Workspace()
        self.states: list[LaneState] = ["completed"] * len(configs)
        self.reasons = [""] * len(configs)
        self.history: list[dict[str, float]] = []
        self._rungs = _rung_steps(budget, self.warm_up)

    def parameters(self) -> LaneParameters:
        """Current weights of the running lanes."""
        return self.inputs.networks(self.optimiser.theta, self.budget.hidden)

    def step(self, step: int) -> None:
        """One optimiser step of all running lanes, a chunk of lanes at a time."""
        batch = self.batches.next()
        mask = self.masks.next(batch.nodes)
        fair = step > self.warm_up and self._penalised
        gradient = torch.empty_like(self.optimiser.theta)
        size = lane_chunk(batch.nodes, self.budget.hidden)
        for start in range(0, len(gradient), size):
            lanes = slice(start, min(start + size, len(gradient)))
            self._gradient(batch.lanes(lanes), mask, lanes, gradient[lanes], fair)
        self.optimiser.step(clip_lanes(gradient, self.budget.clip))
        if fair:
            self.objective.after_step()

    def _gradient(self, batch: Batch, mask: Tensor, lanes: slice, out: Tensor, fair: bool) -> None:
        """Write the gradient of the lanes' losses into ``out``: cross-entropy by hand, penalties by autograd."""
        parameters = self.inputs.networks(self.optimiser.theta[lanes].clone(), self.budget.hidden).split()
        if batch.around is None:
            margins, slopes = dropout_forward(parameters, batch.rows, mask, self.workspace)
        else:
            margins, slopes = graph_forward(parameters, batch.around, mask, self.workspace)
        upstream = cross_entropy_gradient(margins, batch)
        direct: list[Tensor] = []
        if fair:
            leaves = [tensor.requires_grad_() for tensor in (margins, *(part.detach() for part in parameters))]
            penalty = self.objective.penalty(Forward(batch, leaves[1], leaves[2], leaves[3], margins, lanes))
            # lanes do not meet, so the gradient of the sum is each lane's own
            through, *direct = torch.autograd.grad(penalty.sum(), leaves, allow_unused=True, materialize_grads=True)
            upstream += through
        if batch.around is None:
            dropout_backward(upstream, slopes, parameters, batch.rows, out)
        else:
            graph_backward(upstream, slopes, parameters, batch.around, out)
        if fair:
            out += torch.cat([part.flatten(1) for part in direct], 1)

    def evaluate(self, step: int) -> None:
        """Score the running lanes, keep better checkpoints, and let failed, patient-less and pruned lanes go."""
        parameters = self.parameters()
        values = lane_metrics(parameters, self.view, self.rows, self.role, self.around)
        self._record(step, values)
        broken = ~torch.isfinite(parameters.theta).all(1)
        if step > self.warm_up:
            self.checkpoints.offer(self.alive, parameters.theta, values, step)
        stale = self.checkpoints.waited(self.alive) >= self.budget.patience
        pruned = self._pruned(step, ~broken & ~stale)
        text = f"at step {step}"
        self._end(
            broken, "failed", f"The loss or the weights became infinite or undefined {text}; lower the learning rate."
        )
        self._end(
            stale & ~broken, "early_stopped", f"No better checkpoint in {self.budget.patience} evaluations {text}."
        )
        self._end(pruned, "pruned", f"Outside the best {self.budget.keep:.0%} of the running lanes {text}.")
        self._select(~(broken | stale | pruned))

    def _record(self, step: int, values: dict[str, Tensor]) -> None:
        names = list(values)
        table = torch.stack([values[name] for name in names], 1).tolist()
        for lane, row in zip(self.alive.tolist(), table, strict=True):
            self.history.append({"lane": lane, "step": step, **dict(zip(names, row, strict=True))})

    def _pruned(self, step: int, running: Tensor) -> Tensor:
        """[alive] bool: lanes outside the kept share, when this evaluation is a rung (successive halving)."""
        pruned = torch.zeros(len(self.alive), dtype=torch.bool)
        if not self._rungs or step < self._rungs[0] or step >= self.budget.steps:
            return pruned
        while self._rungs and step >= self._rungs[0]:
            self._rungs.pop(0)
        places = torch.nonzero(running)[:, 0]
        order = self.checkpoints.rank(self.alive[places])
        pruned[places[order[math.ceil(self.budget.keep * len(places)) :]]] = True
        return pruned

    def _end(self, which: Tensor, state: LaneState, reason: str) -> None:
        for lane in self.alive[which].tolist():
            self.states[lane], self.reasons[lane] = state, reason

    def _select(self, keep: Tensor) -> None:
        if bool(keep.all()):
            return
        lanes = torch.nonzero(keep)[:, 0]
        self.alive = self.alive[lanes]
        self.optimiser.select(lanes)
        self.objective.select(lanes)
        self.batches.select(lanes)

    def result(self) -> LaneResult:
        """Every lane at its chosen checkpoint, with all metrics there; a failed lane has none."""
        best = self.checkpoints
        parameters = self.inputs.networks(best.theta, self.budget.hidden)
        values = best.values
        if self.role in ("utility", "result"):
            values = {**values, **reason_metrics(parameters, self.view, self.rows, self.around)}
        names = [name for name in (*OUTCOME_METRICS, *REASON_METRICS, FINAL) if name in values]
        failed = torch.tensor([state == "failed" for state in self.states])
        table = torch.stack([torch.where(failed, torch.nan, values[name]) for name in names], 1)
        metrics = [dict(zip(names, row, strict=True)) for row in table.tolist()]
        return LaneResult(
            parameters=parameters,
            metrics=metrics,
            objective=[row[SCORES[self.role]] for row in metrics],
            feasible=(best.feasible & ~failed).tolist(),
            state=self.states,
            reason=self.reasons,
            step=best.step.tolist(),
            history=self.history,
        )


def lane_chunk(rows: int, hidden_units: int) -> int:
    """Lanes worked on at once: few enough to bound memory, enough to pay for the operations; equal for every role."""
    return max(8, LANE_CHUNK_FLOATS // (rows * hidden_units))


def _rung_steps(budget: Budget, warm_up: int) -> list[int]:
    """Steps from which lanes may be pruned: never before a checkpoint with fairness terms exists."""
    return sorted(max(math.ceil(fraction * budget.steps), warm_up + 1) for fraction in budget.rungs)
