"""The part of ``leaderboard.md`` on published numbers."""

from __future__ import annotations

from foundation.escaping import markdown
from reports.names import metric_symbol
from reports.published.numbers import METRICS
from reports.published.verdicts import Board, Finding
from reports.render.markdown.cells import table
from reports.render.published import MARKS, explained, ours_text
from reports.summary import Report


def published_text(report: Report) -> str:
    """The run beside published numbers; empty where there are none."""
    found = report.published
    if found is None:
        return ""
    how = (
        "settings of the papers" if report.suite.get("settings") == "published" else "tuned here, not as in the papers"
    )
    text = (
        f"×100, test rows, {how}; ours: mean ± standard deviation over seeds. {found.count('inside')} "
        f"of {len(found.cells)} cells are inside, {found.count('outside')} outside, {len(found.unexplained)} of these "
        "not explained. ✓ within the published mean ± 2·std, or, of one run, within ±2·std of our seeds; ✗ outside; "
        "· no interval. "
        "Brackets: from memory, unchecked, decides nothing."
    )
    return "\n\n".join(["## Published numbers beside ours", text, *(_board(report, board) for board in found.boards)])


def _board(report: Report, board: Board) -> str:
    rows = []
    for method in board.methods:
        name = report.label(method)
        cells = [board.cells.get((method, metric)) for metric in METRICS]
        rows.append([name, *("–" if c is None else f"{ours_text(c.ours)} {MARKS[c.verdict]}" for c in cells)])
        for s in board.sources_of(method):
            said = [None if c is None else c.finding(s.id) for c in cells]
            rows.append([f"{name}: {s.paper} [{board.number(s)}]", *map(_printed, said)])
    for row in board.reference:
        values = (_bracketed(row.values[m].text, row.source.checked) if m in row.values else "–" for m in METRICS)
        rows.append([f"{report.label(row.method)}, not in this run [{board.number(row.source)}]", *values])
    parts = [f"### Published: {markdown(board.dataset)}", "\n".join(f"- {markdown(text)}" for text in board.caveats)]
    parts.append(table(["method", *map(metric_symbol, METRICS)], rows))
    outside = explained(report, board)
    parts.append(
        "\n".join(
            f"- outside: {markdown(name)}, {which}: {markdown(why or 'NOT EXPLAINED')}" for name, which, why in outside
        )
    )
    parts.append("\n".join(f"{i}. {s.paper}: {s.where}. Read: {s.read}." for i, s in enumerate(board.sources, start=1)))
    return "\n\n".join(part for part in parts if part)


def _printed(finding: Finding | None) -> str:
    if finding is None:
        return "–"
    return f"{_bracketed(finding.printed.text, finding.source.checked)} {MARKS[finding.verdict]}"


def _bracketed(text: str, checked: bool) -> str:
    return text if checked else f"({text})"
