"""What a language bias set is."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from llm_experts.bias.result import BiasMetric
from llm_experts.bias.scorer import Scorer
from llm_experts.bias.sources import Source

Rows = list[dict[str, Any]]


@dataclass(frozen=True, kw_only=True)
class BiasSet:
    """One published bias set: where it is, how it is scored, and the words of its columns.

    A *unit* is what is drawn when the set is capped: a question, a pair, a triple.

    Attributes
    ----------
    label : str
        Name for people.
    columns : mapping of metric id -> (symbol, ideal, about, digits)
        Heads of its columns in tables, in their order; metrics that are left out stand in a table's fold.
    source : Source
    scoring : str
        How a model answers, in one line.
    metrics : tuple of BiasMetric
    load : callable
        All units of the published files.
    sample : callable
        ``sample(units, limit, seed)``: at most ``limit`` items of them.
    score : callable
        ``score(scorer, units, seed, draws)``: rows of :func:`llm_experts.bias.result.row`.
    items_per_unit : int
    """

    label: str
    columns: Mapping[str, tuple[str, str, str, int]]
    source: Source
    scoring: str
    metrics: tuple[BiasMetric, ...]
    load: Callable[[], list[Any]]
    sample: Callable[[list[Any], int | None, int], list[Any]]
    score: Callable[[Scorer, list[Any], int, int], Rows]
    items_per_unit: int = 1
