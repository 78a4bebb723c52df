"""Answers that no program can judge: equal to the reference or not, and how much of its text they share."""

from __future__ import annotations

import unicodedata

from llm_experts.data.example import Example
from llm_experts.families.family import Verdict

SCORES = ("chrf", "exact_match", "perplexity")
ABOUT_CHECK = "no checker: an answer is right if it equals the reference but for case, blanks and a full stop"


def check(example: Example, answer: str) -> Verdict:
    """Whether an answer is the reference, whatever its case, white space and last full stop."""
    same = plain(answer) == plain(example.completion)
    return Verdict(True) if same else Verdict(False, "it is not the text of the reference")


def reward(example: Example, answer: str) -> float:
    """ChrF of an answer with its reference (Popović 2015, sacrebleu's), as a share: 1 if they are equal."""
    from sacrebleu import sentence_chrf

    if not answer.strip():
        return 0.0
    return float(sentence_chrf(answer, [example.completion]).score) / 100


def plain(text: str) -> str:
    """A text without what does not matter in :func:`check`."""
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split()).rstrip(".").rstrip()
