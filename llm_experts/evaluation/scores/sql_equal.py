"""SQL result equality: the query of the answer gives what the reference query gives."""

from __future__ import annotations

from collections.abc import Sequence

from llm_experts.evaluation.needs import needs_fact
from llm_experts.evaluation.score import Answered, Array, Score, per_item


def columns(items: Sequence[Answered]) -> Array:
    """[n, 2]: whether both queries give the same rows, by the family's checker, and 1."""
    return per_item([item.verdicts[0].correct for item in items])


SCORE = Score(
    id="sql_equal",
    label="equal SQL result",
    about="share of answers whose query runs on the item's tables and gives the rows of the reference query",
    range=(0, 1),
    better="higher",
    needs="answer",
    columns=columns,
    proportion=True,
    refuses=needs_fact("query"),
)
