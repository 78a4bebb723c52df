"""Tables that only text experts have: language bias sets, fronts of searched mixtures, spread over templates."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from benchmarks.cells.cell import Row
from llm_experts.bias import LMScorer, MixtureScorer, RememberingScorer, Scorer, dispatched, score_bias
from llm_experts.mixtures.routers import DispatchRouter, GateRouter
from llm_experts.mixtures.row_mixture import RowMixture
from llm_experts.reading.expert import LLMExpert
from moe.mixture import Mixture

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from experts.expert import Expert
    from llm_experts.reading.template_spread import TemplateSpread
    from llm_experts.search import SearchResult
    from tasks.task import TaskView


BIAS_COLUMNS = ("set", "metric", "category", "estimate", "low", "high", "null_p95", "status", "reason", "seed")
"""What ``bias.csv`` takes over from a scored row as it is; its seed is that of the drawn items, not the cell's."""


def leaves_of(expert: Expert) -> list[LLMExpert]:
    """The text experts that a model asks."""
    if isinstance(expert, LLMExpert):
        return [expert]
    members: Sequence[Expert] = getattr(expert, "experts", ())
    return [leaf for member in members for leaf in leaves_of(member)]


class BiasSets:
    """Scores language bias sets; what members of several mixtures say is computed once.

    Parameters
    ----------
    view : TaskView
        Its validation rows give the mean weights of gates that need a table's columns.
    items : int
        Items of each set.
    seed : int
    """

    def __init__(self, view: TaskView, items: int, seed: int) -> None:
        self._view, self._items, self._seed = view, items, seed
        self._scorers: dict[int, tuple[LLMExpert, Scorer]] = {}  # with the expert, so that its id stays its own

    def rows(self, expert: Expert) -> list[Row]:
        """Rows of ``bias.csv`` for the base, an adapter or a mixture of adapters; none where tabular experts take part.

        A gate that needs a table's columns counts with its mean weights; a dispatcher weighs the texts themselves.
        """
        if isinstance(expert, RowMixture) and isinstance(expert.router, GateRouter):
            base = expert.experts[0].reader.base
            with expert.composed(self._mean(expert)):
                return self._scored(LMScorer.of(base))
        scorer = self._scorer(expert)
        return [] if scorer is None else self._scored(scorer)

    def _scored(self, scorer: Scorer) -> list[Row]:
        rows = score_bias(scorer, limit=self._items, seed=self._seed)
        return [{**{column: row[column] for column in BIAS_COLUMNS}, "items": row["n"]} for row in rows]

    def _scorer(self, expert: Expert) -> Scorer | None:
        if isinstance(expert, LLMExpert):
            return self._single(expert)
        leaves = leaves_of(expert)
        if isinstance(expert, RowMixture) and isinstance(expert.router, DispatchRouter):
            scorers = [self._single(leaf) for leaf in leaves]
            return MixtureScorer(scorers, dispatched(expert.router.dispatcher, LMScorer.of(leaves[0].reader.base)))
        if not isinstance(expert, Mixture) or len(leaves) < len(expert.experts):
            return None
        return MixtureScorer([self._single(leaf) for leaf in leaves], self._mean(expert))

    def _mean(self, expert: Mixture | RowMixture) -> Tensor:
        return expert.weights(self._view, self._view.split.validation).mean(0)

    def _single(self, expert: LLMExpert) -> Scorer:
        if id(expert) not in self._scorers:
            base, adapter = expert.reader.base, expert.adapter
            made = LMScorer.of(base) if adapter is None else LMScorer.with_adapter(base, adapter)
            self._scorers[id(expert)] = (expert, RememberingScorer(made))
        return self._scorers[id(expert)][1]


def front_rows(search: SearchResult) -> list[Row]:
    """Rows of ``fronts.csv``: every truly evaluated mixture that is on the front, was rejected or won."""
    rejected = {tuple(r.alphas.items()): "; ".join(r.reasons) for r in search.rejections}
    rows: list[Row] = []
    for member, candidate in enumerate(search.candidates):
        key = tuple(candidate.alphas.items())
        won = candidate.alphas == search.winner.alphas
        if not (candidate.on_front or won or key in rejected):
            continue
        status = (
            f"winner: {search.winner.statement}"
            if won
            else f"rejected: {rejected[key]}"
            if key in rejected
            else "front"
        )
        quantities = {**candidate.true, **{f"alpha.{name}": value for name, value in candidate.alphas.items()}}
        rows += [
            {"member": member, "quantity": name, "estimate": value,
             "surrogate": candidate.surrogate.get(name, math.nan), "status": status}
            for name, value in quantities.items()
        ]  # fmt: skip
    return rows


def template_rows(spread: Sequence[TemplateSpread]) -> list[Row]:
    """Rows of ``templates.csv`` of one expert, on validation rows."""
    return [
        {"part": "validation", "template": template, "metric": row.metric, "estimate": estimate}
        for row in spread
        for template, estimate in row.estimates.items()
    ]
