"""What items need so that a score can be computed of them."""

from __future__ import annotations

from collections.abc import Callable

from llm_experts.evaluation.score import Answered
from llm_experts.evaluation.texts import json_in


def needs_reference(item: Answered) -> str:
    """Why an item without a completion cannot be compared."""
    return "" if item.example.completion.strip() else "it has no completion to compare with"


def needs_verdict(item: Answered) -> str:
    """Why an item that no checker judges cannot be counted."""
    return "" if item.verdicts else "no checker judges it: name its family"


def needs_json(item: Answered) -> str:
    """Why an item whose completion is no JSON cannot be compared as JSON."""
    try:
        json_in(item.example.completion)
    except ValueError as error:
        return f"its completion is no JSON ({error})"
    return ""


def needs_likelihood(item: Answered) -> str:
    """Why an item whose completion was not read cannot be counted."""
    return "" if item.tokens else "it has no completion whose likelihood can be computed"


def needs_fact(name: str) -> Callable[[Answered], str]:
    """Why an item cannot be counted that no checker judges, or that lacks a fact such as ``query``."""

    def why(item: Answered) -> str:
        return needs_verdict(item) or ("" if name in item.example.facts else f"its facts hold no {name!r}")

    return why
