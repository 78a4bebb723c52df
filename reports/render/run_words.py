"""What a comparison of two runs comes to: in plain words, and as JSON."""

from __future__ import annotations

import math
from dataclasses import asdict
from typing import Any

from foundation.numbers import finite
from reports.runs.comparison import RunComparison
from reports.stats.statistics import CONFIDENCE

UNTESTED = {
    "identical": "identical to the last bit and needed no test",
    "one split": "on a single split, where splits cannot say what is noise",
    "not estimable": "not estimable in one of the runs",
}
"""Verdicts without a test, and how their sentences end."""


def sentences(found: RunComparison) -> list[str]:
    """What it comes to, in plain words; the first sentence is the answer."""
    if found.same_numbers:
        return ["The numbers of both runs are the same."]
    said = _worsenings(found)
    if better := found.of("better"):
        said.append(f"{_count(len(better), 'established improvement', 'established improvements')}.")
    tried = sum(not math.isnan(test.p_holm) for test in found.counting)
    said.append(f"{_count(tried, 'test', 'tests')}, Holm-corrected together at {1 - CONFIDENCE:.0%}.")
    for verdict, words in UNTESTED.items():
        if number := sum(test.verdict == verdict for test in found.counting):
            said.append(f"{_count(number, 'change is', 'changes are')} {words}.")
    return [*said, *_reservations(found)]


def _worsenings(found: RunComparison) -> list[str]:
    worse, broken = found.of("worse"), found.cells.broken
    if not worse and not broken:
        return ["No established worsening."]
    said = [f"{_count(len(worse), 'established worsening', 'established worsenings')}."] if worse else []
    if broken:
        said.append(f"{_count(len(broken), 'cell', 'cells')} that finished before failed now.")
    return said


def _reservations(found: RunComparison) -> list[str]:
    """What splits, or their lack, leave open."""
    said = []
    if any(test.verdict == "one split" for test in found.tests) and not found.rows:
        said.append("--rows compares the same test rows of single splits.")
    if aside := [t for t in found.rows if t.verdict == "worse" and t not in found.counting]:
        said.append(
            f"Test rows alone would establish {_count(len(aside), 'worsening', 'worsenings')} of these trained models; "
            "where there are several splits, the splits decide."
        )
    if any(test.how == "unpaired" for test in found.tests):
        said.append(
            "The runs have different splits: differences are not paired, and only large ones can be established."
        )
        said.append("Whether the data are the same cannot be told from runs on different splits.")
    return said


def _count(number: int, one: str, many: str) -> str:
    return f"{number} {one if number == 1 else many}"


def as_json(found: RunComparison) -> dict[str, Any]:
    """Everything, for machines; numbers that are not there are null."""
    data = asdict(found) | {"worsened": found.worsened, "sentences": sentences(found)}
    return {key: finite(value) for key, value in data.items()}
