"""What is claimed of the mixture: its lead over each rival at each allowed gap, how sure, and what both keep later.

Rivals are those that the mixture's record compares it with in the block "baselines"; their variants are those in which
they contend (``MethodRow.levels``). A rival with out-of-fold thresholds meets the mixture with the same kind; any other
meets it as it is delivered, with its decision layer.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from reports.levels.contenders import DECISION, MARGINS, OOF, PLAIN, THRESHOLDS, Contender, mixtures_of, rivals_of
from reports.levels.levels import Levels
from reports.levels.standing import differences_of
from reports.levels.transfer import Share, Transfer
from reports.method import Method
from reports.stats.contrasts import Pooled
from reports.stats.statistics import Floats

BLOCK = "baselines"
"""Block of ``MethodRow.compared`` whose methods are the rivals."""

CLAIMED = ("any", "0.10", "0.05", "0.02")
"""Levels at which a claim is made."""

KEPT = 0.70
"""Share of splits on which a level must hold on test rows too, where leads are compared at equal transfer."""

TIE = 0.001
"""Task means that differ by at most a tenth of a point of utility tie."""

DELIVERED, EQUAL = "as delivered", "equal transfer"


@dataclass(frozen=True)
class Claim:
    """The mixture minus one rival at one level.

    Attributes
    ----------
    gap, level : str
        The bounded metric and its level.
    kind : str
        "as delivered", or "equal transfer": both with the largest margin at which the level holds on test rows on at
        least ``KEPT`` of the splits (of several kinds of thresholds the first; where none does, the one that keeps
        most). Which one that is, test rows say: it describes, and chooses no method.
    own, rival : Contender
    pooled : Pooled
        Holm-corrected over the rivals of the same gap, level and kind.
    wins, ties, losses : int
        Tasks by their mean difference, see ``TIE``.
    own_kept, rival_kept : Share or None
        None at any gap.
    own_imputed, rival_imputed : int
        Splits on which nothing keeps the level and the constant predictor stands in; its utility counts.
    by_source : dict
        Source → mean difference over its tasks.
    """

    gap: str
    level: str
    kind: str
    own: Contender
    rival: Contender
    pooled: Pooled
    wins: int
    ties: int
    losses: int
    own_kept: Share | None
    rival_kept: Share | None
    own_imputed: int
    rival_imputed: int
    by_source: dict[str, float]


def lead_mixture(contenders: Sequence[Contender]) -> Method | None:
    """The mixture that claims are about: one with a decision layer if there is any, else the first."""
    own = [c.method for c in mixtures_of(contenders)]
    return min(own, key=lambda m: ("mixture", DECISION) not in m.row.levels, default=None)


def claims(found: Levels, moved: Transfer) -> tuple[Claim, ...]:
    """All claims for the gap that ``found`` bounds, in the order of levels, kinds and rivals."""
    lead = lead_mixture(found.contenders)
    if lead is None:
        return ()
    made: list[Claim] = []
    for level in CLAIMED:
        if level in found.values:
            made += _at(found, moved, level, DELIVERED, list(_delivered(found, lead)))
            if level != "any":
                made += _at(found, moved, level, EQUAL, list(_equal(found, moved, lead, level)))
    return tuple(made)


def _delivered(found: Levels, lead: Method) -> Iterator[tuple[Contender, Contender]]:
    """(mixture, rival) pairs, both as they are delivered."""
    own = {c.variant: c for c in found.contenders if c.method == lead}
    main = next((own[v] for v in (DECISION, OOF, THRESHOLDS, PLAIN) if v in own), None)
    for rival in _rivals(found, lead):
        mine = own.get(rival.variant, main) if rival.variant in MARGINS else main
        if mine is not None:
            yield mine, rival


def _rivals(found: Levels, lead: Method) -> list[Contender]:
    """Rivals in the variants in which they contend; without a word on that: thresholds, unless it has such itself."""
    names = [other for block, other in lead.row.compared if block == BLOCK]
    if not names:
        return [c for c in rivals_of(found.contenders) if c.method.reads == lead.reads]
    chosen = []
    for name in names:
        own = [c for c in found.contenders if c.method.id == name]
        told = [c for c in own if ("rival", c.variant) in c.method.row.levels]
        chosen += told or [c for c in own if c.variant == (PLAIN if _group_aware(c) else THRESHOLDS)]
    return chosen


def _group_aware(contender: Contender) -> bool:
    return contender.method.row.sensitive_at_prediction


def _equal(found: Levels, moved: Transfer, lead: Method, level: str) -> Iterator[tuple[Contender, Contender]]:
    """(mixture, rival) pairs that keep the level on test rows equally often: one per rival."""
    mine = {c.variant: c for c in found.contenders if c.method == lead}
    own = _safest([mine[variant] for variant in (DECISION, *MARGINS) if variant in mine], moved, level)
    told: dict[str, list[Contender]] = {}
    for rival in _rivals(found, lead):
        told.setdefault(rival.method.id, []).append(rival)
    for method, first in told.items():
        more = [c for c in found.contenders if c.method.id == method and c.variant in MARGINS and c not in first]
        other = _safest([*first, *more], moved, level)
        if own is not None and other is not None:
            yield own, other


def _safest(candidates: Sequence[Contender], moved: Transfer, level: str) -> Contender | None:
    shares = {c: moved.by_contender[level, c.id].share for c in candidates if (level, c.id) in moved.by_contender}
    enough = [c for c, share in shares.items() if share >= KEPT]
    return enough[0] if enough else max(shares, key=lambda c: shares[c], default=None)


def _at(
    found: Levels, moved: Transfer, level: str, kind: str, pairs: Sequence[tuple[Contender, Contender]]
) -> Iterator[Claim]:
    there = found.values[level]
    rows = [there.difference(own.id, rival.id) for own, rival in pairs]
    for (own, rival), row, pooled in zip(pairs, rows, differences_of(rows, there.sources), strict=True):
        if not pooled.tasks:
            continue
        means = _task_means(row)
        known = means[~np.isnan(means)]
        yield Claim(
            found.gap, level, kind, own, rival, pooled,
            wins=int((known > TIE).sum()),
            ties=int((np.abs(known) <= TIE).sum()),
            losses=int((known < -TIE).sum()),
            own_kept=moved.by_contender.get((level, own.id)),
            rival_kept=moved.by_contender.get((level, rival.id)),
            own_imputed=found.places[level, own.id].imputed,
            rival_imputed=found.places[level, rival.id].imputed,
            by_source=_by_source(means, there.origin),
        )  # fmt: skip


def _task_means(row: Floats) -> Floats:
    """[T] means over splits of [T, J] differences; nan for a task without any."""
    count = (~np.isnan(row)).sum(axis=1)
    means: Floats = np.where(count > 0, np.nansum(row, axis=1) / np.maximum(count, 1), math.nan)
    return means


def _by_source(means: Floats, origin: Sequence[str]) -> dict[str, float]:
    known: dict[str, list[float]] = {}
    for source, mean in zip(origin, means.tolist(), strict=True):
        if not math.isnan(mean):
            known.setdefault(source, []).append(mean)
    return {source: float(np.mean(values)) for source, values in known.items()}
