"""How many experts a base needs, and for what: decided by measurement, with the evidence and the reasons kept."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from foundation.numbers import finite_dict
from foundation.seeding import derive_seed
from llm_experts.bases.base import Base
from llm_experts.data.error import DataError
from llm_experts.discovery.measuring.capability import CapabilityReport, DomainCapability
from llm_experts.discovery.measuring.domain import Domain
from llm_experts.discovery.planning.advice import Groups, PlanAdvice, ask_advice
from llm_experts.discovery.planning.clusters import FEWEST, MOST, Clustering, Stability, cluster, grouped
from llm_experts.discovery.planning.evidence import Array, Evidence, EvidenceKind, gather
from llm_experts.discovery.planning.probe import Probe, probe_domains
from llm_experts.search.guiding.guidance import Advisor

MASTERED = 0.95
"""A share whose interval lies above it leaves nothing to learn."""
LEAST_GAIN = 0.05
"""What a domain's target lies above its measured share at least, up to 1."""
NAMED = 3
"""Domains that stand in an expert's name; of more the first two do, and the number of the others."""


@dataclass(frozen=True)
class PlannedExpert:
    """An expert to make.

    Attributes
    ----------
    name : str
        Letters, digits and hyphens.
    domains : tuple of str
    target : float
        Share of right answers to reach on its domains' items together.
    reason : str
    """

    name: str
    domains: tuple[str, ...]
    target: float
    reason: str = ""


@dataclass(frozen=True)
class LeftOut:
    """A domain that gets no expert, and why."""

    domain: str
    reason: str


Matrix = tuple[tuple[float, ...], ...]


@dataclass(frozen=True)
class ExpertPlan:
    """Experts with all that speaks for them.

    Attributes
    ----------
    experts : tuple of PlannedExpert
    chosen : int
        Number of experts.
    asked : int or None
        The number that was asked for; None: it was chosen.
    evidence : str
    domains : tuple of str
        Those that are worth training: rows of the matrices.
    similarity, similarity_low, similarity_high : [D, D]
        Cosines and the ends of their 95 % intervals.
    reliability : [D]
        Share of a domain's vector that is no noise.
    stability : tuple of Stability
    p : float or None
        P-value of the best stability where there is no structure.
    left_out : tuple of LeftOut
    probe : tuple of Probe
        Empty without one.
    advice : PlanAdvice
    reason : str
        Why so many.
    """

    experts: tuple[PlannedExpert, ...]
    chosen: int
    asked: int | None
    evidence: EvidenceKind
    domains: tuple[str, ...]
    similarity: Matrix
    similarity_low: Matrix
    similarity_high: Matrix
    reliability: tuple[float, ...]
    stability: tuple[Stability, ...]
    p: float | None
    left_out: tuple[LeftOut, ...]
    probe: tuple[Probe, ...]
    advice: PlanAdvice
    reason: str

    def as_dict(self) -> dict[str, Any]:
        """As plain JSON."""
        told = asdict(self) | {"probe": [row.as_dict() for row in self.probe], "advice": self.advice.as_dict()}
        return finite_dict(told)

    @classmethod
    def from_dict(cls, told: Mapping[str, Any]) -> ExpertPlan:
        """The inverse of :meth:`as_dict`; keys that are none of its own are left alone."""
        own = {name: told[name] for name in cls.__dataclass_fields__}
        experts = (PlannedExpert(**(row | {"domains": tuple(row["domains"])})) for row in own["experts"])
        probes = ({key: value for key, value in row.items() if key != "helps"} for row in own["probe"])
        advice = own["advice"] | {"groups": tuple(map(tuple, own["advice"]["groups"]))}
        matrices = ("similarity", "similarity_low", "similarity_high")
        made = {
            "experts": tuple(experts),
            "domains": tuple(own["domains"]),
            "reliability": tuple(own["reliability"]),
            "stability": tuple(Stability(**row) for row in own["stability"]),
            "left_out": tuple(LeftOut(**row) for row in own["left_out"]),
            "probe": tuple(Probe(**row) for row in probes),
            "advice": PlanAdvice(**advice),
            **{name: tuple(map(tuple, own[name])) for name in matrices},
        }
        return cls(**(own | made))


def plan_experts(
    base: Base,
    report: CapabilityReport,
    domains: Sequence[Domain],
    *,
    experts: int | None = None,
    evidence: EvidenceKind = "gradients",
    seed: int = 0,
    adapter: str = "lora",
    rank: int | None = None,
    start: int = 0,
    probe_steps: int = 0,
    advisor: Advisor | None = None,
    follow_advice: bool = False,
    progress: Callable[[int, int, str], None] | None = None,
) -> ExpertPlan:
    """Decide which experts to make.

    Parameters
    ----------
    base : Base
    report : CapabilityReport
        Of these domains.
    domains : sequence of Domain
    experts : int, optional
        Their number; None: by :func:`llm_experts.discovery.planning.clusters.cluster`.
    evidence : {"gradients", "errors", "random"}
        What domains are compared by.
    seed : int
        That of the report's items; also of halves and first weights.
    adapter, rank, start
        Of the experts that are to be made: whose gradients are taken, and what a probe trains. Rank None is the kind's
        own: 4 of LoRA, all singular values of SVF.
    probe_steps : int
        Optimiser steps of the probe of learnability; 0: none.
    advisor : callable, optional
        A language model that is asked as well.
    follow_advice : bool
        Whether its grouping is taken where it can be read, and ``experts`` is not given or agrees.
    progress : callable, optional
        ``progress(done, total, what)`` of the probe's steps (``probe``) and of the evidence (its domains).

    Raises
    ------
    DataError
        If fewer than three domains are worth training, the number is not between 3 and 10 or more than the domains, or
        the report lacks a domain.
    """
    if experts is not None and not FEWEST <= experts <= MOST:
        raise DataError(f"{experts} experts cannot be planned: a discovery makes {FEWEST} to {MOST}.")
    rows = {domain.name: report.row(domain.name) for domain in domains}
    items = min(row.n for row in rows.values())
    left = [LeftOut(name, why) for name, row in rows.items() if (why := _finished(row))]
    kept = _without(domains, left)
    probes: tuple[Probe, ...] = ()
    if probe_steps and kept:
        probes = probe_domains(
            base, kept, steps=probe_steps, items=items, seed=seed, kind=adapter, rank=rank, start=start,
            progress=None if progress is None else lambda told: progress(told.step, told.steps, "probe"),
        )  # fmt: skip
        left += [LeftOut(probe.domain, _useless(probe)) for probe in probes if not probe.helps]
        kept = _without(kept, left)
    _check(len(kept), experts, left)
    found = gather(
        base, kept, evidence, items=items, seed=seed, adapter=adapter, rank=rank, start=start, progress=progress
    )
    clustering = cluster(found, experts=experts, seed=derive_seed(seed, "plan"))
    groups: Groups = tuple(grouped(clustering.labels, found.domains))
    advice = PlanAdvice()
    if advisor is not None:
        advice = ask_advice(advisor, report, found.domains, groups, follow=follow_advice)
    return _plan(found, clustering, groups, rows, probes, left, advice, experts)


def _plan(
    evidence: Evidence, clustering: Clustering, measured: Groups, rows: Mapping[str, DomainCapability],
    probes: tuple[Probe, ...], left: Sequence[LeftOut], advice: PlanAdvice, asked: int | None,
) -> ExpertPlan:  # fmt: skip
    groups, reason = measured, clustering.reason
    if advice.followed and asked not in (None, len(advice.groups)):
        advice = PlanAdvice(**(vars(advice) | {"followed": False}))
    if advice.followed:
        groups, reason = advice.groups, f"{len(advice.groups)} experts as advised. Measured: {reason}"
    gains = {probe.domain: probe for probe in probes}
    planned = tuple(_expert(group, rows, gains, evidence) for group in groups)
    low, high = evidence.intervals()
    return ExpertPlan(
        planned, len(planned), asked, evidence.kind, evidence.domains,
        _matrix(evidence.similarity()), _matrix(low), _matrix(high),
        tuple(evidence.reliability().tolist()), clustering.rows, clustering.p, tuple(left), probes, advice, reason,
    )  # fmt: skip


def _matrix(values: Array) -> Matrix:
    return tuple(tuple(row) for row in values.tolist())


def _without(domains: Sequence[Domain], left: Sequence[LeftOut]) -> list[Domain]:
    out = {row.domain for row in left}
    return [domain for domain in domains if domain.name not in out]


def _check(many: int, experts: int | None, left: Sequence[LeftOut]) -> None:
    told = "; ".join(f"{row.domain}: {row.reason}" for row in left)
    if many < FEWEST:
        raise DataError(
            f"Only {many} domains are worth training, and a discovery plans {FEWEST} experts at least. Left out: "
            f"{told or 'none'}. Name more or harder domains (--domains, such as arithmetic@0.5)."
        )
    if experts is not None and experts > many:
        raise DataError(
            f"{experts} experts are asked for, and {many} domains are worth training (left out: {told or 'none'}). "
            f"Ask for {many} experts at most, or name more domains."
        )


def _finished(row: DomainCapability) -> str:
    """Why there is nothing to learn; "" where there is.

    A domain has no headroom where a gain of half of what it lacks lies within the interval of what it has: with so many
    items nobody could tell that it was made.
    """
    measured = f"{row.right} of {row.n} right ({row.low:.3f} to {row.high:.3f})"
    if row.low > MASTERED:
        return f"mastered: {measured}, all of the interval above {MASTERED}"
    if halfway(row.share) <= row.high:
        return f"no headroom: {measured}, and half of what is missing could not be told from chance"
    return ""


def _useless(probe: Probe) -> str:
    return (
        f"no data helped: {probe.steps} steps changed the share of right answers by {probe.gain:+.2f} "
        f"({probe.low:+.2f} to {probe.high:+.2f}) and the log-probability of the right answer by {probe.log_p:+.3f} "
        f"({probe.log_p_low:+.3f} to {probe.log_p_high:+.3f})"
    )


def halfway(share: float) -> float:
    """Half of the way from a share to 1: the furthest that a target is set."""
    return (1 + share) / 2


def target_of(row: DomainCapability, probe: Probe | None = None) -> float:
    """Target of a domain: halfway from the measured share to 1, or what a probe makes likely.

    With a probe it is the share and twice the upper end of the probe's gain, but .05 more than the share at least and
    halfway at most: a few dozen steps are the beginning of a training, and their gain is known no better than that.
    """
    if probe is None:
        return halfway(row.share)
    likely = max(LEAST_GAIN, 2 * probe.high)
    return min(row.share + likely, halfway(row.share))


def _expert(
    group: tuple[str, ...], rows: Mapping[str, DomainCapability], probes: Mapping[str, Probe], evidence: Evidence
) -> PlannedExpert:
    targets = [target_of(rows[name], probes.get(name)) for name in group]
    shares = ", ".join(_known(rows[name], probes.get(name)) for name in group)
    return PlannedExpert(
        expert_name(group), group, math.fsum(targets) / len(targets), f"measured {shares}; {_alike(group, evidence)}"
    )


def _known(row: DomainCapability, probe: Probe | None) -> str:
    said = f"{row.domain} {row.share:.2f} ({row.low:.2f} to {row.high:.2f})"
    if probe is None:
        return said
    return f"{said}, of which a probe changed {probe.gain:+.2f} ({probe.low:+.2f} to {probe.high:+.2f})"


def _alike(group: Sequence[str], evidence: Evidence) -> str:
    places = [evidence.domains.index(name) for name in group]
    pairs = [(i, j) for i in places for j in places if i < j]
    similar = evidence.similarity()
    if pairs:
        mean = math.fsum(similar[i, j] for i, j in pairs) / len(pairs)
        return f"learnt together, as their {evidence.kind} are alike (mean cosine {mean:.2f})"
    others = [j for j in range(len(similar)) if j != places[0]]
    nearest = max(others, key=lambda j: (similar[places[0], j], -j))
    return f"by itself; the most alike is {evidence.domains[nearest]} (cosine {similar[places[0], nearest]:.2f})"


def expert_name(domains: Sequence[str]) -> str:
    """Name of the expert of some domains: up to three are named, of more the first two, and how many others."""
    if len(domains) <= NAMED:
        return "-".join(domains)
    return f"{domains[0]}-{domains[1]}-and-{len(domains) - 2}-more"
