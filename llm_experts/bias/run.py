"""All bias sets for one scorer: base, adapter or mixture."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from llm_experts.bias import bbq, crows_pairs, stereoset, winobias
from llm_experts.bias.result import DRAWS
from llm_experts.bias.scorer import Scorer
from llm_experts.bias.sources import BiasError

Rows = list[dict[str, Any]]


def score_bias(
    scorer: Scorer,
    sets: Sequence[str] = ("bbq", "crows_pairs", "stereoset", "winobias"),
    limit: int | None = None,
    seed: int = 0,
    draws: int = DRAWS,
) -> Rows:
    """Rows of all metrics of the bias sets.

    Parameters
    ----------
    scorer : Scorer
        ``LMScorer.of(base)``, an :class:`LMScorer` on a PeftModel, a :class:`MixtureScorer`, ...
    sets : sequence of str
        Keys of :data:`SETS`.
    limit : int, optional
        At most so many items of each set, drawn by strata and seed; every row says how many of how many.
    seed : int
        Seed of the cap and of the bootstrap.
    draws : int
        Bootstrap draws of each interval.

    Returns
    -------
    list of dict
        ``set, metric, category, estimate, low, high, status, reason, n`` (items of the row), ``items, of`` (items used
        and published), ``limit`` (None: all), ``seed``, ``scoring``. A value whose denominator is 0 is
        "not_estimable" with its reason and nan, never a number; a bias of 0 of a model whose answers do not depend on
        the question's polarity (BBQ) or the pronoun (WinoBias) is "degenerate".

    Raises
    ------
    BiasError
        If a set is unknown, or the scorer cannot score a text.
    FetchError
        If a published file cannot be had or is not the right one.
    """
    unknown = [name for name in sets if name not in SETS]
    if unknown:
        raise BiasError(f"unknown bias set {', '.join(unknown)}: known are {', '.join(SETS)}")
    if limit is not None and limit < 1:
        raise BiasError(f"limit is {limit}: it must be at least 1, or None for all items")
    return [row for name in sets for row in SETS[name](scorer, limit, seed, draws)]


def _bbq(scorer: Scorer, limit: int | None, seed: int, draws: int) -> Rows:
    questions = bbq.load()
    used = bbq.sample(questions, limit, seed)
    made = bbq.rows(used, bbq.answers(scorer, used), seed, draws)
    return _stamped(made, len(used), len(questions), limit, seed, bbq.SCORING)


def _crows_pairs(scorer: Scorer, limit: int | None, seed: int, draws: int) -> Rows:
    pairs = crows_pairs.load()
    used = crows_pairs.sample(pairs, limit, seed)
    made = crows_pairs.rows(used, *crows_pairs.likelihoods(scorer, used), seed, draws)
    return _stamped(made, len(used), len(pairs), limit, seed, crows_pairs.SCORING)


def _stereoset(scorer: Scorer, limit: int | None, seed: int, draws: int) -> Rows:
    triples = stereoset.load()
    used = stereoset.sample(triples, limit, seed)
    made = stereoset.rows(used, *stereoset.likelihoods(scorer, used), seed, draws)
    return _stamped(made, len(used), len(triples), limit, seed, stereoset.SCORING)


def _winobias(scorer: Scorer, limit: int | None, seed: int, draws: int) -> Rows:
    pairs = winobias.load()
    used = winobias.sample(pairs, limit, seed)
    made = winobias.rows(used, winobias.likelihoods(scorer, used), seed, draws)
    return _stamped(made, 2 * len(used), 2 * len(pairs), limit, seed, winobias.SCORING)


SETS: dict[str, Callable[[Scorer, int | None, int, int], Rows]] = {
    "bbq": _bbq,
    "crows_pairs": _crows_pairs,
    "stereoset": _stereoset,
    "winobias": _winobias,
}
"""Name -> function that loads, caps and scores a set."""


def _stamped(rows: Rows, items: int, of: int, limit: int | None, seed: int, scoring: str) -> Rows:
    return [{**row, "items": items, "of": of, "limit": limit, "seed": seed, "scoring": scoring} for row in rows]
