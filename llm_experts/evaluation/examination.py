"""An examination: scores of answered items, each with its interval, or the reason why it has none."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from foundation.seeding import numpy_generator
from llm_experts.bias.result import resampled
from llm_experts.evaluation.error import EvaluationError
from llm_experts.evaluation.score import Answered, Score
from metrics.proportions import wilson

FEWEST = 30
"""Items of an examination at least: with fewer, no interval is short enough to say anything."""
DRAWS = 2000


@dataclass(frozen=True)
class ScoreRow:
    """One score of one model on one set.

    Attributes
    ----------
    score, label : str
    estimate, low, high : float
        The score and its 95 % interval; nan where there is none.
    n : int
        Items that were scored.
    status : str
        ``ok`` or ``not_estimable``.
    reason : str
        Why there is no value; "" where there is.
    signature : str
        How exactly it was computed.
    interval : str
        ``wilson`` (proportions) or ``bootstrap`` (of items, the score computed anew on each draw).
    """

    score: str
    label: str
    estimate: float
    low: float
    high: float
    n: int
    status: str = "ok"
    reason: str = ""
    signature: str = ""
    interval: str = ""


def examine(items: Sequence[Answered], scores: Sequence[Score], *, seed: int = 0, draws: int = DRAWS) -> list[ScoreRow]:
    """Score answered items.

    Parameters
    ----------
    items : sequence of Answered
    scores : sequence of Score
    seed : int
        Of the bootstrap.
    draws : int
        Of the bootstrap.

    Returns
    -------
    list of ScoreRow
        One for each score. A score that an item cannot have is not estimable, and the row says why.

    Raises
    ------
    EvaluationError
        If there are fewer than 30 items.
    """
    check_enough(len(items))
    return [_row(items, score, seed, draws) for score in scores]


def check_enough(count: int, what: str = "The set") -> None:
    """Raise :class:`EvaluationError` unless there are items enough to say anything."""
    if count < FEWEST:
        raise EvaluationError(
            f"{what} has {count} items, and an examination needs {FEWEST} at least: of {FEWEST} items, all right, the "
            f"true share may still be {wilson(FEWEST, FEWEST)[0]:.2f}. Give more items (--count, or a longer file)."
        )


def _row(items: Sequence[Answered], score: Score, seed: int, draws: int) -> ScoreRow:
    why = not_scored(items, score)
    if why:
        nan = float("nan")
        return ScoreRow(score.id, score.label, nan, nan, nan, len(items), "not_estimable", why, score.signature())
    columns = score.columns(items)
    if score.proportion:
        low, high = wilson(float(columns[:, 0].sum()), len(columns))
        estimate = float(columns[:, 0].mean())
        return ScoreRow(
            score.id, score.label, estimate, low, high, len(items), signature=score.signature(), interval="wilson"
        )
    value = resampled(
        columns, range(len(items)), score.formula, numpy_generator(seed, "evaluation", score.id),
        "its denominator is 0", draws, score.range,
    ).value(bounds=score.range)  # fmt: skip
    return ScoreRow(
        score.id, score.label, value.estimate, value.low, value.high, len(items), value.status, value.reason,
        score.signature(), "bootstrap",
    )  # fmt: skip


def not_scored(items: Sequence[Answered], score: Score) -> str:
    """Why a score cannot be had of some items; "" if it can.

    A score of only those items that can have it would be another one, so that one item that cannot is enough.
    """
    reasons = [(item.example.id, score.refuses(item)) for item in items]
    refused = [(id, reason) for id, reason in reasons if reason]
    if not refused:
        return ""
    id, reason = refused[0]
    return f"{len(refused)} of {len(items)} items cannot have it; item {id!r}: {reason}"
