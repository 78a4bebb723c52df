"""The teacher that ``--teacher`` names: what a tabular model says of training rows that it has not seen."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from torch import Tensor

    from llm_experts.training.objectives import Teacher
    from tasks.task import TaskView

LIGHTGBM = "lightgbm"
"""The teacher that is fitted here: the strong control of the benchmark."""


def teacher_named(named: str, view: TaskView, seed: int, weight: float, temperature: float) -> Teacher:
    """A teacher for the training rows of a task.

    Parameters
    ----------
    named : str
        ``lightgbm`` (the benchmark's bagged one, fitted now), the folder of a cell of a bench run of this task and
        split, or that of a saved model that is such a bag.
    view : TaskView
    seed : int
        Of what is fitted now.
    weight, temperature : float
        As :class:`llm_experts.training.objectives.Teacher` takes them.

    Raises
    ------
    typer.BadParameter
        If there is no such teacher, it is of other rows, or it knows no row that it has not seen.
    """
    from benchmarks.saving.layout import MODEL
    from llm_experts.training.objectives import Teacher

    place = Path(named)
    if named == LIGHTGBM:
        margins = _fitted(view, seed)
    elif (place / "cell.json").is_file():
        margins = _of_cell(place, view)
    elif (place / MODEL).is_file():
        margins = _of_model(place, view)
    else:
        raise typer.BadParameter(
            f"There is no teacher {named!r}: give {LIGHTGBM}, the folder of a cell of a bench run "
            "(RUN/jobs/JOB/cells/CELL), or that of a saved model that is a bag."
        )
    try:
        return Teacher(margins, weight, temperature)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error


def _fitted(view: TaskView, seed: int) -> Tensor:
    from benchmarks.methods.baselines._bagged import best_bag
    from foundation.seeding import derive_seed

    return best_bag(view, derive_seed(seed, "teacher")).logits(view, view.split.train).detach()


def _of_cell(folder: Path, view: TaskView) -> Tensor:
    """Out-of-fold margins that a cell keeps of training and validation rows."""
    from benchmarks.cells.seen import read_seen
    from benchmarks.run.rebuild import cell_at
    from experts.bagging import bag_rows

    handle = cell_at(folder)
    head = handle.facts["head"]
    if (head["task_hash"], head["split"]) != (view.hash, view.split.index):
        raise typer.BadParameter(
            f"{folder} is a cell of {head['task']}, split {head['split']}, and these rows are of {view.name}, split "
            f"{view.split.index}, seed {view.split.seed}: a teacher speaks of the same rows. Give a cell of this task, "
            "split and seed."
        )
    margins = read_seen(folder).oof
    if margins is None or len(margins) != len(bag_rows(view)):
        raise typer.BadParameter(
            f"{folder} ({handle.method}) keeps nothing of training rows that its model has not seen. Give a cell of a "
            f"method that is refitted on folds, such as lightgbm_bag, or --teacher {LIGHTGBM}."
        )
    return margins[: len(view.split.train)]


def _of_model(folder: Path, view: TaskView) -> Tensor:
    """Margins of a saved bag: each training row by the model whose fold it was held out of."""
    from benchmarks.methods.baselines._bagged import FOLDS
    from benchmarks.models.loading import load_model
    from experts.bagging import Bag, BaggedExpert, HonestBag, bag_folds
    from experts.saved import DESCRIPTION, read_facts
    from foundation.seeding import derive_seed

    saved = load_model(folder)
    if saved.facts.get("task_hash") != view.hash:
        raise typer.BadParameter(
            f"{folder} was made of other rows than {view.name}, split {view.split.index}, seed {view.split.seed}: a "
            "teacher speaks of the same rows. Give a model of this task, split and seed."
        )
    expert, facts = saved.expert, read_facts(folder / "expert" / DESCRIPTION)
    seed = facts.get("seed")
    if not isinstance(expert, BaggedExpert) or len(expert.experts) != FOLDS or not isinstance(seed, int):
        raise typer.BadParameter(
            f"{folder} ({saved.facts['method']}) has seen the training rows, and what it says of them repeats their "
            f"labels. Give a bagged model (lightgbm_bag), the cell of a bench run, or --teacher {LIGHTGBM}."
        )
    fold = bag_folds(view, FOLDS, derive_seed(seed, "folds"))
    bag = Bag("teacher", expert.family, expert.role, 0, view.labels.new_empty(0).float(), expert)
    return HonestBag.of(view, bag, fold).logits(view, view.split.train).detach()
