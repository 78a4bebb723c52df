"""What is said once of a run's methods: the marks behind their names and in their comparisons."""

from __future__ import annotations

from reports.explainers import MARK_WORDS, codes_words, differ
from reports.method import KNOWS_GROUP_WORDS, ONLY_DECISIONS_WORDS
from reports.summary import Report


def method_words(report: Report) -> list[str]:
    """What (G), †, the codes of explainers and the mark of comparisons mean, each where it is used."""
    rows = [method.row for method in report.methods]
    said = [KNOWS_GROUP_WORDS] if any(row.sensitive_at_prediction for row in rows) or report.levels else []
    if any(row.scores_decisions for row in rows):
        said.append(ONLY_DECISIONS_WORDS)
    codes = codes_words(rows)
    if codes:
        said.append(f"Reasons by: {codes}.")
    if any(differ(report.row(a), report.row(b)) for a, b in report.pairs):
        said.append(MARK_WORDS)
    return said
