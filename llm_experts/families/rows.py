"""Rows of a data card as text, answered with the card's own words: the split of the task is the split of the items."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

from foundation.seeding import derive_seed
from llm_experts.data.error import DataError
from llm_experts.data.example import Example
from llm_experts.families.family import Family, Part
from llm_experts.families.shared.draw import Draw
from llm_experts.families.shared.labels import check_label

if TYPE_CHECKING:
    from tasks.task import Task

DEFAULT, TEMPLATE = "german", "record"


def rows_of(task: str) -> Family:
    """The family of one task's rows, such as ``german``, ``compas:race`` or ``adult:sex@1500``.

    Parts are those of the task's first split, the one that tabular experts have; a seed draws which rows and in which
    order, and by row the order of the two words in the question, so that fewer items are the first of more. Difficulty
    has no meaning. Rows are as the data has them:
    two people of whom the same is known are two items.
    """

    def make(part: Part, count: int, seed: int = 0, difficulty: float | None = None) -> list[Example]:
        if count < 0:
            raise DataError(f"{count} items cannot be made; give a number of at least 0.")
        del difficulty
        loaded = _task(task)
        own = derive_seed(seed, "family", "rows", task, part)
        ids = getattr(loaded.split, part).tolist()
        return _examples(task, loaded, Draw(own).sample(ids, min(count, len(ids))), own)

    return Family(
        name="rows" if task == DEFAULT else f"rows:{task}",
        label="Rows of a table",
        about=f"What is asked of a row of {task}, in the words of its card.",
        scores=("correct", "accuracy", "f1"),
        longest_answer=4,
        make=make,
        check=check_label,
        published=True,
    )


@lru_cache(maxsize=2)
def _task(name: str) -> Task:
    from tasks.load import load_task

    loaded = load_task(name)
    if not loaded.card.text.question.strip():
        raise DataError(
            f"The card of {name} asks no question, so its rows make no language tasks. Add to its [text] a line such "
            'as question = "Will the applicant repay the loan?".'
        )
    return loaded


def _examples(task: str, loaded: Task, rows: list[int], seed: int) -> list[Example]:
    import torch

    from tasks.templates import OPTIONS, QUESTION, format_of
    from tasks.text import render

    words, family = loaded.card.text, "rows" if task == DEFAULT else f"rows:{task}"
    labels = [words.negative, words.positive]
    asked = format_of(TEMPLATE).ask + QUESTION.format(question=words.question.strip())
    made = []
    for row, written in zip(rows, render(loaded, torch.tensor(rows), template=TEMPLATE), strict=True):
        label, place = labels[int(loaded.labels[row])], int(loaded.rows[row])
        first, second = labels if Draw(derive_seed(seed, "order", place)).chance(0.5) else labels[::-1]
        facts = {"family": family, "label": label, "labels": labels, "row": place}
        prompt = written.text + asked + OPTIONS.format(first=first, second=second)
        made.append(Example(f"{family}-{place}", prompt, label, facts=facts))
    return made


FAMILY = rows_of(DEFAULT)
