"""What a check of items is."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from llm_experts.generation.draft import Draft
from llm_experts.generation.spec import DataSpec


@dataclass(frozen=True)
class Finding:
    """What a check says of one draft.

    Attributes
    ----------
    ok : bool
    value : float
        What was measured; nan where nothing is.
    reason : str
        Why not, in a few words; "" where it is taken.
    """

    ok: bool
    value: float = float("nan")
    reason: str = ""


@dataclass(frozen=True, kw_only=True)
class Check:
    """One check.

    Attributes
    ----------
    name, label, about : str
    needs_model : bool
        Whether it asks a model.
    of : callable
        ``of(drafts, spec, context) -> findings``, one for each draft; ``context`` holds what checks share (the model,
        what was accepted before, sets that must not be touched): :class:`llm_experts.generation.context.Context`.
    """

    name: str
    label: str
    about: str
    needs_model: bool
    of: Callable[[Sequence[Draft], DataSpec, Any], Sequence[Finding]]


Findings = Mapping[str, Finding]
"""By name of the check."""
