"""The whole of ``leaderboard.md``."""

from __future__ import annotations

from reports.render.markdown.answer import answer_text
from reports.render.markdown.claims import claims_text, three_text
from reports.render.markdown.header import header
from reports.render.markdown.levels import levels_text
from reports.render.markdown.pooled import pooled_text
from reports.render.markdown.published import published_text
from reports.render.markdown.ranking import ranking_text
from reports.render.markdown.task import task_text
from reports.summary import Report


def render_markdown(report: Report) -> str:
    """Text of ``leaderboard.md``: header, the answer, pooled comparisons, claims, winners, tables per task."""
    parts = [
        header(report),
        answer_text(report),
        pooled_text(report),
        claims_text(report),
        levels_text(report),
        ranking_text(report),
        three_text(report),
        published_text(report),
        *(task_text(report, s) for s in report.scenarios),
        _reading(),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _reading() -> str:
    return (
        "## How to read this\n\nEstimate ± 95 % interval over splits (Nadeau & Bengio 2003), test rows only. ○: within "
        "what shuffled groups give, not distinguishable from 0. n/e: not estimable, never 0. A constant predictor has "
        "no gaps and no use. Verdicts are Holm-corrected paired tests. The page `leaderboard.html` has nulls, figures, "
        "costs and provenance."
    )
