"""One lane with given hyperparameters, and the λ = 0 twin: what a fair expert would be without its fairness terms."""

from __future__ import annotations

import dataclasses
from typing import Protocol

from experts.expert import Role
from experts.networks.lane_expert import LaneExpert
from experts.networks.network import MLP, Network
from experts.networks.trainer import Budget, LaneConfig, train_lanes
from tasks.task import TaskView


class TrainedLane(Protocol):
    """What it takes to train the lane of a tuned role again."""

    @property
    def role(self) -> Role:
        """What was tuned."""
        ...

    @property
    def lane(self) -> LaneConfig:
        """The chosen configuration."""
        ...

    @property
    def budget(self) -> Budget:
        """Of a batch of lanes."""
        ...

    @property
    def train_seed(self) -> int:
        """Of batch order and dropout."""
        ...

    @property
    def floor(self) -> float | None:
        """Least validation utility of a feasible checkpoint."""
        ...

    @property
    def network(self) -> Network:
        """What lanes are."""
        ...


def train_fixed(
    view: TaskView,
    role: Role,
    config: LaneConfig,
    budget: Budget,
    *,
    seed: int,
    utility_floor: float | None = None,
    network: Network = MLP,
) -> LaneExpert:
    """Train one configuration with the selector of its role: no search.

    Parameters
    ----------
    view, role, config, budget, seed, utility_floor, network
        As :func:`experts.networks.trainer.train_lanes` takes them.

    Raises
    ------
    RuntimeError
        If the lane failed; the text gives the reason.
    """
    result = train_lanes(view, role, [config], budget, seed=seed, utility_floor=utility_floor, network=network)
    if reason := result.failure(0):
        raise RuntimeError(f"Training the {role} role on {view.name} with lr {config.lr:g} failed: {reason}")
    return network.expert(view, role, result.parameters)


def twin(view: TaskView, tuned: TrainedLane) -> LaneExpert:
    """The chosen lane of a tuned role with every λ at 0.

    Learning rate, weight decay, initial weights, batch order, dropout, budget and selector are those of the tuned
    expert, so that whatever differs is the work of the fairness terms and not of the selector.
    """
    lane = dataclasses.replace(tuned.lane, lambdas=dict.fromkeys(tuned.lane.lambdas, 0.0))
    return train_fixed(
        view,
        tuned.role,
        lane,
        tuned.budget,
        seed=tuned.train_seed,
        utility_floor=tuned.floor,
        network=tuned.network,
    )
