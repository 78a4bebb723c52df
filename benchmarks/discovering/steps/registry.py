"""All steps, in order; the result of each depends on all before it."""

from __future__ import annotations

from benchmarks.discovering.step import Step
from benchmarks.discovering.steps import capability, data, examination, gates, plan, preserve, search, training

STEPS: tuple[Step, ...] = (
    capability.STEP, plan.STEP, data.STEP, training.STEP, search.STEP, examination.STEP, preserve.STEP, gates.STEP,
)  # fmt: skip
