"""Weights of the experts by search: NSGA-II on a surrogate of every item's margin, verified by the model itself.

The search is that of :mod:`llm_experts.search`, with the measures of items. Every number of it follows from seeds and
what lies in its folder, so that a search which was killed goes on and ends with the same result.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from foundation.numbers import finite_dict
from llm_experts.bases.base import Base
from llm_experts.data.encoding import Style
from llm_experts.discovery.measuring.domain import Domain, scenarios
from llm_experts.discovery.mixtures.limits import Limits
from llm_experts.discovery.mixtures.material import Expert, mixtures_on
from llm_experts.search import Advisor, Objective, SearchResult, SearchSettings, search_mixtures
from llm_experts.search.books.item_book import ALIGNMENT, ItemBook
from llm_experts.search.evaluations import TrueEvaluations
from llm_experts.search.mixture import Outputs
from llm_experts.search.result import Candidate, plain
from llm_experts.search.search import references
from llm_experts.search.settings import BY_DOMAIN, LATENCY

Progress = Callable[[int, int], None]
WIDEST = 3.0
"""Largest weight of an expert that is ever looked at."""
REACHES = (3.0, 2.0)
"""Upper bounds that are tried of each expert; ``NARROWEST`` where it does not reach so far."""
NARROWEST = 1.5
SLACK = 0.05
"""Share of right answers that an expert may lose in the domain that it gained most in, and still reach so far."""
BATCH = 8


@dataclass(frozen=True, kw_only=True)
class MixingSettings:
    """How mixtures are searched.

    Attributes
    ----------
    items : int
        Of each domain.
    objectives : tuple of str
        Measures of items (:mod:`llm_experts.search.books.item_book`); mixtures are ordered by the first.
    limits : Limits
    bounds : mapping of expert -> (low, high)
        Cut to 0 … 3. For others the upper end is the largest of 3, 2 and 1.5 that the expert alone still stands.
    base_floor : float or None
        Least share of the base, 1 − Σ α.
    generations, population, rounds, candidates, spread_anchors : int
        As of :class:`llm_experts.search.settings.SearchSettings`.
    guidance : bool
        Narrow the box round the front every ten generations.
    style : Style
    seed : int
    """

    items: int = 30
    objectives: tuple[str, ...] = ("accuracy", "lowest")
    limits: Limits = field(default_factory=Limits)
    bounds: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    base_floor: float | None = None
    generations: int = 100
    population: int = 50
    rounds: int = 3
    candidates: int = 10
    spread_anchors: int = 12
    guidance: bool = True
    style: Style = "auto"
    seed: int = 0


@dataclass(frozen=True)
class MixtureSearch:
    """What a search of mixtures found; all of it plain JSON.

    Attributes
    ----------
    experts : tuple of str
    objectives, constraints : tuple of str
        In words.
    limits : Limits
        What the constraints followed from.
    bounds : expert -> [low, high]
        Where was searched.
    candidates : list of mapping
        Every mixture that the model itself was asked about: ``alphas``, ``kind``, ``origin``, ``feasible``,
        ``on_front``, ``values`` and, of members of a surrogate's front, ``surrogate`` (what it promised).
    curve : list of mapping
        ``round``, ``generation``, ``hypervolume``, ``evaluations``.
    guidance : list of mapping
    advice : mapping
    rounds : list of mapping
        Errors of the surrogate by round and measure.
    domains : list of mapping
        ``domain``, ``base``, and by expert the share of right answers alone, on the search items.
    items : int
    passes : int
        Different mixtures that went through the model.
    surrogate_evaluations : int
    seconds : float
    """

    experts: tuple[str, ...]
    objectives: tuple[str, ...]
    constraints: tuple[str, ...]
    limits: Limits
    bounds: Mapping[str, Sequence[float]]
    candidates: Sequence[Mapping[str, Any]]
    curve: Sequence[Mapping[str, Any]]
    guidance: Sequence[Mapping[str, Any]]
    advice: Mapping[str, Any]
    rounds: Sequence[Mapping[str, Any]]
    domains: Sequence[Mapping[str, Any]]
    items: int
    passes: int
    surrogate_evaluations: int
    seconds: float

    @property
    def front(self) -> list[dict[str, float]]:
        """Weights of the members of the front, best by the first objective first; ties: by the next ones."""
        members = [one for one in self.candidates if one["on_front"]]
        signs = [(words.split()[0] == "maximise", words.split()[1]) for words in self.objectives]
        members.sort(key=lambda one: [(-1 if up else 1) * one["values"][id] for up, id in signs])
        return [dict(one["alphas"]) for one in members]

    def owner(self, domain: str) -> str:
        """The expert that alone is best in a domain on the search items."""
        row = next(row for row in self.domains if row["domain"] == domain)
        return max(self.experts, key=lambda name: float(row["experts"][name]))

    def as_dict(self) -> dict[str, Any]:
        """JSON-able form, without nan."""
        known = {part.name: getattr(self, part.name) for part in fields(self)}
        return finite_dict({**known, "limits": self.limits.as_dict(), "bounds": dict(self.bounds)})

    @classmethod
    def from_dict(cls, given: Mapping[str, Any]) -> MixtureSearch:
        """The inverse of :meth:`as_dict`; unknown keys are left out."""
        known = {part.name: given[part.name] for part in fields(cls)}
        for name in ("experts", "objectives", "constraints"):
            known[name] = tuple(known[name])
        return cls(**{**known, "limits": Limits.from_dict(known["limits"])})


def search_mixture(
    base: Base,
    experts: Sequence[Expert],
    domains: Sequence[Domain],
    settings: MixingSettings | None = None,
    *,
    folder: Path,
    advisor: Advisor | None = None,
    progress: Progress | None = None,
) -> MixtureSearch:
    """Search weights for experts on items of the use ``search``.

    Parameters
    ----------
    folder : Path
        True evaluations are kept here (safetensors), and a search that was killed goes on from them.
    advisor : Advisor or None
        Asked for bounds with every look at the front; what its advice was worth is in the result.
    progress : callable or None
        Called with generations done and planned.

    Raises
    ------
    SearchError
        If there is no expert, or an expert breaks every mixture.
    """
    chosen, start = settings or MixingSettings(), time.perf_counter()
    model, book = mixtures_on(
        base, experts, scenarios(domains, "search", chosen.items, chosen.seed), style=chosen.style
    )
    moved = bool(book.swappable.any())
    alone = TrueEvaluations(model, moved=moved, latency=True, folder=folder, batch=BATCH)
    bounds = _bounds(alone, book, chosen)
    inner = _inner(alone, book, chosen, bounds)
    found = search_mixtures(
        model, book, inner, folder=folder, advisor=advisor, batch=BATCH,
        progress=None if progress is None else lambda done, total, _volume: progress(done, total),
    )  # fmt: skip
    return _told(found, inner, book, alone, chosen.limits, time.perf_counter() - start)


def _by_domain(outputs: Outputs, book: ItemBook) -> Tensor:
    """[P, D] shares of right answers."""
    values = book.values(outputs, tuple(BY_DOMAIN + name for name in book.domains))
    return torch.stack(list(values.values()), 1)


def _bounds(true: TrueEvaluations, book: ItemBook, settings: MixingSettings) -> dict[str, tuple[float, float]]:
    """Range of every expert's weight: as was asked, cut to 0 … ``WIDEST``; else as far as the expert alone reaches.

    An expert reaches as far as it keeps what it gained where it gained most, but for ``SLACK``.
    """
    names = true.model.names
    singles = _by_domain(true(references(len(names))), book)
    found: dict[str, tuple[float, float]] = {}
    for k, name in enumerate(names):
        if name in settings.bounds:
            low, high = settings.bounds[name]
            found[name] = (max(0.0, low), min(WIDEST, high))
            continue
        most = int((singles[k + 1] - singles[0]).argmax())
        wide = torch.zeros(len(REACHES), len(names), dtype=torch.float64)
        wide[:, k] = torch.tensor(REACHES, dtype=torch.float64)
        stands = _by_domain(true(wide), book)[:, most] >= singles[k + 1, most] - SLACK
        found[name] = (0.0, next((reach for reach, kept in zip(REACHES, stands, strict=True) if kept), NARROWEST))
    return found


def _inner(
    true: TrueEvaluations, book: ItemBook, settings: MixingSettings, bounds: Mapping[str, tuple[float, float]]
) -> SearchSettings:
    own = (ALIGNMENT, LATENCY) if true.moved else (LATENCY,)
    of_base = book.values(true(references(len(true.model.names))[:1]), own)
    alignment = float(of_base[ALIGNMENT]) if true.moved else None
    return SearchSettings(
        objectives=tuple(map(Objective, settings.objectives)),
        constraints=settings.limits.constraints(alignment, float(of_base[LATENCY])),
        bounds=bounds, base_floor=settings.base_floor, calibrate=False, refuse_constant=False,
        generations=settings.generations, population=settings.population, rounds=settings.rounds,
        candidates=settings.candidates, spread_anchors=settings.spread_anchors,
        guidance_every=10 if settings.guidance else 0, seed=settings.seed,
    )  # fmt: skip


def _told(
    found: SearchResult, inner: SearchSettings, book: ItemBook, alone: TrueEvaluations, limits: Limits, seconds: float
) -> MixtureSearch:
    shares = _by_domain(alone(references(len(found.names))), book)
    domains = [
        {
            "domain": name,
            "base": float(shares[0, d]),
            "experts": {expert: float(shares[k + 1, d]) for k, expert in enumerate(found.names)},
        }
        for d, name in enumerate(book.domains)
    ]
    return MixtureSearch(
        experts=found.names,
        objectives=tuple(map(str, inner.objectives)),
        constraints=tuple(map(str, inner.constraints)),
        limits=limits,
        bounds={name: list(pair) for name, pair in dict(inner.bounds).items()},  # type: ignore[arg-type]
        candidates=_candidates(found.candidates),
        curve=[
            {"round": g.round, "generation": g.generation, "hypervolume": g.hypervolume, "evaluations": g.evaluations}
            for g in found.curve
        ],
        guidance=[plain(asdict(entry)) for entry in found.guidance],
        advice=plain(found.advice),
        rounds=[plain(report) for report in found.rounds],
        domains=domains,
        items=len(book),
        passes=len({tuple(one.alphas.values()) for one in found.candidates} | alone.asked),
        surrogate_evaluations=found.surrogate_evaluations,
        seconds=seconds,
    )


def _candidates(every: Sequence[Candidate]) -> list[Mapping[str, Any]]:
    """Each mixture once: anchors of the design and references may be the same."""
    kept: dict[tuple[float, ...], Candidate] = {}
    for one in every:
        weights = tuple(one.alphas.values())
        if weights not in kept or (one.on_front and not kept[weights].on_front):
            kept[weights] = one
    return [_candidate(one) for one in kept.values()]


def _candidate(one: Candidate) -> dict[str, Any]:
    found: dict[str, Any] = plain(
        {
            "alphas": one.alphas, "kind": one.kind, "origin": one.origin, "round": one.round, "feasible": one.feasible,
            "on_front": one.on_front, "values": one.true, "surrogate": one.surrogate,
        }
    )  # fmt: skip
    return found
