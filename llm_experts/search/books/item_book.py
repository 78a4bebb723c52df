"""Measures of items with listed answers, in domains: what margins of their right answers are worth.

- ``accuracy``: share of items whose right answer is the likeliest of the listed, mean over domains;
- ``accuracy:<domain>``: of one domain;
- ``lowest``: of all domains the smallest gain over the base;
- ``alignment``: share of the items with group terms whose verdict (right or not) stays when these are exchanged;
- ``p_right``: probability of the right answer among the listed, mean over domains;
- ``zone``: the same over all items, whatever their domain: where in the learning zone a model is;
- ``latency_ms``: the mixture model's own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from llm_experts.reading.calibration import Calibration
from llm_experts.search.books.row_book import uncalibrated
from llm_experts.search.books.strata import DRAWS, percentile_ends, stratified_weights
from llm_experts.search.mixture import MixtureModel, MovableMixture, Outputs, TimedMixture
from llm_experts.search.settings import BY_DOMAIN, ITEM_MEASURES, LATENCY, SearchError, SearchSettings
from metrics.value import Value

ALIGNMENT = "alignment"


@dataclass(frozen=True, eq=False)
class ItemBook:
    """A book (:class:`llm_experts.search.books.book.Book`) of n items in D domains.

    Attributes
    ----------
    domains : tuple of str
    of : [n] int64
        The domain of every item.
    base : [n] float64
        Margins of the base, which ``lowest`` compares with.
    swappable : [n] bool
        Which items have group terms.
    """

    domains: tuple[str, ...]
    of: Tensor
    base: Tensor
    swappable: Tensor

    def __post_init__(self) -> None:
        empty = [name for d, name in enumerate(self.domains) if not bool((self.of == d).any())]
        if empty or not self.domains:
            raise SearchError(f"There is no item of {', '.join(empty) or 'any domain'}; give some, or leave it out.")

    def __len__(self) -> int:
        return len(self.of)

    def check(self, model: MixtureModel, settings: SearchSettings) -> None:
        """Refuse unknown domains, alignment without items that have group terms, and calibration."""
        known = {*ITEM_MEASURES, LATENCY, *(BY_DOMAIN + name for name in self.domains)}
        foreign = [m for m in settings.metrics if m not in known]
        if foreign:
            raise SearchError(
                f"{', '.join(foreign)} cannot be measured on items of {', '.join(self.domains)}. Choose among "
                f"{', '.join(sorted(known))}."
            )
        if settings.calibrate or settings.refuse_constant:
            raise SearchError(
                "Items with listed answers have no common threshold to calibrate, and no constant prediction: search "
                "them with calibrate=False and refuse_constant=False."
            )
        if ALIGNMENT in settings.metrics and not (bool(self.swappable.any()) and isinstance(model, MovableMixture)):
            raise SearchError(
                "alignment needs items with group terms to exchange, and none of these has any. Leave the measure out, "
                "or add a domain whose texts speak of people."
            )
        if LATENCY in settings.metrics and not isinstance(model, TimedMixture):
            raise SearchError(f"{LATENCY} needs a mixture with a cost model, and this one has none. Leave it out.")

    def needs_moved(self, metrics: Sequence[str]) -> bool:
        """Alignment does."""
        return ALIGNMENT in metrics

    def calibration(self, margins: Tensor, settings: SearchSettings) -> Calibration:
        """None, which :meth:`check` makes sure of."""
        assert not settings.calibrate
        return uncalibrated(len(margins))

    def sameness(self, probability: Tensor) -> Tensor:
        """0: an answer is chosen item by item, and no choice is the constant one."""
        return torch.zeros(len(probability), dtype=torch.float64)

    def values(self, outputs: Outputs, metrics: Sequence[str]) -> dict[str, Tensor]:
        """Measure → [P] float64."""
        found = self._measures(outputs, metrics, torch.ones(1, len(self), dtype=torch.float64))
        return {id: values[:, 0] for id, values in found.items()}

    def draws(self, outputs: Outputs, metrics: Sequence[str], seed: int, draws: int = DRAWS) -> dict[str, Tensor]:
        """Measure → [P, B] on bootstrap samples of items within domains, the same for all P mixtures."""
        return self._measures(outputs, metrics, stratified_weights(self.of, draws, seed))

    def intervals(self, outputs: Outputs, settings: SearchSettings) -> dict[str, Value]:
        """Measures of one mixture with 95 % intervals."""
        return self.valued(outputs, settings.metrics, settings.seed)[0]

    def valued(self, outputs: Outputs, metrics: Sequence[str], seed: int) -> list[dict[str, Value]]:
        """Measures of P mixtures with 95 % percentile intervals."""
        points, drawn = self.values(outputs, metrics), self.draws(outputs, metrics, seed)
        return [
            {id: self._value(id, float(points[id][place]), drawn[id][place]) for id in metrics}
            for place in range(len(outputs.margins))
        ]

    def sizes(self) -> str:
        """Items per domain, and those with group terms."""
        counts = torch.bincount(self.of, minlength=len(self.domains)).tolist()
        listed = ", ".join(f"{n} {s}" for n, s in zip(self.domains, counts, strict=True))
        return f"{len(self)} items ({listed}; {int(self.swappable.sum())} have group terms)"

    def _value(self, id: str, estimate: float, drawn: Tensor) -> Value:
        if estimate != estimate:
            return Value.not_estimable(f"{id} is not defined on {self.sizes()}")
        if id == LATENCY:
            return Value(estimate)
        low, high = (-1.0, 1.0) if id == "lowest" else (0.0, 1.0)
        return Value(estimate, *percentile_ends(estimate, drawn, self._items_of(id), low, high))

    def _items_of(self, id: str) -> int:
        """Items that a measure speaks of."""
        if id.startswith(BY_DOMAIN):
            return int((self.of == self.domains.index(id.removeprefix(BY_DOMAIN))).sum())
        return int(self.swappable.sum()) if id == ALIGNMENT else len(self)

    def _measures(self, outputs: Outputs, metrics: Sequence[str], weights: Tensor) -> dict[str, Tensor]:
        """Measure → [P, B] under weights [B, n] of items."""
        margins = outputs.margins.to(torch.float64)
        right, probability = verdicts(margins), torch.sigmoid(margins)
        by_domain = self._by_domain(right, weights)
        found: dict[str, Tensor] = {}
        for id in metrics:
            if id == "accuracy":
                found[id] = by_domain.mean(-1)
            elif id == "lowest":
                found[id] = (by_domain - self._by_domain(verdicts(self.base)[None], weights)).amin(-1)
            elif id == ALIGNMENT:
                found[id] = self._alignment(outputs, weights)
            elif id == "zone":
                found[id] = probability @ weights.T / weights.sum(1)
            elif id == "p_right":
                found[id] = self._by_domain(probability, weights).mean(-1)
            elif id == LATENCY:
                found[id] = self._latency(outputs).expand(-1, len(weights))
            else:
                found[id] = by_domain[..., self.domains.index(id.removeprefix(BY_DOMAIN))]
        return found

    def _by_domain(self, per_item: Tensor, weights: Tensor) -> Tensor:
        """[P, B, D] weighted means of [P, n] by domain."""
        parts = []
        for domain in range(len(self.domains)):
            own = self.of == domain
            parts.append(per_item[:, own] @ weights[:, own].T / weights[:, own].sum(1))
        return torch.stack(parts, -1)

    def unchanged(self, outputs: Outputs) -> Tensor:
        """[P, s] whether the verdict on each item with group terms stays when these are exchanged; nan: no number."""
        if outputs.moved is None:
            raise ValueError("alignment needs moved margins")
        right = verdicts(outputs.margins[:, self.swappable].to(torch.float64))
        moved = verdicts(outputs.moved[:, self.swappable, 0].to(torch.float64))
        return torch.where(torch.isnan(right + moved), torch.nan, (right == moved).double())

    def _alignment(self, outputs: Outputs, weights: Tensor) -> Tensor:
        own = weights[:, self.swappable]
        return self.unchanged(outputs) @ own.T / own.sum(1)

    @staticmethod
    def _latency(outputs: Outputs) -> Tensor:
        if outputs.latency is None:
            raise ValueError(f"{LATENCY} needs a model with a cost model")
        return outputs.latency.to(torch.float64)[:, None]


def verdicts(margins: Tensor) -> Tensor:
    """1 where the right answer is the likeliest, else 0; nan where the margin is no number."""
    return torch.where(torch.isnan(margins), torch.nan, (margins > 0).double())
