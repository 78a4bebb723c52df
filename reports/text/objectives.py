"""What each objective of the text experts bought on one task, and what it cost."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from reports.names import HEADLINE, method_name
from reports.render.format import interval_text, signed
from reports.stats.comparison import Comparison
from reports.summary import Scenario

Pair = tuple[str, str]


@dataclass(frozen=True)
class Question:
    """Pairs that answer one question; ``aims`` are the metrics that the first method was made for."""

    title: str
    aims: tuple[str, ...]
    pairs: tuple[Pair, ...]


QUESTIONS = (
    Question("Training an adapter", ("utility@1",), (("llm_utility", "llm_base"), ("llm_utility", "constant"))),
    Question(
        "The result objective", ("fair_res@1",), (("llm_result", "llm_result_lambda0"), ("llm_result", "llm_utility"))
    ),
    Question(
        "The procedural objective",
        ("fair_proc@1",),
        (("llm_procedural", "llm_procedural_lambda0"), ("llm_procedural", "llm_utility")),
    ),
    Question(
        "Mixing text experts",
        ("final@1",),
        tuple((m, "llm_best_single") for m in ("llm_mixture", "llm_bank", "llm_dispatch", "llm_svf_search")),
    ),
    Question(
        "Mixing both families",
        ("final@1",),
        (("cross_gate_dense", "cross_best_single"), ("cross_gate_dense", "mixture")),
    ),
    Question("Text against table", ("utility@1",), (("llm_utility", "utility"),)),
)


@dataclass(frozen=True)
class Answer:
    """A question with the pairs that the task has, and its headline in words."""

    question: Question
    pairs: tuple[Pair, ...]
    sentence: str


def objectives(scenario: Scenario) -> list[Answer]:
    """Questions that the task can answer; empty without text experts."""
    if not scenario.has_text:
        return []
    found = []
    for question in QUESTIONS:
        pairs = tuple(pair for pair in question.pairs if any((*pair, m) in scenario.comparisons for m in HEADLINE))
        if pairs:
            found.append(Answer(question, pairs, _sentence(scenario, question, pairs[0])))
    return found


def _sentence(scenario: Scenario, question: Question, pair: Pair) -> str:
    """``LLM result expert against LLM result, λ = 0: result gap −0.031 [−0.051, −0.011] (better); beside it …``."""
    against = f"{method_name(pair[0]).label} against {method_name(pair[1]).label}"
    aim = _difference(scenario, pair, question.aims)
    rest = tuple(m for m in ("utility@1",) if m not in question.aims) or ("fair_res@1", "fair_proc@1")
    return f"{against}: {aim}; beside it {_difference(scenario, pair, rest)}"


WORDS = {"utility@1": "utility", "fair_res@1": "result gap", "fair_proc@1": "procedural gap", "final@1": "final score"}


def _difference(scenario: Scenario, pair: Pair, metrics: Sequence[str]) -> str:
    return ", ".join(f"{WORDS[m]} {_words(scenario.comparisons.get((*pair, m)))}" for m in metrics)


def _words(comparison: Comparison | None) -> str:
    if comparison is None or not comparison.interval.n:
        return "not estimable"
    interval = comparison.interval
    return f"{signed(interval.mean)} {interval_text(interval.low, interval.high, 3)} ({comparison.verdict})".replace(
        "  ", " "
    )
