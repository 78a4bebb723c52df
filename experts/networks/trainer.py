"""Training of lanes: all configurations of a role at once, with their own stopping and pruning."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from experts.expert import Role
from experts.networks.adam import LaneAdam, clip_lanes
from experts.networks.batches import Batch
from experts.networks.checkpoints import Checkpoints
from experts.networks.inputs import LaneInputs
from experts.networks.lane_metrics import lane_metrics, reason_metrics
from experts.networks.lanes import DropoutMasks, LaneParameters, Workspace, dropout_backward, dropout_forward
from experts.networks.network import MLP, Network
from experts.networks.objectives.combined import CombinedObjective
from experts.networks.objectives.objective import Forward, Objective, cross_entropy_gradient
from experts.networks.objectives.procedural import ProceduralObjective
from experts.networks.objectives.result import ResultObjective
from experts.networks.objectives.utility import UtilityObjective
from experts.networks.running import LaneOutcomes, RunningLanes, check_lanes, evaluation_rows, run_steps
from experts.scores import FINAL, OUTCOME_METRICS, REASON_METRICS, SCORES
from foundation.seeding import derive_seed
from tasks.task import TaskView

KERNELS = ("compiled", "tensor")
LANE_CHUNK_FLOATS = 1 << 20
"""Floats of hidden activations that a training step holds at once (4 MiB)."""


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
    kernel : {"compiled", "tensor"}
        What takes the steps of utility and result lanes on a row's own features: the compiled kernel, or the tensor
        program that it is tested against and that all other lanes use.
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
    kernel: str = "compiled"


@dataclass(kw_only=True)
class LaneResult(LaneOutcomes):
    """What came out of K lanes.

    Attributes
    ----------
    parameters : LaneParameters
        Weights of each lane at its chosen checkpoint.
    """

    parameters: LaneParameters


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
    network: Network = MLP,
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
    network : Network, optional
        What lanes are; default: tabular networks.
    progress : callable, optional
        Called with (steps done, steps in all).

    Raises
    ------
    ValueError
        If a configuration, the budget or the rows do not fit the role or the task.
    ExpertError
        If the task lacks what the network reads, such as edges.
    """
    _check(role, configs, budget)
    rows = evaluation_rows(view, eval_rows)
    run = LaneRun(network.inputs(view), role, configs, budget, seed, utility_floor, row_weights, rows)
    run_steps(run, budget, progress)
    return run.result()


def _check(role: Role, configs: Sequence[LaneConfig], budget: Budget) -> None:
    check_lanes(role, OBJECTIVES[role].lambdas, configs, budget)
    if budget.kernel not in KERNELS:
        raise ValueError(f"There is no kernel {budget.kernel!r}; known are {' and '.join(KERNELS)}.")
    if role != "utility" and not 0 <= budget.warm_up < budget.steps:
        raise ValueError(
            f"warm_up = {budget.warm_up} leaves no step of {budget.steps} for the fairness terms of the {role} role; "
            "lower warm_up or raise steps."
        )


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
    """The state of one call of :func:`train_lanes`."""

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
        self.warm_up = 0 if role == "utility" else budget.warm_up
        self.batches = inputs.training_rows(budget.batch_rows, row_weights, seed, budget.attribution_rows)
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
        self.running = RunningLanes(self.checkpoints, budget, self.warm_up)

    def parameters(self) -> LaneParameters:
        """Current weights of the running lanes."""
        return self.inputs.networks(self.optimiser.theta, self.budget.hidden)

    def step(self, step: int, last: int) -> int:
        """Optimiser steps of all running lanes: one by tensors, or as many as the kernel takes at once."""
        fair = step > self.warm_up and self._penalised
        if self._is_compiled and (not fair or isinstance(self.objective, ResultObjective)):
            return self._compiled(step, last if fair or not self._penalised else min(last, self.warm_up), fair)
        self._step(fair)
        return step

    @property
    def _is_compiled(self) -> bool:
        return self.budget.kernel == "compiled" and self.around is None

    def _compiled(self, step: int, last: int, fair: bool) -> int:
        """Steps by the kernel."""
        from experts.networks.compiled import advance, block_steps  # compiles: only where it is used

        stream = self.batches
        steps = block_steps(stream.batch_rows, self.view.features.shape[1], full=stream.full)
        last = min(last, step + steps - 1)
        count = last - step + 1
        batches = [stream.next() for _ in range(1 if stream.full else count)]
        none = torch.zeros(len(self.optimiser.theta))
        of = self.objective if fair else None
        weights = (of.fair, of.rep) if isinstance(of, ResultObjective) else (none, none)
        advance(
            self.optimiser, batches, self.masks, count, hidden=self.budget.hidden, clip=self.budget.clip,
            fair=weights[0], rep=weights[1],
        )  # fmt: skip
        return last

    def _step(self, fair: bool) -> None:
        """One optimiser step, a chunk of lanes at a time."""
        batch = self.batches.next()
        mask = self.masks.next(batch.nodes)
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
            margins, slopes = batch.around.forward(parameters, mask, self.workspace)
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
            batch.around.backward(upstream, slopes, parameters, out)
        if fair:
            out += torch.cat([part.flatten(1) for part in direct], 1)

    def evaluate(self, step: int) -> None:
        """Score the running lanes, keep better checkpoints, and let failed, patient-less and pruned lanes go."""
        parameters = self.parameters()
        values = lane_metrics(parameters, self.view, self.rows, self.role, self.around)
        self.running.record(step, values)
        if step > self.warm_up:
            self.checkpoints.offer(self.running.alive, parameters.theta, values, step)
        lanes = self.running.judge(step, ~torch.isfinite(parameters.theta).all(1))
        if lanes is not None:
            self.select(lanes)

    def select(self, lanes: Tensor) -> None:
        """Go on with some of the running lanes."""
        for part in (self.optimiser, self.objective, self.batches):
            part.select(lanes)

    def result(self) -> LaneResult:
        """Every lane at its chosen checkpoint, with all metrics there; a failed lane has none."""
        best = self.checkpoints
        parameters = self.inputs.networks(best.theta, self.budget.hidden)
        values = best.values
        if self.role in ("utility", "result"):
            values = {**values, **reason_metrics(parameters, self.view, self.rows, self.around)}
        names = [name for name in (*OUTCOME_METRICS, *REASON_METRICS, FINAL) if name in values]
        outcomes = self.running.outcomes({name: values[name] for name in names}, SCORES[self.role])
        return LaneResult(**vars(outcomes), parameters=parameters)


def lane_chunk(rows: int, hidden_units: int) -> int:
    """Lanes worked on at once: few enough to bound memory, enough to pay for the operations; equal for every role."""
    return max(8, LANE_CHUNK_FLOATS // (rows * hidden_units))
