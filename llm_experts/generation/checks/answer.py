"""Is the answer right: by the family's checker, which computes, executes or solves."""

from __future__ import annotations

from collections.abc import Sequence

from llm_experts.data.error import DataError
from llm_experts.generation.checks.check import Check, Finding
from llm_experts.generation.context import Context
from llm_experts.generation.draft import Draft
from llm_experts.generation.judge import judge_of
from llm_experts.generation.spec import DataSpec


def of(drafts: Sequence[Draft], spec: DataSpec, context: Context) -> list[Finding]:
    """1 where the answer is verified and a rejected one, if there is one, is refuted; else 0."""
    del context
    return [_finding(draft, spec) for draft in drafts]


def _finding(draft: Draft, spec: DataSpec) -> Finding:
    example, family = draft.example, judge_of(draft, spec)
    if not example.completion.strip():
        return Finding(False, 0.0, "it has no answer")
    if family is None:
        return Finding(False, 0.0, "no family can verify its answer")
    try:
        verdict = family.check(example, example.completion)
        if not verdict.correct:
            return Finding(False, 0.0, f"{family.name} refutes its answer: {verdict.reason}")
        if example.rejected is not None and family.check(example, example.rejected).correct:
            return Finding(False, 0.0, f"{family.name} finds its rejected answer right")
    except DataError as error:
        return Finding(False, 0.0, str(error))
    return Finding(True, 1.0)


CHECK = Check(
    name="answer",
    label="answer verified",
    about="The family's checker, executor or solver takes the answer, and refutes the rejected one of a pair.",
    needs_model=False,
    of=of,
)
