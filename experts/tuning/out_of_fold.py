"""Out-of-fold logits: what experts say about training rows that they have not seen.

A gate that learns from the experts' outputs on their own training rows learns to trust whoever memorised them.
"""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from experts.expert import Role
from experts.graph.inputs import lane_inputs
from experts.graph.settings import GraphSettings
from experts.networks.trainer import Budget, LaneConfig, train_lanes
from tasks.task import TaskView


class Recipe(NamedTuple):
    """How an expert was trained: role, lane, optimiser step of its chosen checkpoint, graph network if it is one."""

    role: Role
    lane: LaneConfig
    steps: int
    graph: GraphSettings | None = None


def fold_of_rows(view: TaskView, folds: int, seed: int) -> Tensor:
    """[n_train] int64 fold of each training row, stratified by label × group.

    Within a cell rows are dealt out in the order of a seeded hash of their position, and the next cell goes on where
    the last one ended: cells and folds are as equal in size as they can be.

    Raises
    ------
    ValueError
        If there are fewer than two folds, or fewer training rows than folds.
    """
    train = view.split.train
    if not 2 <= folds <= len(train):
        raise ValueError(f"{folds} folds of {len(train)} training rows cannot be made; use 2 to {len(train)} folds.")
    cells = (view.labels[train] * len(view.group_names) + view.groups[train]).tolist()
    order = sorted(range(len(train)), key=lambda i: (cells[i], _hash(seed, int(train[i]))))
    fold = torch.empty(len(train), dtype=torch.int64)
    fold[order] = torch.arange(len(train)) % folds
    return fold


def _hash(seed: int, row: int) -> bytes:
    return hashlib.sha256(f"{seed}:fold:{row}".encode()).digest()


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
        ``tuning.recipe`` of each tuned role, tabular and graph networks mixed.
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
        graph=recipe.graph,
    )
    for lane, (state, step) in enumerate(zip(result.state, result.step, strict=True)):
        if state == "failed" or step == 0:
            reason = result.reason[lane] or "its metrics are not estimable on the validation rows."
            raise RuntimeError(
                f"Fold {lane} of the {recipe.role} expert on {view.name} failed: {reason} Tune with a smaller learning "
                "rate, or use fewer folds."
            )
    inputs, logits = lane_inputs(view, recipe.graph), torch.empty(len(fold))
    for lane in range(count):
        held_out = fold == lane
        logits[held_out] = inputs.margins(result.parameters.select([lane]), view.split.train[held_out])[0]
    return logits


def fixed_steps(budget: Budget, steps: int) -> Budget:
    """The same budget for exactly ``steps`` steps: one checkpoint, at the end, and no pruning."""
    return dataclasses.replace(budget, steps=steps, eval_every=steps, rungs=())
