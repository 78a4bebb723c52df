"""The part of ``leaderboard.md`` on what the mixture achieves over all tasks."""

from __future__ import annotations

from foundation.escaping import markdown
from reports.blocks import Block
from reports.names import HEADLINE, metric_symbol
from reports.render.markdown.cells import pair, pooled_cell, table
from reports.render.sentences import answers, in_a_sentence
from reports.summary import Report


def pooled_text(report: Report) -> str:
    """What the mixture achieves, block by block; empty where nothing is compared."""
    if not report.blocks:
        return ""
    text = (
        "Pooled paired differences with 95 % intervals; in brackets the tasks on which the first is surely better ▲, "
        "surely worse ▼, not separable ○."
    )
    blocks = [_block(report, block, pairs) for block, pairs in report.blocks]
    return "\n\n".join(["## What the mixture achieves", text, *blocks])


def _block(report: Report, block: Block, pairs: list[tuple[str, str]]) -> str:
    parts = [f"### {markdown(block.title)}"] if len(report.blocks) > 1 else []
    said = answers(report, block.mixture) if block.mixture else []
    if said:
        lead = "\n".join(f"- **{markdown(metric)}**: {markdown(sentence)}" for metric, sentence in said)
        name = markdown(in_a_sentence(report.label(block.mixture)))
        parts.append(f"Over all tasks together, the {name} is, in terms of\n\n{lead}")
    rows = [[pair(report, a, b), *(_pooled_cell(report, a, b, metric) for metric in HEADLINE)] for a, b in pairs]
    parts.append(table(["comparison", *map(metric_symbol, HEADLINE)], rows))
    return "\n\n".join(parts)


def _pooled_cell(report: Report, a: str, b: str, metric: str) -> str:
    p = report.pooled.get((a, b, metric))
    if p is None or p.tasks == 0:
        return "–"
    return pooled_cell(p)
