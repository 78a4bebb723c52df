"""What each objective of the text experts bought on one task, and what it cost."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from reports.blocks import Pair
from reports.format import interval_text, signed
from reports.names import DISPARITY, HEADLINE, UTILITY
from reports.scenario import Scenario
from reports.stats.contrasts import Contrast
from reports.summary import Report


@dataclass(frozen=True)
class Question:
    """What the pairs of a block answer whose first method has a role; ``aims``: the metrics that it was made for."""

    title: str
    aims: tuple[str, ...]
    block: str
    role: str


QUESTIONS = (
    Question("Training an adapter", (UTILITY,), "text", "utility"),
    Question("The result objective", (DISPARITY,), "text", "result"),
    Question("The procedural objective", ("fair_proc@1",), "text", "procedural"),
    Question("Mixing text experts", ("final@1",), "text-mixtures", "mixture"),
    Question("Mixing both families", ("final@1",), "both", "mixture"),
    Question("Text against table", (UTILITY,), "both", "utility"),
)


@dataclass(frozen=True)
class Answer:
    """A question with the pairs that the task has, and its headline in words."""

    question: Question
    pairs: tuple[Pair, ...]
    sentence: str


def objectives(report: Report, scenario: Scenario) -> list[Answer]:
    """Questions that the task can answer; empty without text experts."""
    if not scenario.has_text:
        return []
    found = []
    for question in QUESTIONS:
        told = _pairs(report, question)
        pairs = tuple(pair for pair in told if any((*pair, m) in scenario.contrasts for m in HEADLINE))
        if pairs:
            found.append(Answer(question, pairs, _sentence(report, scenario, question, pairs[0])))
    return found


def _pairs(report: Report, question: Question) -> list[Pair]:
    roles = {method.id: method.role for method in report.methods}
    blocks = [block for block in report.questions if block.id == question.block]
    return [pair for block in blocks for pair in block.pairs if roles.get(pair[0]) == question.role]


def _sentence(report: Report, scenario: Scenario, question: Question, pair: Pair) -> str:
    """``LLM result expert against LLM result, λ = 0: result gap −0.031 [−0.051, −0.011] (better); beside it …``."""
    against = f"{report.label(pair[0])} against {report.label(pair[1])}"
    aim = _difference(scenario, pair, question.aims)
    rest = tuple(m for m in (UTILITY,) if m not in question.aims) or (DISPARITY, "fair_proc@1")
    return f"{against}: {aim}; beside it {_difference(scenario, pair, rest)}"


WORDS = {"utility@1": "utility", "fair_res@1": "result gap", "fair_proc@1": "procedural gap", "final@1": "final score"}


def _difference(scenario: Scenario, pair: Pair, metrics: Sequence[str]) -> str:
    return ", ".join(f"{WORDS[m]} {_words(scenario.contrasts.get((*pair, m)))}" for m in metrics)


def _words(contrast: Contrast | None) -> str:
    if contrast is None or not contrast.interval.n:
        return "not estimable"
    interval = contrast.interval
    return f"{signed(interval.mean)} {interval_text(interval.low, interval.high, 3)} ({contrast.verdict})".replace(
        "  ", " "
    )
