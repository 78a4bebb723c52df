"""Contamination: planted items are found, and the score of the others is theirs alone."""

from __future__ import annotations

from llm_experts.data.example import Example
from llm_experts.evaluation.contamination import contamination
from llm_experts.evaluation.registry import SCORES
from llm_experts.evaluation.score import Answered
from metrics.proportions import wilson


def item(number: int, said: str) -> Answered:
    words = " ".join(f"w{number}x{k}" for k in range(20))
    return Answered(Example(str(number), words, "yes"), (said,))


def test_planted_items_are_found_and_left_out() -> None:
    items = [item(k, "yes" if k < 10 else "no") for k in range(50)]
    nearly = Example("near", items[3].example.prompt + " and a little more", "yes")  # other prompt, same n-grams
    learnt = [*(one.example for one in items[:3]), nearly, Example("other", "something else", "yes")]
    found = contamination(learnt, items, [SCORES["exact_match"]])
    assert found.seen == ("0", "1", "2", "3") and found.same == 3 and found.share == 0.08
    assert (found.low, found.high) == wilson(4, 50)
    (row,) = found.clean
    assert (row.estimate, row.n) == (6 / 46, 46)
    assert "4 of 50 items (8.0%" in found.described()


def test_nothing_in_common_and_too_little_left() -> None:
    items = [item(k, "yes") for k in range(40)]
    assert (
        contamination([item(99, "").example], items, [SCORES["exact_match"]]).described().startswith("None of the 40")
    )
    found = contamination([one.example for one in items[:20]], items, [SCORES["exact_match"]])
    assert found.clean == () and "fewer than 30" in found.described()
