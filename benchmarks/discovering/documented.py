"""``docs/discovery_metrics.md``, written from the registry: ``python -m benchmarks.discovering.documented``."""

from __future__ import annotations

from itertools import groupby
from pathlib import Path

from benchmarks.discovering.names import METRICS, MetricName
from foundation.discovery import ROOT
from foundation.files import write_text
from reports.discovery.reading import STEPS

PAGE = ROOT / "docs" / "discovery_metrics.md"
TITLES = {
    "capability": "Capability", "plan": "Plan", "data": "Data", "training": "Training", "search": "Search",
    "examination": "Examination", "preserve": "What had to stay", "gates": "Gates", "cost": "Cost",
}  # fmt: skip
HEAD = """\
# Metric names of a discovery

Written from `benchmarks/discovering/names.py` by `python -m benchmarks.discovering.documented`; a test keeps it true.

A discovery is one MLflow run with a child run for each expert (`fairmoe ui`). Its names are **fixed**: no base, plan or
search brings new ones, so that runs can be laid beside each other. What a run has several of is a part in braces:
"""
PARTS = {
    "domain": "the name of a domain, such as `arithmetic`; other signs than letters, digits, `_` and `-` become `-`",
    "expert": "a slot, `expert_01` to `expert_10` in the order of the plan; the run's tag of that name says which "
    "expert has it. A child run has the same names without this part",
    "number": "a number of experts that was weighed: `n03` to `n10`",
    "check": "a check of drafts: `difficulty`, `answer`, `clarity`, `alignment`, `contamination`, or one of your own",
    "measure": "a measure of mixtures, such as `accuracy`, `lowest`, `alignment`, `zone`, `p_right`, `latency_ms`",
    "contender": "`winner`, `base`, `uniform`, `best_single`, or a slot for that expert alone",
    "task": "a task that had to stay",
    "gate": "the id of a gate",
    "step": f"a step: {', '.join(f'`{name}`' for name in STEPS.values())}",
}
TAIL = """
What was not measured is not logged; it is never 0. *By step*: a curve over training steps, or over the generations of
all rounds. A dash: neither direction is better by itself.
"""


def page() -> str:
    """The page as Markdown."""
    parts = [HEAD, "\n| part | stands for |\n|---|---|\n"]
    parts += [f"| `{{{part}}}` | {words} |\n" for part, words in PARTS.items()]
    parts.append(TAIL)
    for stage, metrics in groupby(METRICS.values(), key=lambda metric: metric.stage):
        parts.append(f"\n## {TITLES[stage]}\n\n| name | unit or range | better | what it is |\n|---|---|---|---|\n")
        parts += [_row(metric) for metric in metrics]
    return "".join(parts)


def _row(metric: MetricName) -> str:
    more = ". By step" if metric.series else ""
    return f"| `{metric.id}` | {metric.unit} | {metric.better or '–'} | {metric.about.replace('|', '')}{more} |\n"


def write(path: Path = PAGE) -> Path:
    """Write the page."""
    write_text(path, page())
    return path


if __name__ == "__main__":
    print(write())
