"""Out-of-fold logits of LLM experts: what they say about training rows that they have not seen."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from experts.expert import Role
from experts.tuning.folds import fold_of_rows
from llm_experts.bases.memory import activation_floats
from llm_experts.reading.calibration import calibrated
from llm_experts.training.objectives import Options, Teacher
from llm_experts.training.text_blocks import TaskTexts
from llm_experts.training.trainer import Budget, LaneConfig, LaneResult, block_margins, train_lanes


class Recipe(NamedTuple):
    """How an expert was trained.

    Attributes
    ----------
    role, kind : str
    lane : LaneConfig
    steps : int
        Of its chosen checkpoint.
    budget : Budget
        Under which it was chosen.
    seed : int
        Of its batches.
    options, adapter_options
        As :func:`llm_experts.training.trainer.train_lanes` takes them.
    teacher : Teacher or None
        Of the training rows.
    """

    role: Role
    kind: str
    lane: LaneConfig
    steps: int
    budget: Budget
    seed: int
    options: Options
    adapter_options: Mapping[str, Any]
    teacher: Teacher | None = None


def out_of_fold_logits(
    texts: TaskTexts,
    experts: Sequence[Recipe],
    *,
    seed: int,
    folds: int = 5,
    assignment: Tensor | None = None,
) -> Tensor:
    """Calibrated margins of every training row by lanes that were trained without it.

    All folds of an expert are lanes of one program: fold f gives its rows weight 0. They train for the expert's own
    number of steps on its own schedule, so that no held-out row chooses anything; each lane is calibrated on the
    validation rows, as the expert was.

    Parameters
    ----------
    texts : TaskTexts
    experts : sequence of Recipe
        ``recipe`` of each tuned role.
    seed : int
        Of the folds and the batches.
    folds : int
    assignment : [n_train] int64, optional
        Fold of each training row; default: :func:`experts.tuning.folds.fold_of_rows`. Experts of other families
        that are to stand in the same mixture take the same.

    Returns
    -------
    [n_train, m] float32
        In the order of ``view.split.train`` and of ``experts``.

    Raises
    ------
    RuntimeError
        If a lane failed.
    """
    fold = fold_of_rows(texts.view, folds, seed) if assignment is None else assignment
    return torch.stack([_held_out(texts, recipe, fold, seed) for recipe in experts], dim=1)


def _held_out(texts: TaskTexts, recipe: Recipe, fold: Tensor, seed: int) -> Tensor:
    count = int(fold.max()) + 1
    weights = (fold[None] != torch.arange(count)[:, None]).to(torch.float32)
    result = train_lanes(
        texts,
        recipe.role,
        [recipe.lane] * count,
        fixed_steps(recipe.budget, recipe.steps),
        seed=seed,
        kind=recipe.kind,
        options=recipe.options,
        adapter_options=recipe.adapter_options,
        teacher=recipe.teacher,
        row_weights=weights,
        keep_last=True,
    )
    for lane, state in enumerate(result.state):
        if state == "failed":
            raise RuntimeError(
                f"Fold {lane} of the {recipe.role} expert ({recipe.kind}) on {texts.view.name} failed: "
                f"{result.reason[lane]} Tune with smaller learning rates, or use fewer folds."
            )
    logits = torch.empty(len(fold))
    for lane in range(count):
        places = torch.nonzero(fold == lane)[:, 0]
        logits[places] = _logits(texts, result, lane, places)
    return logits


def _logits(texts: TaskTexts, result: LaneResult, lane: int, places: Tensor) -> Tensor:
    """Calibrated margins of one lane for some training rows."""
    lanes, block = result.lanes.select(torch.tensor([lane])), texts.rows(texts.view.split.train)
    floats = activation_floats(texts.cut.base.model)
    margins = block_margins(lanes, result.theta[lane : lane + 1], block, floats, places)[0]
    temperature, bias = (float(part[lane]) for part in result.calibration)
    return calibrated(margins, temperature, bias).float()


def fixed_steps(budget: Budget, steps: int) -> Budget:
    """The same schedule, cut after ``steps`` steps: no pruning, no reasons."""
    horizon = budget.horizon or budget.steps
    warm_up = min(budget.warm_up, steps - 1)
    return dataclasses.replace(budget, steps=steps, horizon=horizon, warm_up=warm_up, rungs=(), final_rows=0)
