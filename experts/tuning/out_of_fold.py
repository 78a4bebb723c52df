"""Out-of-fold logits of networks: what they say about training rows that they have not seen.

A gate that learns from the experts' outputs on their own training rows learns to trust whoever memorised them.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from experts.expert import Role
from experts.networks.network import MLP, Network
from experts.networks.trainer import Budget, LaneConfig, train_lanes
from experts.tuning.folds import fold_of_rows
from tasks.task import TaskView


class Recipe(NamedTuple):
    """How an expert was trained: role, lane, optimiser step of its chosen checkpoint, kind of network."""

    role: Role
    lane: LaneConfig
    steps: int
    network: Network = MLP


def out_of_fold_logits(
    view: TaskView,
    experts: Sequence[Recipe],
    *,
    budget: Budget,
    seed: int,
    folds: int = 5,
    assignment: Tensor | None = None,
) -> Tensor:
    """Logit margins of every training row by lanes that were trained without it.

    All folds of an expert are lanes of one program: fold f gives its rows weight 0. They train for the expert's own
    number of steps, so that no held-out row chooses anything. The features of held-out nodes stay in a graph, as those
    of test nodes do.

    Parameters
    ----------
    view : TaskView
    experts : sequence of Recipe
        ``recipe`` of each tuned role, tabular and graph networks mixed.
    budget : Budget
        As in tuning; steps, evaluations and halving are replaced.
    seed : int
        Of the folds, the batch order and the dropout.
    folds : int
    assignment : [n_train] int64, optional
        Fold of each training row; default: :func:`fold_of_rows`.

    Returns
    -------
    [n_train, m] float32
        In the order of ``view.split.train`` and of ``experts``.

    Raises
    ------
    RuntimeError
        If a lane failed.
    """
    fold = fold_of_rows(view, folds, seed) if assignment is None else assignment
    return torch.stack([_held_out(view, recipe, fold, budget, seed) for recipe in experts], dim=1)


def _held_out(view: TaskView, recipe: Recipe, fold: Tensor, budget: Budget, seed: int) -> Tensor:
    count = int(fold.max()) + 1
    weights = (fold[None] != torch.arange(count)[:, None]).to(torch.float32)
    result = train_lanes(
        view,
        recipe.role,
        [recipe.lane] * count,
        fixed_steps(budget, recipe.steps),
        seed=seed,
        row_weights=weights,
        network=recipe.network,
    )
    for lane in range(count):
        if reason := result.failure(lane):
            raise RuntimeError(
                f"Fold {lane} of the {recipe.role} expert on {view.name} failed: {reason} Tune with a smaller learning "
                "rate, or use fewer folds."
            )
    inputs, logits = recipe.network.inputs(view), torch.empty(len(fold))
    for lane in range(count):
        held_out = fold == lane
        logits[held_out] = inputs.margins(result.parameters.select([lane]), view.split.train[held_out])[0]
    return logits


def fixed_steps(budget: Budget, steps: int) -> Budget:
    """The same budget for exactly ``steps`` steps: one checkpoint, at the end, and no pruning."""
    return dataclasses.replace(budget, steps=steps, eval_every=steps, rungs=())
