"""Bags of networks: all pairs of a trial and a fold are lanes of one program."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import torch
from torch import Tensor

from experts.bagging.bag import Bag, BaggedExpert, bag_name
from experts.bagging.folds import bag_rows
from experts.expert import Role
from experts.networks.lanes import LaneParameters
from experts.networks.network import Network
from experts.networks.trainer import Budget, LaneConfig, LaneRun
from experts.tuning.networks import TunedNetwork, lane_seed
from experts.tuning.trials import trained_row
from tasks.task import TaskView


def bag_networks(
    view: TaskView, tuned: TunedNetwork, trials: Sequence[int], *, budget: Budget, fold: Tensor
) -> list[Bag]:
    """Bags of trials, those that halving stopped among them.

    Every lane trains for as many steps as its trial's chosen checkpoint had: no held-out row chooses anything. In a
    graph the features of held-out nodes stay, as those of test nodes do.

    Parameters
    ----------
    view : TaskView
    tuned : TunedNetwork
    trials : sequence of int
        Numbers of the study.
    budget : Budget
        As in tuning; steps, evaluations and halving are replaced.
    fold : [n] int64
        Of :func:`experts.bagging.folds.bag_rows`.

    Raises
    ------
    RuntimeError
        If a lane becomes undefined.
    ValueError
        If a trial is not of the study, or failed in it.
    """
    if not trials:
        return []
    pooled, folds, rows = _pooled(view), int(fold.max()) + 1, bag_rows(view)
    steps = [_steps(tuned, number) for number in trials for _ in range(folds)]
    lanes = [lane_of_trial(tuned, number) for number in trials for _ in range(folds)]
    seen = (fold[None] != torch.arange(folds)[:, None]).to(torch.float32).repeat(len(trials), 1)
    parameters = train_for_steps(
        pooled, tuned.role, lanes, budget, steps, seed=tuned.train_seed, row_weights=seen, network=tuned.network
    )
    if not bool(torch.isfinite(parameters.theta).all()):
        raise RuntimeError(f"A fold of the {tuned.role} role on {view.name} became infinite or undefined.")
    margins = tuned.network.inputs(pooled).margins(parameters, rows).view(len(trials), folds, len(rows))
    oof = margins.gather(1, fold.expand(len(trials), 1, -1))[:, 0].float()
    bags = []
    for place, number in enumerate(trials):
        of_trial = range(place * folds, (place + 1) * folds)
        models = tuple(tuned.network.expert(pooled, tuned.role, parameters, lane) for lane in of_trial)
        family = tuned.expert.family
        name = bag_name(family, tuned.role, number)
        bags.append(Bag(name, family, tuned.role, number, oof[place].clone(), BaggedExpert(models)))
    return bags


def train_for_steps(
    view: TaskView,
    role: Role,
    lanes: Sequence[LaneConfig],
    budget: Budget,
    steps: Sequence[int],
    *,
    seed: int,
    row_weights: Tensor,
    network: Network,
) -> LaneParameters:
    """Lanes after numbers of steps of their own: a lane that has had its steps leaves the program.

    Parameters
    ----------
    view, role, lanes, budget, seed, row_weights, network
        As :func:`experts.networks.trainer.train_lanes` takes them.
    steps : sequence of K int, > 0
    """
    budget = dataclasses.replace(budget, steps=max(steps), rungs=())
    inputs, left = network.inputs(view), torch.tensor(steps)
    run = LaneRun(inputs, role, lanes, budget, seed, None, row_weights, view.split.validation)
    done, alive = torch.empty_like(run.optimiser.theta), torch.arange(len(lanes))
    step = 0
    while len(alive):
        step = run.step(step + 1, int(left[alive].min()))
        ended = left[alive] == step
        if bool(ended.any()):
            done[alive[ended]] = run.optimiser.theta[ended]
            alive = alive[~ended]
            run.select(torch.nonzero(~ended).flatten())
    return inputs.networks(done, budget.hidden)


def _pooled(view: TaskView) -> TaskView:
    """The view whose training rows are those of the bag."""
    return dataclasses.replace(view, split=dataclasses.replace(view.split, train=bag_rows(view)))


def _steps(tuned: TunedNetwork, number: int) -> int:
    """Optimiser step of a trial's chosen checkpoint."""
    if number == tuned.best_trial:
        return tuned.step
    row = trained_row(tuned, number)
    return int(row["step"])


def lane_of_trial(tuned: TunedNetwork, number: int) -> LaneConfig:
    """The configuration of a trial's lane: learning rate, decay, λ and initial weights."""
    if number == tuned.best_trial:
        return tuned.lane
    params = next(row["params"] for row in tuned.trials if row["number"] == number)
    lambdas = {key: value for key, value in params.items() if key.startswith("lambda_")}
    return LaneConfig(params["lr"], params["weight_decay"], lambdas, lane_seed(tuned.seed, tuned.role, number))
