"""What nano knows: its answers about people of populations that it has never seen."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

from llm_experts.nano.corpus import Encoder, Lesson, lessons
from llm_experts.nano.network import collate, final_states, rotary_tables
from llm_experts.nano.schema import Subject, bank

if TYPE_CHECKING:
    from transformers import Qwen3ForCausalLM

BATCH = 8


@torch.no_grad()
def examine(
    model: Qwen3ForCausalLM, encoder: Encoder, subjects: tuple[Subject, ...], rows: int, world: int
) -> dict[str, dict[str, float]]:
    """Share of yes/no questions answered rightly, by task family, on ``rows`` rows of new populations.

    Returns
    -------
    dict
        Family -> ``questions`` (how many), ``accuracy`` and ``constant`` (the accuracy of the more frequent answer).
    """
    paper = list(lessons(subjects, bank(), rows, world, "examination"))
    right: dict[str, list[bool]] = {}
    truths: dict[str, list[int]] = {}
    for start in range(0, len(paper), BATCH):
        part = paper[start : start + BATCH]
        margins = _margins(model, encoder, part)
        for lesson, said in zip(part, margins, strict=True):
            for question, margin in zip(lesson.questions, said.tolist(), strict=True):
                if question.truth >= 0:  # a question of yes or no
                    right.setdefault(question.family, []).append((margin > 0) == bool(question.truth))
                    truths.setdefault(question.family, []).append(question.truth)
    return {
        family: {
            "questions": len(marks),
            "accuracy": float(np.mean(marks)),
            "constant": float(max(np.mean(truths[family]), 1 - np.mean(truths[family]))),
        }
        for family, marks in sorted(right.items())
    }


def _margins(model: Qwen3ForCausalLM, encoder: Encoder, part: list[Lesson]) -> list[np.ndarray]:
    """[questions] log-odds of yes against no at the end of each lesson's branches."""
    tokens = encoder.encode(part)
    states = final_states(model, collate(tokens), rotary_tables(model.config))
    no, yes = encoder.answer_ids
    words = model.model.embed_tokens.weight
    margins = (states @ (words[yes] - words[no])).numpy()
    return [margins[row, lesson.ends] for row, lesson in enumerate(tokens)]
