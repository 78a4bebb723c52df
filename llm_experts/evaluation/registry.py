"""The scores that there are."""

from __future__ import annotations

import re

from foundation.discovery import items, load
from llm_experts.evaluation.error import EvaluationError
from llm_experts.evaluation.score import Score
from llm_experts.evaluation.scores.pass_at_k import at

ROOM, NAME = "llm_experts.evaluation.scores", "SCORE"
SCORES: dict[str, Score] = {item: load(ROOM, NAME, item) for item in items(ROOM, NAME)}
"""The files of this room that define a ``SCORE``, and those of plug-in folders."""
_AT = re.compile(r"pass@([1-9]\d*)\Z")


def score_named(name: str) -> Score:
    """The score with this id; ``pass@k`` for any k.

    Raises
    ------
    EvaluationError
        If there is none.
    """
    drawn = _AT.match(name)
    if drawn:
        return at(int(drawn.group(1)))
    if name not in SCORES:
        known = ", ".join(score for score in SCORES if score != "pass_at_k")
        raise EvaluationError(f"There is no score {name!r}; scores are {known}, pass@1, pass@10 (any number).")
    return SCORES[name]
