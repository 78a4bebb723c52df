"""Words on what is claimed where reasons are bounded, for the page, the markdown and the files alike."""

from __future__ import annotations

from reports.format import points_with_span
from reports.levels.procedural import ProceduralClaim, Side
from reports.names import DISPARITY, metric_symbol
from reports.render.claim_words import gap_words, p_text

EXPLAINED = (
    "Bounds are shares of what the tuned boosted trees have themselves on explained validation rows, and are kept "
    "there. A practitioner takes, in every scenario (a split of a task), the baseline of the highest utility on "
    "validation rows among those whose own model keeps the bound under its thresholds; the mixture searches among "
    "mixtures of itself with fair and simpler members. Reached: scenarios in which gap and bound are kept on the rows "
    "that choose; kept: of those, the ones in which both hold on test rows too. The difference is over the scenarios "
    "that both reach, clustered by source, Holm's correction over the rows of the table."
)

HEADS = (
    "bound on reasons", "allowed gap", "reached: practitioner", "its weights alone", "mixture", "kept: practitioner",
    "its weights alone", "mixture", "difference", "p (Holm)", "verdict",
)  # fmt: skip
"""Heads of :func:`procedural_cells`."""


def bound_words(bound: str) -> str:
    """``fair_proc ≤ half of the trees'``."""
    metric, share = bound.split("<=")
    return f"{metric_symbol(metric)} ≤ {share} of the trees'"


def procedural_cells(claim: ProceduralClaim) -> tuple[str, ...]:
    """One line of the table, as text."""
    sides = (claim.practitioner, claim.alone, claim.mixture)
    i = claim.pooled.interval
    return (
        bound_words(claim.bound), gap_words(DISPARITY, claim.level), *map(_reached, sides), *map(_kept, sides),
        points_with_span(i.mean, i.low, i.high) if i.n else "–", p_text(claim.pooled.p_holm), claim.pooled.verdict,
    )  # fmt: skip


def _reached(side: Side) -> str:
    return _share(side.reached, side.scenarios)


def _kept(side: Side) -> str:
    return _share(side.kept, side.reached)


def _share(part: int, whole: int) -> str:
    return f"{100 * part / whole:.0f} % ({part}/{whole})" if whole else "–"


def picked_words(claim: ProceduralClaim) -> str:
    """``Reweighing 3, LightGBM 1``: the practitioner's models, by how often each was the best."""
    return ", ".join(f"{label} {count}" for label, count in claim.picked.items()) or "none"
