"""One lane with given hyperparameters, and the λ = 0 twin: what a fair expert would be without its fairness terms."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from experts.expert import Role
from experts.graph.expert import GraphExpert, expert_of_lane
from experts.graph.settings import GraphSettings
from experts.networks.mlp import MLPExpert
from experts.networks.trainer import Budget, LaneConfig, train_lanes
from tasks.task import TaskView

if TYPE_CHECKING:
    from experts.tuning.study import Tuning


def train_fixed(
    view: TaskView,
    role: Role,
    config: LaneConfig,
    budget: Budget,
    *,
    seed: int,
    utility_floor: float | None = None,
    graph: GraphSettings | None = None,
) -> MLPExpert | GraphExpert:
    """Train one configuration with the selector of its role: no search.

    Parameters
    ----------
    view, role, config, budget, seed, utility_floor, graph
        As :func:`experts.networks.trainer.train_lanes` takes them.

    Raises
    ------
    RuntimeError
        If the lane failed; the text gives the reason.
    """
    result = train_lanes(view, role, [config], budget, seed=seed, utility_floor=utility_floor, graph=graph)
    if result.state[0] == "failed" or result.step[0] == 0:
        reason = result.reason[0] or "its metrics are not estimable on the validation rows."
        raise RuntimeError(f"Training the {role} role on {view.name} with lr {config.lr:g} failed: {reason}")
    return expert_of_lane(view, role, graph, result.parameters)


def twin(view: TaskView, tuning: Tuning) -> MLPExpert | GraphExpert:
    """The chosen lane of a tuned role with every λ at 0.

    Learning rate, weight decay, initial weights, batch order, dropout, budget and selector are those of the tuned
    expert, so that whatever differs is the work of the fairness terms and not of the selector.
    """
    lane = dataclasses.replace(tuning.lane, lambdas=dict.fromkeys(tuning.lane.lambdas, 0.0))
    return train_fixed(
        view,
        tuning.role,
        lane,
        tuning.budget,
        seed=tuning.train_seed,
        utility_floor=tuning.floor,
        graph=tuning.graph,
    )
