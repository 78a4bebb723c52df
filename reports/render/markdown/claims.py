"""The part of ``leaderboard.md`` on claims, on the steps of the mixture, and on three objectives at once."""

from __future__ import annotations

from foundation.escaping import Markdown
from reports.format import interval_text, points_with_span, value_text
from reports.levels.claims import DELIVERED, EQUAL, KEPT, Claim
from reports.render.claim_words import CLAIM_HEADS, claim_cells, gap_words, undecided
from reports.render.finds_words import FINDS, finds_words
from reports.render.level_words import level_words
from reports.render.markdown.cells import table
from reports.render.procedural_words import EXPLAINED, HEADS, picked_words, procedural_cells
from reports.stats.contrasts import Pooled
from reports.stats.three_objectives import VERSION, Covered
from reports.summary import Report


def claims_text(report: Report) -> str:
    """Claims, equal transfer, ablation; empty without any."""
    parts = []
    open_ = undecided(report)
    if report.claims:
        parts += [
            "## What is claimed of the mixture",
            "Points of utility (hundredths), mixture minus rival at the same allowed gap; intervals and tests are "
            "clustered by source, Holm's correction runs over the rivals of a level. Kept: splits on which the level "
            f"holds on test rows too; ceiling: what a rule without any gap could be seen to keep there. {FINDS}",
            _claims([c for c in report.claims if c.kind == DELIVERED]),
        ]
    equal = [c for c in report.claims if c.kind == EQUAL]
    if equal:
        parts += [
            f"At equal transfer (both keep the level on at least {KEPT:.0%} of the splits, or as many as they can):"
        ]
        parts += [_claims(equal)]
    parts += _procedural(report)
    parts += _ablation(report)
    return "\n\n".join([*([open_] if open_ else []), *parts])


def _claims(claims: list[Claim]) -> Markdown:
    rows = [[gap_words(c.gap, c.level), c.own.label, c.rival.label, *claim_cells(c)] for c in claims]
    return table(["allowed gap", "mixture as", "minus", *CLAIM_HEADS], rows)


def _procedural(report: Report) -> list[str]:
    if not report.procedural:
        return []
    lines = [[*procedural_cells(c), picked_words(c)] for c in report.procedural]
    return [f"Where reasons are bounded too. {EXPLAINED}", table([*HEADS, "practitioner's models"], lines)]


def _ablation(report: Report) -> list[str]:
    found = report.ablation
    if found is None or report.levels is None:
        return []
    levels = report.levels.levels
    rows = [
        [step.label, *(_points(found.added.get((place, level))) if place else "start" for level in levels)]
        for place, step in enumerate(found.steps)
    ]
    rows.append(["all steps together", *(_points(found.whole.get(level)) for level in levels)])
    return [
        "Points of utility that each step adds to the one before:",
        table(["step", *map(level_words, levels)], rows),
    ]


def _points(d: Pooled | None) -> str:
    if d is None:
        return "–"
    finds = f", {words}" if (words := finds_words(d, points=True)) else ""
    i = d.interval
    return Markdown(f"{points_with_span(i.mean, i.low, i.high)} **{d.verdict}**{finds}")


def three_text(report: Report) -> str:
    """Fronts of three objectives; empty where no task has a reference."""
    found = report.three
    if found is None:
        return ""
    rows = [_covered(c, len(found.tasks)) for c in (*found.sets, *found.methods)]
    text = (
        f"{VERSION}: share of the box between the constant predictor's utility with the utility expert's gaps and the "
        "perfect point that test values cover; front: tasks on whose front on validation rows it, or one of the set, "
        "stands."
    )
    return f"## Utility, result gap and procedural gap at once\n\n{text}\n\n" + table(
        ["methods", VERSION, "front"], rows
    )


def _covered(c: Covered, tasks: int) -> list[str]:
    spread = interval_text(c.volume.low, c.volume.high, 3)
    return [c.label, f"{value_text(c.volume.mean)} {spread}".strip(), f"{c.fronts}/{tasks}"]
