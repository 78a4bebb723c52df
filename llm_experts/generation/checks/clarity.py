"""Is the question whole and legible, and was it not asked before?"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence

from llm_experts.data.encoding import answer_ids, prompt_ids
from llm_experts.data.example import Example
from llm_experts.data.repeats import Repeats
from llm_experts.generation.checks.check import Check, Finding
from llm_experts.generation.context import Context
from llm_experts.generation.draft import Draft
from llm_experts.generation.spec import DataSpec

_ILLEGIBLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ufffd]")
_UNFINISHED = re.compile(r"(?:[,;([{–—…-]|\.\.\.|\b(?:and|or|the|a|an|of|to|with|is|are))$", re.IGNORECASE)


def of(drafts: Sequence[Draft], spec: DataSpec, context: Context) -> list[Finding]:
    """Characters of the prompt; an item repeats what was accepted, or an earlier one of these that is clear."""
    del spec
    earlier = Repeats(near=context.options.near)
    found = []
    for draft in drafts:
        example = draft.example
        reason = _fault(example, context) or _repeated(example, context.seen) or _repeated(example, earlier)
        if not reason:
            earlier.add(example)
        found.append(Finding(not reason, float(len(_asked(example))), reason))
    return found


def _fault(example: Example, context: Context) -> str:
    text = _asked(example)
    if not example.id.strip():
        return "it has no id"
    if not context.options.shortest <= len(text) <= context.options.longest:
        return f"its prompt has {len(text)} characters, not {context.options.shortest} to {context.options.longest}"
    if _ILLEGIBLE.search(text) or _ILLEGIBLE.search(example.completion):
        return "it has control characters, or signs that were lost"
    if not isinstance(example.prompt, str) and example.prompt[-1].role not in ("user", "tool"):
        return "its last turn is not a question"
    if text.endswith((" ", "\t")):
        return "its prompt ends in a space, with which the answer begins"
    if _UNFINISHED.search(text):
        return "its prompt breaks off"
    return _not_json(example) or _too_long(example, context)


def _not_json(example: Example) -> str:
    try:
        json.dumps(dict(example.facts), allow_nan=False)
    except (TypeError, ValueError):
        return "its facts are no plain JSON"
    return ""


def _too_long(example: Example, context: Context) -> str:
    """Tokens, where a base is given."""
    base = context.base
    if base is None:
        return ""
    tokens = len(prompt_ids(example, base)) + len(answer_ids(example, base, example.completion))
    return f"it has {tokens} tokens, and {base.context} fit" if tokens > base.context else ""


def _repeated(example: Example, seen: Repeats) -> str:
    same = seen.same(example)
    if same:
        return f"the same question as {same}"
    nearly = seen.nearly(example)
    if nearly:
        return f"nearly the same question as {nearly}"
    return f"the id {example.id} is taken" if seen.has_id(example) else ""


def _asked(example: Example) -> str:
    """The text that the answer follows: the prompt, or the last turn."""
    asked = example.prompt
    return asked if isinstance(asked, str) else asked[-1].content if asked else ""


CHECK = Check(
    name="clarity",
    label="clear and new",
    about="Whole, legible, of a fitting length, ending where an answer begins; not asked before, nor nearly.",
    needs_model=False,
    of=of,
)
