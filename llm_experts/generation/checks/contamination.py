"""Does the item stand in a set that must not be learnt?"""

from __future__ import annotations

import math
from collections.abc import Sequence

from llm_experts.data.example import Example
from llm_experts.generation.checks.check import Check, Finding
from llm_experts.generation.context import Context, Protected
from llm_experts.generation.draft import Draft
from llm_experts.generation.judge import judge_of
from llm_experts.generation.spec import DataSpec


def of(drafts: Sequence[Draft], spec: DataSpec, context: Context) -> list[Finding]:
    """Largest share of the item's n-grams of words in a protected set.

    nan for items of generated families and for rows: they repeat the sentences of their templates, so only questions
    and rows count there.
    """
    return [_finding(draft, spec, context) for draft in drafts]


def _finding(draft: Draft, spec: DataSpec, context: Context) -> Finding:
    example, family = draft.example, judge_of(draft, spec)
    made = "row" in example.facts or (family is not None and not family.published)
    shares = [math.nan if made else one.words.share(example) for one in context.protected]
    value = max(shares, default=math.nan)
    for protected, share in zip(context.protected, shares, strict=True):
        reason = _asked(example, protected)
        if not reason and share >= context.options.overlap:
            reason = f"{share:.0%} of its {context.options.n}-grams stand in {protected.name}"
        if reason:
            return Finding(False, value, reason)
    return Finding(True, value)


def _asked(example: Example, protected: Protected) -> str:
    same, nearly = protected.questions.same(example), protected.questions.nearly(example)
    if same:
        return f"{protected.name} has its question ({same})"
    return f"{protected.name} has nearly its question ({nearly})" if nearly else ""


CHECK = Check(
    name="contamination",
    label="not examined",
    about="No question of an evaluation set, nor nearly one, nor most of its n-grams of words.",
    needs_model=False,
    of=of,
)
