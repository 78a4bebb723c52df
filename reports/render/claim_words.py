"""Words on what is claimed of the mixture, and on what a run cannot decide, for the page and the markdown alike."""

from __future__ import annotations

import math

from foundation.words import plural
from reports.format import points_with_span
from reports.levels.claims import Claim
from reports.levels.contenders import MARGINS
from reports.levels.transfer import Share
from reports.render.level_words import level_words
from reports.scenario import Scenario
from reports.summary import Report

SYMBOLS = {"fair_res@1": "(DP + EO)/2", "dp@1": "DP"}
"""How the bounded gaps are called in the tables of claims."""


def gap_words(gap: str, level: str) -> str:
    """``DP ≤ 0.05``; ``any`` without a bound."""
    return "any" if level == "any" else f"{SYMBOLS.get(gap, gap)} {level_words(level)}"


def kept_words(share: Share | None, imputed: int = 0) -> str:
    """``49 % (ceiling 82 %)``: the share kept on test rows, and by a rule without any gap; a dash at any gap.

    Splits on which the constant predictor stands in are told too: ``49 % (ceiling 82 %), imputed 2``.
    """
    stood_in = f"imputed {imputed}" if imputed else ""
    if share is None or not share.cells:
        return stood_in or "–"
    most = "" if math.isnan(share.ceiling) else f" (ceiling {share.ceiling:.0%})"
    return f"{share.share:.0%}{most}".replace("%", " %") + (f", {stood_in}" if stood_in else "")


def claim_cells(claim: Claim) -> tuple[str, ...]:
    """Difference with interval, p, p after Holm, tasks, both shares kept, what could be found, verdict: as text."""
    i = claim.pooled.interval
    smallest = "–" if math.isnan(claim.pooled.smallest) else f"{100 * claim.pooled.smallest:.2f}"
    return (
        points_with_span(i.mean, i.low, i.high), p_text(i.p), p_text(claim.pooled.p_holm),
        f"{claim.wins}/{claim.ties}/{claim.losses}", kept_words(claim.own_kept, claim.own_imputed),
        kept_words(claim.rival_kept, claim.rival_imputed),
        smallest, claim.pooled.verdict,
    )  # fmt: skip


CLAIM_HEADS = ("difference", "p", "p (Holm)", "win/tie/loss", "kept", "rival kept", "could find", "verdict")
"""Heads of :func:`claim_cells`."""


def p_text(p: float) -> str:
    """``< .001``, ``.012``; a dash without a test."""
    return "–" if math.isnan(p) else "< .001" if p < 0.001 else f"{p:.3f}".removeprefix("0")


def undecided(report: Report) -> str:
    """What the run cannot decide about its mixture in utility; empty where it decides everything or has no test."""
    found = [(f"{a} − {b}", p) for (a, b, metric), p in report.pooled.items() if metric == "utility@1"]
    open_ = [p for _, p in found if p.verdict == "not separable" and not math.isnan(p.smallest)]
    open_ += [c.pooled for c in report.claims if c.pooled.verdict == "not separable"]
    known = [100 * p.smallest for p in open_ if not math.isnan(p.smallest)]
    asked = len(found) + len(report.claims)
    if not known:
        return ""
    sources = len({s.source for s in report.scenarios})
    tasks = len(report.scenarios)
    size = " to ".join(dict.fromkeys((f"{min(known):.1f}", f"{max(known):.1f}")))
    return (
        f"What this run cannot decide: {len(known)} of {asked} comparisons in utility are not separable. With "
        f"{plural(tasks, 'task')} from {plural(sources, 'source')} and {plural(report.suite['splits'], 'split')}, "
        f"a difference had to be {size} points (hundredths) to be found 8 times of 10, depending on the pair: "
        "smaller ones are neither shown nor ruled out."
    )


def claim_sources(report: Report) -> list[str]:
    """Sources that any claim speaks of, in the order of the tasks."""
    have = {source for claim in report.claims for source in claim.by_source}
    return [source for source in dict.fromkeys(s.source for s in report.scenarios) if source in have]


TREES, OTHERS = ("gbdt",), ("linear", "mlp", "ple_mlp")
"""Families whose single models are compared where it is asked on which sources trees lead."""


def trees_lead(report: Report) -> dict[str, float]:
    """Source → validation utility of the best single model of trees minus that of the best linear model or network.

    Experts of the role "utility" and plain baselines count, means over the tasks of a source; methods that contend
    out of fold do not, because they were fitted on validation rows too.
    """
    found: dict[str, list[float]] = {}
    for s in report.scenarios:
        best = [_best(s, families) for families in (TREES, OTHERS)]
        if not any(math.isnan(value) for value in best):
            found.setdefault(s.source, []).append(best[0] - best[1])
    return {source: sum(values) / len(values) for source, values in found.items()}


def _best(scenario: Scenario, families: tuple[str, ...]) -> float:
    plain = [
        m.id
        for m in scenario.methods
        if m.family in families
        and (m.role == "utility" or m.kind == "baseline")
        and not any(variant in MARGINS for _, variant in m.row.levels)
    ]
    known = [e.mean for m in plain if (e := scenario.validation.get((m, "utility@1"))) and not math.isnan(e.mean)]
    return max(known, default=math.nan)
