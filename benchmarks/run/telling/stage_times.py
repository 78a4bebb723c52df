"""Where the time of a run went: wall seconds by stage, summed over its jobs."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

from rich.table import Table

from benchmarks.plan.part_shares import recorded_seconds

STAGES = {
    "tune": "tune experts", "repeat": "further seeds", "out of fold": "out-of-fold outputs", "bag": "bag members",
    "gate": "gates", "fine-tune": "fine-tune", "method": "fit methods", "refit": "refit on folds",
    "decision": "decision layer", "explain": "explain", "score": "score", "text": "text experts",
}  # fmt: skip
"""First words of ledger entries → stage, in the order of a job."""

OWN = re.compile(r"(?P<part>.+) \((all seeds|seed \d+)\)")
"""What a part took by itself, without what was made on its way."""


def stage_seconds(ledgers: Iterable[Path]) -> dict[str, float]:
    """Stage → seconds of all jobs together, in the order of :data:`STAGES`; stages that took no time are left out.

    Parameters
    ----------
    ledgers : iterable of Path
        ``timing.json`` of each job; those that do not exist are passed over.
    """
    found = dict.fromkeys((*STAGES.values(), "other"), 0.0)
    for path in ledgers:
        for name, seconds in recorded_seconds(path).items():
            match = OWN.fullmatch(name)
            if match:
                found[_stage(match["part"])] += seconds
    return {stage: seconds for stage, seconds in found.items() if seconds > 0}


def stage_table(seconds: dict[str, float]) -> Table:
    """The same as a table: seconds and share of each stage."""
    table = Table(title="Time by stage, all jobs and workers together", title_justify="left")
    table.add_column("stage")
    table.add_column("seconds", justify="right")
    table.add_column("share", justify="right")
    total = sum(seconds.values())
    for stage, taken in seconds.items():
        table.add_row(stage, f"{taken:.1f}", f"{taken / total:.0%}")
    table.add_row("all", f"{total:.1f}", "100%")
    return table


def _stage(part: str) -> str:
    """Stage of a ledger entry: texts are a stage of their own."""
    if "text" in part.split() or part.startswith(("method llm_", "method cross_", "mixture search")):
        return STAGES["text"]
    return next((stage for words, stage in STAGES.items() if part == words or part.startswith(f"{words} ")), "other")
