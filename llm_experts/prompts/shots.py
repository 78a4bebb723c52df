"""Answered examples for prompts, drawn from training rows."""

from __future__ import annotations

import torch
from torch import Tensor

from foundation.seeding import torch_generator
from llm_experts.prompts.asking import Shot
from llm_experts.prompts.pieces import PromptError
from tasks.task import HIDDEN, TaskView
from tasks.text import cells_of


def draw_shots(view: TaskView, count: int, seed: int) -> tuple[Shot, ...]:
    """Examples of a task, none of which is a validation or test row.

    Labels take turns, and so do the groups of each label: four examples of two groups are one of every (label, group)
    cell. Where a cell has no row left the next one gives it. Their order in the prompt is drawn too, so that neither
    the first nor the last example always says the same.

    Parameters
    ----------
    view : TaskView
    count : int
        0 draws none.
    seed : int

    Raises
    ------
    PromptError
        If a training label is hidden, or there are fewer training rows.
    """
    rows = view.split.train
    if count < 0 or count > len(rows):
        raise PromptError(f"{count} examples cannot be drawn from {len(rows)} training rows; give 0 to {len(rows)}.")
    if count and bool((view.labels[rows] == HIDDEN).any()):
        raise PromptError(f"{view.name}: labels of training rows are hidden, so they cannot be shown as examples.")
    chosen = rows[_places(view.labels[rows], view.groups[rows], count, seed)]
    cells, labels = cells_of(view, chosen), view.labels[chosen].tolist()
    return tuple(Shot(cell, label) for cell, label in zip(cells, labels, strict=True))


def _places(labels: Tensor, groups: Tensor, count: int, seed: int) -> Tensor:
    """[count] positions of rows, (label, group) cells in turn, in a drawn order."""
    generator = torch_generator(seed, "shots")
    mixed = torch.randperm(len(labels), generator=generator).tolist()
    queues: dict[int, dict[int, list[int]]] = {0: {}, 1: {}}
    for place in mixed:
        queues[int(labels[place])].setdefault(int(groups[place]), []).append(place)
    taken: list[int] = []
    turns = {label: sorted(queues[label]) for label in queues}
    first = int(torch.randint(2, (), generator=generator))
    while len(taken) < count:
        label = (first + len(taken)) % 2
        label = label if turns[label] else 1 - label
        group = turns[label].pop(0)
        taken.append(queues[label][group].pop())
        turns[label] += [group] if queues[label][group] else []  # the group's next turn comes behind the others'
    order = torch.randperm(count, generator=generator)
    return torch.tensor(taken, dtype=torch.int64)[order]
