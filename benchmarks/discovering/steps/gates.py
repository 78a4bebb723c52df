"""Step 8: bounds on what the steps before have measured."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmarks.discovering.context import Context
from benchmarks.discovering.gates import gates_result, judge_gates, read_gates
from benchmarks.discovering.step import Result, Step


def _do(context: Context) -> Result:
    path = context.settings.gates
    gates = read_gates(None if path is None else Path(path))
    return gates_result(judge_gates(gates, context.results))


def _words(result: Mapping[str, Any]) -> str:
    return f"{result['passed']} passed, {result['failed']} failed, {result['unmeasured']} not measured"


STEP = Step(name="8_gates", label="gates", settings=("gates",), do=_do, words=_words)
