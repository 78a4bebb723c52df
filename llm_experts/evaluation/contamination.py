"""What an examination has in common with what was learnt, and what is left of the scores on clean items."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from llm_experts.data.example import Example
from llm_experts.data.overlap import overlap
from llm_experts.evaluation.examination import FEWEST, ScoreRow, examine
from llm_experts.evaluation.score import Answered, Score
from metrics.proportions import wilson


@dataclass(frozen=True)
class Contamination:
    """Items of an examination that were learnt, or nearly.

    Attributes
    ----------
    items : int
        Items of the examination.
    n, threshold : int, float
        An item is seen if its prompt was learnt, or a share of at least ``threshold`` of its n-grams of words.
    same : int
        Items whose prompt was learnt as it stands.
    seen : tuple of str
        Ids of all that are seen.
    low, high : float
        95 % interval of the share of such items in sets like this one (Wilson).
    clean : tuple of ScoreRow
        Scores of the other items alone; empty where there are fewer than 30, or nothing is seen.
    """

    items: int
    n: int
    threshold: float
    same: int
    seen: tuple[str, ...]
    low: float
    high: float
    clean: tuple[ScoreRow, ...]

    @property
    def share(self) -> float:
        """Share of the items that are seen."""
        return len(self.seen) / self.items

    def described(self) -> str:
        """One sentence for reports."""
        told = f"{len(self.seen)} of {self.items} items ({self.share:.1%}, 95 % {self.low:.1%} to {self.high:.1%})"
        rule = f"{self.same} by their whole prompt, others by {self.threshold:.0%} of their {self.n}-grams"
        if not self.seen:
            return f"None of the {self.items} items stands in the training data (by prompt or {self.n}-grams)."
        if self.clean:
            return f"{told} stand in the training data: {rule}. Scores of the others alone are told beside."
        return f"{told} stand in the training data: {rule}. The others are fewer than {FEWEST}: no score of them."


def contamination(
    learnt: Sequence[Example],
    items: Sequence[Answered],
    scores: Sequence[Score],
    *,
    n: int = 13,
    threshold: float = 0.8,
    seed: int = 0,
) -> Contamination:
    """Compare an examination with what was learnt.

    Parameters
    ----------
    learnt : sequence of Example
        The training data.
    items : sequence of Answered
    scores : sequence of Score
        Computed again on items that are not seen.
    n, threshold
        See :func:`llm_experts.data.overlap.overlap` (n = 13: Brown et al. 2020).
    seed : int
        Of the bootstrap.

    Raises
    ------
    EvaluationError
        If there are fewer than 30 items.
    """
    found = overlap(learnt, [item.example for item in items], n=n, threshold=threshold)
    seen = {*found.same_prompts, *found.flagged}
    clean = [item for item in items if item.example.id not in seen]
    rows = examine(clean, scores, seed=seed) if seen and len(clean) >= FEWEST else []
    ordered = tuple(item.example.id for item in items if item.example.id in seen)
    low, high = wilson(len(ordered), len(items))
    return Contamination(len(items), n, threshold, len(found.same_prompts), ordered, low, high, tuple(rows))
