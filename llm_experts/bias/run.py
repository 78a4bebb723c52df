"""All bias sets for one scorer: base, adapter or mixture."""

from __future__ import annotations

from collections.abc import Sequence

from foundation.discovery import items, load
from llm_experts.bias.bias_set import BiasSet, Rows
from llm_experts.bias.result import DRAWS, BiasMetric
from llm_experts.bias.scorer import Scorer
from llm_experts.bias.sources import BiasError

ROOM, NAME = "llm_experts.bias", "BIAS_SET"
SETS: dict[str, BiasSet] = {item: load(ROOM, NAME, item) for item in items(ROOM, NAME)}
"""The files of this room that define a ``BIAS_SET``, and those of plug-in folders."""
METRICS: dict[str, BiasMetric] = {f"{name}/{m.id}": m for name, found in SETS.items() for m in found.metrics}


def score_bias(
    scorer: Scorer,
    sets: Sequence[str] = tuple(SETS),
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
    return [row for name in sets for row in _rows(SETS[name], scorer, limit, seed, draws)]


def _rows(bias_set: BiasSet, scorer: Scorer, limit: int | None, seed: int, draws: int) -> Rows:
    units = bias_set.load()
    used = bias_set.sample(units, limit, seed)
    each = bias_set.items_per_unit
    facts = {"items": each * len(used), "of": each * len(units), "limit": limit, "seed": seed}
    return [{**row, **facts, "scoring": bias_set.scoring} for row in bias_set.score(scorer, used, seed, draws)]
