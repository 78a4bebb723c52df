"""Several answers to one prompt in one row: the prompt is read once for all of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from llm_experts.bases.base import Base
from llm_experts.data.encoding import Style, encode_answers
from llm_experts.data.example import Example
from llm_experts.training.sequences.batch import SHARED, Row

ANSWER_TOKENS = 512
"""Tokens of the answers in a row, unless a single one has more: attention costs the square."""


@dataclass(frozen=True)
class AnswerRows:
    """The answers of one item as rows.

    Attributes
    ----------
    rows : tuple of Row
    places : tuple of (int, int)
        Of every answer: its row, and the number of the text in it.
    """

    rows: tuple[Row, ...]
    places: tuple[tuple[int, int], ...]

    @property
    def lengths(self) -> list[int]:
        """Tokens of every answer with its prompt."""
        return [sum(number in (SHARED, text) for number in self.rows[row].segments) for row, text in self.places]


def answer_rows(
    example: Example, base: Base, answers: Sequence[str], *, max_length: int, style: Style = "auto"
) -> AnswerRows:
    """The answers of an item, those that leave as much of its prompt together.

    Raises
    ------
    DataError
        If an answer does not fit (:func:`llm_experts.data.encoding.encode`).
    """
    told: list[tuple[tuple[int, ...], list[tuple[int, ...]]]] = []
    places = []
    for found in encode_answers(example, base, answers, max_length=max_length, style=style):
        begin = found.learnt.index(True)
        prompt, answer = found.ids[:begin], found.ids[begin:]
        row = next((at for at, held in enumerate(told) if held[0] == prompt and _fits(held[1], answer)), len(told))
        if row == len(told):
            told.append((prompt, []))
        places.append((row, len(told[row][1])))
        told[row][1].append(answer)
    return AnswerRows(tuple(Row.branching(*held) for held in told), tuple(places))


def _fits(held: Sequence[Sequence[int]], answer: Sequence[int]) -> bool:
    return sum(map(len, held)) + len(answer) <= ANSWER_TOKENS


def text_sums(values: Tensor, segments: Tensor, texts: int) -> Tensor:
    """[..., b, texts] sums of a batch's values [..., b, t] over the tokens of each text of a row."""
    number = torch.arange(texts, device=segments.device)
    own = segments[..., None, :] == number[:, None]
    return (values[..., None, :] * own).sum(-1)
