"""The part of ``leaderboard.md`` on fairness levels: what the section "levels" of the page says, as compact tables."""

from __future__ import annotations

import math

from foundation.escaping import markdown
from foundation.words import plural
from reports.format import estimate_text, half_text, interval_text, signed
from reports.levels.levels import Levels
from reports.levels.standing import Place
from reports.levels.transfer import Share, Transfer
from reports.render.level_words import gained_sentences, level_words, nobody_words, standing_sentences
from reports.render.markdown.cells import pooled_cell, table
from reports.render.part_words import no_levels
from reports.render.winner_rows import WinnerRow, broken_words, tied_words, value_and_spread, winner_rows
from reports.stats.budget import Budget
from reports.stats.contrasts import Pooled
from reports.stats.statistics import Interval
from reports.summary import Report


def levels_text(report: Report) -> str:
    """Who wins at which level, and what else the section "levels" of the page says."""
    found = report.levels
    rows = [_winner(row) for row in winner_rows(report)]
    head = [
        "task",
        "allowed gap (validation)",
        "winner",
        "utility (test)",
        "result gap (test)",
        "kept",
        "not separable from it",
    ]
    more = [f"{no_levels(report.suite)} The winners are those among the methods' chosen models."]
    if found is not None and report.transfer is not None:
        more = _levels(found, report.transfer, report.budget)
    return "\n\n".join(["## Who wins at which fairness level", table(head, rows), *more])


def _winner(row: WinnerRow) -> list[str]:
    """A row of the table of winners."""
    if row.winner is None:
        return [row.scenario.name, row.words, nobody_words(row.unknown), "–", "–", "–", "–"]
    tied = tied_words(row) if row.tied else f"surely above the {plural(row.others, 'other')}" if row.others else "–"
    values = map(value_and_spread, (row.utility, row.gap))
    return [
        row.scenario.name,
        row.words,
        row.winner.label,
        *values,
        " ".join([row.kept_words, broken_words(row)]).strip(),
        tied,
    ]


def _levels(found: Levels, transfer: Transfer, budget: Budget | None) -> list[str]:
    """Paragraphs and tables, in the order of the page."""
    heads = [level_words(level) for level in found.levels]
    parts = [
        "Utility on test rows when the result gap may be at most so much on validation rows. Plain: the best of the "
        "method's own trained configurations; + thresholds: its chosen model with one threshold per group; + OOF "
        "thresholds: refitted on folds, thresholds from rows that were not seen, κ: the share of the level used. "
        "Imputed: nothing keeps the level, the constant predictor stands in."
    ]
    for mixture in found.mixtures:
        lines = [f"- **{level}**: {markdown(sentence)}" for level, sentence in standing_sentences(found, mixture)]
        parts += [f"{markdown(mixture.label)}, in utility, over all tasks where both are:", "\n".join(lines)]
        rows = [
            [r.label, *(_difference(found.standing.get((mixture.id, r.id, level))) for level in found.levels)]
            for r in found.rivals(mixture)
        ]
        parts.append(table([f"{mixture.label} minus", *heads], rows))
    said = [f"{level}: {sentence}" for level, sentence in gained_sentences(found)]
    parts.append("Thresholds on top of each method: " + "; ".join(said) + ".")
    if found.reference is not None:
        parts.append(
            f"Utility minus {markdown(found.reference.label)} over the tasks that both have; ranks that the data "
            "cannot rule out; imputed splits."
        )
        rows = [
            [c.label, *(_place(found.places.get((level, c.id))) for level in found.levels)] for c in found.contenders
        ]
        parts.append(table(["method", *heads], rows))
    parts.append(
        "Share of what kept the level on validation rows that keeps it on test rows too; ceiling: what a rule "
        "without any gap could be seen to keep on test parts of these sizes; last row: one exactly at the limit."
    )
    rows = [["all", *(_share(transfer.by_level[level]) for level in found.levels)]]
    rows.append(["exactly at the limit", *(_at_limit(transfer.by_level[level]) for level in found.levels)])
    parts.append(table(["methods", *heads], rows))
    return parts if budget is None else [*parts, *_budget(budget)]


def _mean(interval: Interval) -> str:
    return f"{estimate_text(interval.mean, interval.half)} {half_text(interval.mean, interval.half)}".strip()


def _difference(d: Pooled | None) -> str:
    return "–" if d is None else pooled_cell(d)


def _place(place: Place | None) -> str:
    if place is None:
        return "–"
    imputed = f", imputed {place.imputed}/{place.cells}" if place.imputed else ""
    return f"{signed(place.difference.mean)}, rank {place.ranks[0]}–{place.ranks[1]}{imputed}"


def _share(share: Share) -> str:
    if not share.cells:
        return "–"
    most = "" if math.isnan(share.ceiling) else f", ceiling {share.ceiling:.0%}"
    return f"{share.share:.0%}{most} {interval_text(share.low, share.high, 2)} ({share.kept}/{share.cells})"


def _at_limit(share: Share) -> str:
    return "–" if math.isnan(share.at_limit) else f"{share.at_limit:.0%}"


def _budget(budget: Budget) -> list[str]:
    rows = [
        [task, c.method.label, *("–" if k > c.trials else _mean(c.at(k)) for k in budget.shown)]
        for task, own in budget.curves.items()
        for c in own
    ]
    text = "Budget curves: expected test utility of the best of k trials, chosen by validation utility."
    return [text, table(["task", "method", *(f"k = {k}" for k in budget.shown)], rows)]
