"""What checks say of drafts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from llm_experts.generation.checks.check import Check, Finding
from llm_experts.generation.context import Context
from llm_experts.generation.draft import Draft
from llm_experts.generation.spec import DataSpec


def examine(
    drafts: Sequence[Draft],
    spec: DataSpec,
    context: Context,
    checks: Sequence[Check] | Mapping[str, Check],
    *,
    every: bool = False,
) -> list[dict[str, Finding]]:
    """Findings of each draft, by name of the check.

    A check is asked of the drafts that those before it left: a question that is wrong is not asked of a model, and does
    not stand in the way of the right one that is like it.

    Parameters
    ----------
    drafts : sequence of Draft
    spec : DataSpec
    context : Context
        What is accepted in the end is told to it by the caller (:meth:`Context.accept`).
    checks : sequence of Check, or mapping by name
    every : bool
        Ask all checks of all drafts.

    Raises
    ------
    DataError
        If a check needs a model and the context has none.
    """
    found: list[dict[str, Finding]] = [{} for _ in drafts]
    left = list(range(len(drafts)))
    for check in checks.values() if isinstance(checks, Mapping) else checks:
        if not left:
            break
        findings = check.of([drafts[place] for place in left], spec, context)
        for place, finding in zip(left, findings, strict=True):
            found[place][check.name] = finding
        if not every:
            left = [place for place, finding in zip(left, findings, strict=True) if finding.ok]
    return found


def accepted(findings: Mapping[str, Finding]) -> bool:
    """Whether no check objects."""
    return all(finding.ok for finding in findings.values())
