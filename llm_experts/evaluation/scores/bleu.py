"""BLEU of all answers together, by sacrebleu's tokens and counts (Papineni et al. 2002; Post 2018)."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from llm_experts.evaluation.needs import needs_reference
from llm_experts.evaluation.score import Answered, Array, Score

ORDER = 4


@cache
def _bleu() -> Any:
    from sacrebleu.metrics.bleu import BLEU

    return BLEU(effective_order=True)  # of sentences; counts do not depend on it


def columns(items: Sequence[Answered]) -> Array:
    """[n, 10]: matched n-grams of orders 1-4, n-grams of orders 1-4, tokens of the answer, tokens of the reference."""
    told = [_bleu().sentence_score(item.answer, [item.example.completion]) for item in items]
    return np.array([[*s.counts, *s.totals, s.sys_len, s.ref_len] for s in told], dtype=np.float64).reshape(-1, 10)


def formula(sums: Array) -> Array:
    """BLEU in 0-100: brevity penalty times the geometric mean of precisions; those of 0 are smoothed as mteval does."""
    counts, totals, said, asked = sums[..., :ORDER], sums[..., ORDER : 2 * ORDER], sums[..., -2], sums[..., -1]
    nothing = counts == 0
    halved = np.where(nothing, 2.0 ** -np.cumsum(nothing, axis=-1), counts)
    defined: NDArray[np.bool_] = np.logical_and(np.all(totals > 0, axis=-1), np.any(counts > 0, axis=-1))
    safe = np.where(totals > 0, totals, 1.0)
    precision = np.log(np.where(defined[..., None], halved / safe, 1.0)).mean(axis=-1)
    short = np.where(said < asked, 1 - asked / np.where(said > 0, said, 1.0), 0.0)
    found: Array = np.where(defined, 100 * np.exp(precision + short), 0.0)
    return found


def signature() -> str:
    """As sacrebleu writes it."""
    from sacrebleu.metrics.bleu import BLEU

    bleu = BLEU()
    bleu.corpus_score(["a"], [["a"]])
    return str(bleu.get_signature())


SCORE = Score(
    id="bleu",
    label="BLEU",
    about="n-grams of words shared with the reference, 0-100, of all answers together (sacrebleu)",
    range=(0, 100),
    better="higher",
    needs="answer",
    columns=columns,
    formula=formula,
    refuses=needs_reference,
    signature=signature,
)
