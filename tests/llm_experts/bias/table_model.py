"""A language model small enough to be worked out by hand: word probabilities given the word before."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence

import torch

from llm_experts.bias.scorer import Scored


class Bigrams:
    """P(word | word before) from a table; words that are not in it have the probability ``other``.

    ``table`` maps (before, word) or word to a probability; before the first word stands "". Tokens are words with the
    blanks in front of them; punctuation belongs to its word.
    """

    def __init__(self, table: Mapping[tuple[str, str] | str, float], other: float = 0.1) -> None:
        self.table, self.other, self.calls = dict(table), other, 0

    def token_log_probs(self, texts: Sequence[str], start: Sequence[int] | None = None) -> list[Scored]:
        self.calls += len(texts)
        return [self._scored(text, at) for text, at in zip(texts, start or [0] * len(texts), strict=True)]

    def _scored(self, text: str, at: int) -> Scored:
        found, before = [], ""
        for match in re.finditer(r"\s*\S+", text):
            word = match.group().strip()
            p = self.table.get((before, word), self.table.get(word, self.other))
            if match.end() > at:
                found.append((math.log(p), match.span()))
            before = word
        return Scored(torch.tensor([p for p, _ in found], dtype=torch.float64), tuple(span for _, span in found))
