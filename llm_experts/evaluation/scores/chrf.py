"""chrF2 of all answers together, by sacrebleu's n-grams (Popović 2015)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from llm_experts.evaluation.needs import needs_reference
from llm_experts.evaluation.score import Answered, Array, Score
from metrics.proportions import quotient

ORDER, BETA = 6, 2


def columns(items: Sequence[Answered]) -> Array:
    """[n, 18]: for n-grams of 1-6 characters those of the answer, of the reference, and of both."""
    rows = [_counts(item.answer, item.example.completion) for item in items]
    return np.array(rows, dtype=np.float64).reshape(-1, 3 * ORDER)


def _counts(answer: str, reference: str) -> list[int]:
    from sacrebleu.metrics.helpers import extract_all_char_ngrams

    said, asked = (extract_all_char_ngrams(text, ORDER) for text in (answer.rstrip(), reference.rstrip()))
    mine = [sum(s.values()) if a else 0 for s, a in zip(said, asked, strict=True)]
    theirs = [sum(a.values()) for a in asked]
    return [*mine, *theirs, *(sum((s & a).values()) for s, a in zip(said, asked, strict=True))]


def formula(sums: Array) -> Array:
    """ChrF in 0-100: F2 of precision and recall, each the mean over the orders that both sides have."""
    said, asked, both = np.split(sums, 3, axis=-1)
    there = (said > 0) & (asked > 0)
    orders = there.sum(axis=-1).astype(np.float64)
    precision, recall = (
        np.nan_to_num(quotient(np.where(there, quotient(both, of), 0.0).sum(axis=-1), orders)) for of in (said, asked)
    )
    found: Array = 100 * np.nan_to_num(quotient((1 + BETA**2) * precision * recall, BETA**2 * precision + recall))
    return found


def signature() -> str:
    """As sacrebleu writes it."""
    from sacrebleu.metrics.chrf import CHRF

    chrf = CHRF(char_order=ORDER, word_order=0, beta=BETA)
    chrf.corpus_score(["a"], [["a"]])
    return str(chrf.get_signature())


SCORE = Score(
    id="chrf",
    label="chrF2",
    about="n-grams of characters shared with the reference, 0-100, of all answers together (sacrebleu)",
    range=(0, 100),
    better="higher",
    needs="answer",
    columns=columns,
    formula=formula,
    refuses=needs_reference,
    signature=signature,
)
