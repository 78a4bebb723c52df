"""The part of ``leaderboard.md`` that answers: which method at the default limit, how sure, what it costs."""

from __future__ import annotations

from foundation.escaping import markdown
from reports.answer.answer import Answer
from reports.answer.row import AnswerRow
from reports.render.answer.cells import HEADS, cells, way
from reports.render.answer.words import answer_words, asked_words, choose_command
from reports.render.markdown.cells import table
from reports.summary import Report

SIGNS = {"best": "★ ", "open": "○ "}


def answer_text(report: Report) -> str:
    """The recommended method and the table of all at the default limit; empty for a run without levels."""
    own = report.opening
    if own is None:
        return ""
    said = answer_words(own)
    lines = [f"**{markdown(said.name)}** {markdown(asked_words(own))}"]
    lines += [
        f"- **{head}**: {markdown(' '.join(part for part in parts if part))}"
        for head, *parts in (
            ("Which", said.reaches, said.warning),
            ("How sure", said.sure, said.open),
            ("What it costs", said.costs),
        )
        if any(parts)
    ]
    if own.best is not None:
        lines.append(f"- **Take it**, in the folder of this page: `{choose_command(own, report.tasks)}`")
    rows = [_row(own, row) for row in own.main]
    note = (
        "★ recommended; ○ not separable from it; ✕ breaks the limit on more than half of the test parts; ≈ of the "
        "method's chosen model. Every other limit, metric and task: `tables/answer.csv`, and the page."
    )
    return "\n\n".join(["## The answer", lines[0], "\n".join(lines[1:]), table([h for h, _, _ in HEADS], rows), note])


def _row(answer: Answer, row: AnswerRow) -> list[str]:
    told = cells(answer, row)
    name = f"{SIGNS.get(told.mark, '')}{row.contender.method.label} {way(row)}"
    kept = f"{'✕ ' if told.broken else ''}{told.kept}" + (f", {told.ceiling}" if told.ceiling else "")
    against = f"{told.against} {told.verdict}".strip()
    return [
        f"{name} ({told.note})" if told.note else name,
        told.utility, against, told.gap, told.procedural, kept, told.rank, told.seconds, told.group,
    ]  # fmt: skip
