"""What a comparison of two runs comes to: in plain words, and as JSON."""

from __future__ import annotations

import math
from dataclasses import asdict
from typing import Any

from reports.runs.comparison import RunComparison
from reports.stats.statistics import CONFIDENCE


def sentences(found: RunComparison) -> list[str]:
    """What it comes to, in plain words; the first sentence is the answer."""
    worse, better = found.of("worse"), found.of("better")
    tried = sum(not math.isnan(test.p_holm) for test in found.counting)
    if found.same_numbers:
        said = ["The numbers of both runs are the same."]
    elif worse or found.cells.broken:
        said = [f"{_count(len(worse), 'established worsening', 'established worsenings')}."] if worse else []
        if found.cells.broken:
            said.append(f"{_count(len(found.cells.broken), 'cell', 'cells')} that finished before failed now.")
    else:
        said = ["No established worsening."]
    if found.same_numbers:
        return said
    if better:
        said.append(f"{_count(len(better), 'established improvement', 'established improvements')}.")
    said.append(f"{_count(tried, 'test', 'tests')}, Holm-corrected together at {1 - CONFIDENCE:.0%}.")
    for verdict, words in (
        ("identical", "identical to the last bit and needed no test"),
        ("one split", "on a single split, where splits cannot say what is noise"),
        ("not estimable", "not estimable in one of the runs"),
    ):
        if number := len(found.of(verdict)):  # type: ignore[arg-type]
            said.append(f"{_count(number, 'change is', 'changes are')} {words}.")
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
    return {key: _finite(value) for key, value in data.items()}


def _finite(data: Any) -> Any:
    if isinstance(data, dict):
        return {key: _finite(value) for key, value in data.items()}
    if isinstance(data, (list, tuple)):
        return [_finite(value) for value in data]
    return None if isinstance(data, float) and not math.isfinite(data) else data
