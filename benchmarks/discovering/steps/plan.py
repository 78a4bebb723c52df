"""Step 2: how many experts, and for which domains."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from benchmarks.discovering.advising import advisor_of
from benchmarks.discovering.context import Context
from benchmarks.discovering.step import Result, Step


def _do(context: Context) -> Result:
    from llm_experts.discovery.measuring.capability import CapabilityReport
    from llm_experts.discovery.planning.plan import plan_experts

    settings = context.settings
    report = CapabilityReport.from_dict(context.results["1_capability"])
    plan = plan_experts(
        context.base, report, context.domains, experts=settings.experts, evidence=settings.evidence,
        seed=settings.seed, adapter=settings.kind, rank=settings.rank, start=context.start,
        probe_steps=settings.probe_steps, advisor=advisor_of(context), follow_advice=settings.follow_advice,
        progress=context.told,
    )  # fmt: skip
    return plan.as_dict()


def _words(result: Mapping[str, Any]) -> str:
    experts = ", ".join(f"{one['name']} ({', '.join(one['domains'])})" for one in result["experts"])
    return f"{result['chosen']} experts: {experts}"


STEP = Step(
    name="2_plan", label="plan", do=_do, words=_words,
    settings=("experts", "evidence", "probe_steps", "kind", "rank", "start", "advise", "follow_advice"),
)  # fmt: skip
