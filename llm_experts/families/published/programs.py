"""Code in an answer, and the tests that it has to pass."""

from __future__ import annotations

import re

from llm_experts.families.family import Verdict
from llm_experts.families.sandbox import run_python
from llm_experts.families.shared.answers import FENCE

SECONDS, MEMORY_MB = 5.0, 512


def code_in(answer: str) -> str:
    """The code of an answer: that of its first Markdown fence, else all of it; up to ``[DONE]``."""
    fence = FENCE.search(answer)
    return (fence.group(1) if fence else answer).split("[DONE]")[0]


def passes(program: str) -> Verdict:
    """Whether a program, tests included, comes to its end in the sandbox.

    Raises
    ------
    SandboxError
        If programs cannot be contained on this machine.
    """
    outcome = run_python(program, seconds=SECONDS, memory_mb=MEMORY_MB)
    return Verdict(True) if outcome.ok else Verdict(False, outcome.reason)


def defines(code: str, name: str) -> bool:
    """Whether code defines a function of this name at its top level."""
    return re.search(rf"^(?:async )?def {re.escape(name)}\b", code, re.M) is not None
