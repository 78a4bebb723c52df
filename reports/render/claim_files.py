"""Claims, steps of the mixture and fronts of three objectives as files beside the page."""

from __future__ import annotations

from reports.levels.claims import Claim
from reports.levels.procedural import Side
from reports.levels.transfer import Share
from reports.render.claim_words import CLAIM_HEADS, claim_cells, claim_sources, gap_words, trees_lead
from reports.render.file_table import Table, Value
from reports.render.level_words import level_words
from reports.render.procedural_words import EXPLAINED, HEADS, picked_words, procedural_cells
from reports.stats.contrasts import Pooled
from reports.stats.three_objectives import VERSION
from reports.summary import Report

POINTS = "points of utility are hundredths"


def claim_tables(report: Report) -> list[Table]:
    """``claims``, ``claims-sources``, ``procedural``, ``ablation`` and ``three-objectives``.

    Those without a row are left out later.
    """
    return [_claims(report), _sources(report), _procedural(report), _ablation(report), _three(report)]


def _claims(report: Report) -> Table:
    columns = (
        "gap", "level", "kind", "method", "variant", "rival", "rival_variant", "points", "low", "high", "p", "p_holm",
        "verdict", "smallest_effect", "tasks", "sources", "wins", "ties", "losses", "kept", "kept_low", "kept_high",
        "kept_ceiling", "imputed", "rival_kept", "rival_kept_low", "rival_kept_high", "rival_kept_ceiling",
        "rival_imputed",
    )  # fmt: skip
    rows = tuple(
        (
            c.gap, c.level, c.kind, *c.own.id, *c.rival.id, *_points(c.pooled), c.pooled.interval.p, c.pooled.p_holm,
            c.pooled.verdict, 100 * c.pooled.smallest, c.pooled.tasks, len(c.by_source), c.wins, c.ties, c.losses,
            *_share(c.own_kept), c.own_imputed, *_share(c.rival_kept), c.rival_imputed,
        )
        for c in report.claims
    )  # fmt: skip
    lines = tuple(
        (f"{gap_words(c.gap, c.level)}, {c.kind}", f"{c.own.label} − {c.rival.label}", *claim_cells(c))
        for c in report.claims
    )
    caption = (
        f"What is claimed of the mixture: utility minus that of a rival at the same allowed gap ({POINTS}). Intervals "
        "and tests are clustered by source; Holm's correction over the rivals of a level."
    )
    return Table("claims", caption, columns, rows, ("Allowed gap", "Comparison", *CLAIM_HEADS), lines)


def _points(d: Pooled) -> tuple[float, float, float]:
    return 100 * d.interval.mean, 100 * d.interval.low, 100 * d.interval.high


def _share(share: Share | None) -> tuple[Value, ...]:
    return ("",) * 4 if share is None else (share.share, share.low, share.high, share.ceiling)


def _sources(report: Report) -> Table:
    columns = ("gap", "level", "kind", "method", "variant", "rival", "rival_variant", "source", "points", "trees_lead")
    lead = trees_lead(report)
    rows = tuple(
        (c.gap, c.level, c.kind, *c.own.id, *c.rival.id, source, 100 * mean, 100 * lead.get(source, float("nan")))
        for c in report.claims
        for source, mean in c.by_source.items()
    )
    sources = claim_sources(report)
    lines = tuple(
        (gap_words(c.gap, c.level), f"{c.own.label} − {c.rival.label}", *(_at(c, source) for source in sources))
        for c in report.claims
    )
    caption = (
        f"The same by source, means over its tasks ({POINTS}); trees_lead: validation utility of the best single model "
        "of boosted trees minus that of the best linear model or network."
    )
    return Table("claims-sources", caption, columns, rows, ("Allowed gap", "Comparison", *sources), lines)


def _at(claim: Claim, source: str) -> str:
    return f"{100 * claim.by_source[source]:.2f}".replace("-", "−") if source in claim.by_source else "–"


def _procedural(report: Report) -> Table:
    sides = ("practitioner", "alone", "mixture")
    columns = (
        "bound", "level", "method", *(f"{side}_{what}" for side in sides for what in SIDE), "points", "low", "high",
        "p_holm", "verdict", "smallest_effect", "tasks", "scenarios", "picked",
    )  # fmt: skip
    rows = tuple(
        (
            c.bound, c.level, c.own.id, *_side(c.practitioner), *_side(c.alone), *_side(c.mixture),
            *_numbers(c.pooled), c.mixture.scenarios, picked_words(c),
        )
        for c in report.procedural
    )  # fmt: skip
    lines = tuple(procedural_cells(c) for c in report.procedural)
    caption = f"What is claimed where reasons are bounded too ({POINTS}). {EXPLAINED}"
    return Table("procedural", caption, columns, rows, HEADS, lines)


SIDE = ("reached", "reached_low", "reached_high", "kept")


def _side(side: Side) -> tuple[Value, ...]:
    return side.share, *side.interval, side.kept_share


def _ablation(report: Report) -> Table:
    columns = ("order", "step", "method", "variant", "level", "points", "low", "high", "p_holm", "verdict",
               "smallest_effect", "tasks")  # fmt: skip
    found, reached = report.ablation, report.levels
    rows: list[tuple[Value, ...]] = []
    lines: list[tuple[str, ...]] = []
    levels = reached.levels if found is not None and reached is not None else ()
    for place, step in enumerate(found.steps if found is not None else ()):
        added = {level: d for (at, level), d in found.added.items() if at == place} if found is not None else {}
        rows += [(step.order, step.label, *step.contender.id, level, *_numbers(d)) for level, d in added.items()]
        lines.append((step.label, *(_short(added.get(level), place) for level in levels)))
    if found is not None:
        rows += [("", "all steps together", "", "", level, *_numbers(d)) for level, d in found.whole.items()]
        lines.append(("all steps together", *(_short(found.whole.get(level), 1) for level in levels)))
    caption = f"What each step of the mixture adds to the one before, at each allowed gap ({POINTS})."
    return Table("ablation", caption, columns, tuple(rows), ("Step", *map(level_words, levels)), tuple(lines))


def _numbers(d: Pooled) -> tuple[Value, ...]:
    return (*_points(d), d.p_holm, d.verdict, 100 * d.smallest, d.tasks)


def _short(d: Pooled | None, place: int) -> str:
    if not place:
        return "start"
    return "–" if d is None else f"{100 * d.interval.mean:.2f} ({d.verdict})".replace("-", "−")


def _three(report: Report) -> Table:
    columns = ("methods", "set", "volume", "low", "high", "fronts", "tasks")
    three = report.three
    covered = [] if three is None else [*three.sets, *three.methods]
    tasks = 0 if three is None else len(three.tasks)
    rows = tuple(
        (
            " ".join(m.id for m in c.methods), c.label if len(c.methods) > 1 else "",
            c.volume.mean, c.volume.low, c.volume.high, c.fronts, tasks,
        )
        for c in covered
    )  # fmt: skip
    lines = tuple((c.label, f"{c.volume.mean:.3f}", f"{c.fronts}/{tasks}") for c in covered)
    caption = (
        f"{VERSION}: share of the box of utility, result gap and procedural gap between the run's reference and the "
        "perfect point that test values cover; tasks on whose front on validation rows a method stands."
    )
    return Table("three-objectives", caption, columns, rows, ("Methods", VERSION, "Front"), lines)
