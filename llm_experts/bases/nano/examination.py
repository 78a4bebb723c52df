"""What nano knows: its answers about people of populations that it has never seen."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
import torch

from llm_experts.bases.nano.corpus import Encoder, Lesson, lessons
from llm_experts.bases.nano.network import collate, rotary_tables, states_of
from llm_experts.bases.nano.schema import Subject, bank

if TYPE_CHECKING:
    from transformers import Qwen3ForCausalLM

BATCH = 8


@torch.no_grad()
def examine(
    model: Qwen3ForCausalLM, encoder: Encoder, subjects: tuple[Subject, ...], rows: int, world: int
) -> dict[str, dict[str, float]]:
    """Share of questions answered rightly, by task family, on ``rows`` rows of new populations.

    Returns
    -------
    dict
        Family -> ``questions`` (how many), ``accuracy`` and ``constant`` (the accuracy of the more frequent answer).
    """
    marks: dict[str, list[bool]] = {}
    truths: dict[str, list[int]] = {}
    paper = list(lessons(subjects, bank(), rows, world, "examination"))
    for start in range(0, len(paper), BATCH):
        for family, truth, right in _marked(model, encoder, paper[start : start + BATCH]):
            marks.setdefault(family, []).append(right)
            truths.setdefault(family, []).append(truth)
    return {
        family: {
            "questions": len(marks[family]),
            "accuracy": float(np.mean(marks[family])),
            "constant": float(np.bincount(truths[family]).max() / len(truths[family])),
        }
        for family in sorted(marks)
    }


def _marked(model: Qwen3ForCausalLM, encoder: Encoder, part: list[Lesson]) -> Iterator[tuple[str, int, bool]]:
    """Family, true answer and whether it was given, of each question of yes or no and of each size of a number."""
    tokens = encoder.encode(part)
    states = states_of(model, collate(tokens), rotary_tables(model.config)).final
    words = model.lm_head.weight
    answers, levels, sides = encoder.answer_ids, encoder.level_ids, encoder.side_ids
    for row, (lesson, spelt) in enumerate(zip(part, tokens, strict=True)):
        asked = [place for place, question in enumerate(lesson.questions) if question.truth >= 0]
        given = (states[row, spelt.ends[asked]] @ words[list(answers)].T).argmax(-1).tolist()
        for place, said in zip(asked, given, strict=True):
            question = lesson.questions[place]
            yield question.family, question.truth, said == question.truth
        for family, known in (("level", levels), ("side", sides)):
            graded = np.flatnonzero(np.isin(spelt.targets, known))
            given = (states[row, graded] @ words[list(known)].T).argmax(-1).tolist()
            for target, said in zip(spelt.targets[graded].tolist(), given, strict=True):
                yield family, known.index(target), known[said] == target
