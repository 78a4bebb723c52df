"""What a production says of itself, from its drafts and findings alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

from foundation.numbers import finite_dict
from llm_experts.generation.production.run import CENTS, Production
from llm_experts.generation.production.supply import Supply
from llm_experts.generation.zone import Zone, zone_of
from metrics.proportions import wilson

Fill = Literal["", "nearest"]


@dataclass(frozen=True)
class Tried:
    """A difficulty that a topic was drafted with.

    Attributes
    ----------
    difficulty : float or None
    drafts, accepted : int
    p_mean : float
        Mean probability of a right answer of its drafts; nan where it was not measured.
    """

    difficulty: float | None
    drafts: int
    accepted: int
    p_mean: float


@dataclass(frozen=True)
class TopicReport:
    """One topic.

    Attributes
    ----------
    name : str
    difficulty : float or None
        The last one.
    wanted, drafts, accepted, filled, variants : int
        ``filled`` items were taken though their difficulty was held against them.
    ended : str
        As in :class:`~llm_experts.generation.production.supply.Supply`.
    levels : tuple of Tried
        In the order in which they were tried.
    """

    name: str
    difficulty: float | None
    wanted: int
    drafts: int
    accepted: int
    filled: int
    variants: int
    ended: str
    levels: tuple[Tried, ...]


@dataclass(frozen=True)
class ProducedReport:
    """What was made.

    Attributes
    ----------
    name, provider : str
        The expert's name and the provider's.
    seed, wanted, items : int
        ``items`` are those of the set: the accepted ones and the filled ones.
    drafts, accepted, rejected, filled, variants : int
        ``accepted`` passed every check.
    acceptance, acceptance_low, acceptance_high : float
        Share of the drafts that were accepted, with Wilson's 95 % interval; nan without drafts.
    enough : bool
        Whether the acceptance reaches ``spec.acceptance``.
    zone : Zone
        Of the set's items, those that fill up included.
    checks : dict of name -> {"failed", "share"}
        Drafts that each check refused, and their share of all drafts.
    topics : tuple of TopicReport
    dollars : float
    stopped : str
        Why it ended before its time; "" where it did not. Another run goes on.
    said : tuple of str
        What a reader has to know, in sentences.
    """

    name: str
    provider: str
    seed: int
    wanted: int
    items: int
    drafts: int
    accepted: int
    rejected: int
    filled: int
    variants: int
    acceptance: float
    acceptance_low: float
    acceptance_high: float
    enough: bool
    zone: Zone
    checks: Mapping[str, Mapping[str, float]]
    topics: tuple[TopicReport, ...]
    dollars: float
    stopped: str
    said: tuple[str, ...]

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON; what was not measured is null."""
        return finite_dict(asdict(self))

    @classmethod
    def from_dict(cls, given: Mapping[str, Any]) -> ProducedReport:
        """The inverse of :meth:`as_dict`."""
        topics = tuple(
            TopicReport(**{**topic, "levels": tuple(Tried(**_known(level)) for level in topic["levels"])})
            for topic in given["topics"]
        )
        told = {"zone": Zone.from_dict(given["zone"]), "topics": topics, "said": tuple(given["said"])}
        return cls(**{**_known(given), **told})


def report_of(production: Production, name: str, seed: int) -> ProducedReport:
    """The report of a production that ended or was stopped."""
    spec, supplies = production.spec, production.supplies
    items = [judged for supply in supplies for judged in supply.items]
    drafts = sum(supply.drafts for supply in supplies)
    accepted = sum(len(supply.accepted) for supply in supplies)
    low, high = wilson(accepted, drafts)
    share = accepted / drafts if drafts else float("nan")
    return ProducedReport(
        name=spec.expert,
        provider=name,
        seed=seed,
        wanted=spec.count,
        items=len(items),
        drafts=drafts,
        accepted=accepted,
        rejected=drafts - accepted,
        filled=sum(len(supply.filled) for supply in supplies),
        variants=sum(supply.variants for supply in supplies),
        acceptance=share,
        acceptance_low=low,
        acceptance_high=high,
        enough=share >= spec.acceptance,
        zone=zone_of([judged.chance for judged in items], spec.zone),
        checks=_checks(supplies, drafts),
        topics=tuple(map(_topic, supplies)),
        dollars=round(production.dollars, CENTS),
        stopped=production.stopped,
        said=_said(production, share),
    )


def _topic(supply: Supply) -> TopicReport:
    tried = tuple(Tried(level.difficulty, level.drafts, level.accepted, level.chance) for level in supply.levels.all)
    return TopicReport(
        supply.topic.name,
        supply.levels.current.difficulty,
        supply.wanted,
        supply.drafts,
        len(supply.accepted),
        len(supply.filled),
        supply.variants,
        supply.ended,
        tried,
    )


def _checks(supplies: Sequence[Supply], drafts: int) -> dict[str, dict[str, float]]:
    """Drafts that each check refused: of all drafts, not of those that it was asked about."""
    failed: dict[str, int] = {}
    for supply in supplies:
        for judged in supply.all:
            for name, finding in judged.findings.items():
                failed[name] = failed.get(name, 0) + (not finding.ok)
    return {name: {"failed": count, "share": count / drafts} for name, count in sorted(failed.items())}


def _said(production: Production, share: float) -> tuple[str, ...]:
    """What a reader has to know."""
    spec = production.spec
    found = []
    if share < spec.acceptance:
        found.append(
            f"{share:.0%} of the drafts were accepted, less than the {spec.acceptance:.0%} that are asked for."
        )
    for supply in production.supplies:
        found += _of_topic(supply)
    if production.stopped:
        found.append(f"It was stopped ({_STOPPED.get(production.stopped, production.stopped)}); another run goes on.")
    return tuple(found)


_STOPPED = {"asked": "as asked", "minutes": "its minutes are over", "budget": "its dollars are spent"}
_ENDED = {
    "limit": "the limit of drafts is reached",
    "scarce": "what is left of its drafts could not bring them",
    "none left": "the provider has no more",
}


def _of_topic(supply: Supply) -> list[str]:
    name, tried = supply.topic.name, supply.levels.all
    found = []
    if len(tried) > 1:
        told = ", ".join("a mix" if level.difficulty is None else f"{level.difficulty:.3g}" for level in tried)
        found.append(f"{name}: too few passed, so that {supply.variants} variants were drafted (difficulty {told}).")
    if supply.ended in _ENDED:
        found.append(
            f"{name}: only {len(supply.accepted)} of {supply.wanted} items passed, and {_ENDED[supply.ended]}"
            + (": no difficulty of it helps." if supply.levels.moved and supply.ended != "none left" else ".")
        )
    if supply.filled:
        found.append(
            f"{name}: {len(supply.filled)} items fill up whose difficulty is not as asked for, the nearest there were."
        )
    return found


def _known(given: Mapping[str, Any]) -> dict[str, Any]:
    """Figures of a file, nan where it has null; a difficulty that is null is one."""
    return {key: float("nan") if value is None and key != "difficulty" else value for key, value in given.items()}
