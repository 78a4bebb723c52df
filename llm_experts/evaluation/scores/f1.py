"""Macro F1: the mean over labels of the harmonic mean of precision and recall."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from llm_experts.evaluation.labels import label_in, labels_of, needs_label
from llm_experts.evaluation.score import Answered, Array, Score
from llm_experts.evaluation.texts import normalised
from metrics.proportions import quotient


def columns(items: Sequence[Answered]) -> Array:
    """[n, 2 L]: for each label whether it was named rightly, then how often it was named or right (0, 1 or 2)."""
    labels = labels_of(items)
    place = {label: index for index, label in enumerate(labels)}
    hits, seen = np.zeros((len(items), len(labels))), np.zeros((len(items), len(labels)))
    for row, item in enumerate(items):
        right, named = normalised(item.example.completion), label_in(item.answer, labels)
        hits[row, place[right]] = float(named == right)
        seen[row, place[right]] += 1
        if named is not None:
            seen[row, place[named]] += 1
    return np.concatenate([hits, seen], axis=1)


def formula(sums: Array) -> Array:
    """Mean of 2 hits / seen over the labels that are right or named at least once."""
    hits, seen = np.split(sums, 2, axis=-1)
    each = quotient(2 * hits, seen)
    known = ~np.isnan(each)
    return quotient(np.where(known, each, 0.0).sum(axis=-1), known.sum(axis=-1).astype(np.float64))


SCORE = Score(
    id="f1",
    label="macro F1",
    about="mean over the set's labels of the F1 of each; labels that are neither right nor named anywhere are left out",
    range=(0, 1),
    better="higher",
    needs="answer",
    columns=columns,
    formula=formula,
    refuses=needs_label,
)
