"""Pieces of text as tokens, each different piece tokenised once."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

ANCHOR = "a"
"""A piece is tokenised behind this word, and the word's own tokens are cut off."""


class PromptError(ValueError):
    """Rows that cannot be asked about as text; the text says what to do."""


class Pieces:
    """A store of tokenised pieces, which go by numbers.

    A piece gets the tokens that it has behind a word: of " yes" that is the one token of the blank and the word, also
    for tokenizers that put a mark before every text. The piece that a text begins with is tokenised alone. A piece that
    spells out one of the base's special tokens is read as plain text: a value cannot end a turn.

    Parameters
    ----------
    tokenizer : PreTrainedTokenizerFast

    Raises
    ------
    PromptError
        If the tokenizer is not a fast one, which tells the characters of each token.
    """

    def __init__(self, tokenizer: PreTrainedTokenizerFast) -> None:
        if not tokenizer.is_fast:
            raise PromptError(
                f"{type(tokenizer).__name__} does not tell which characters a token has; load the base with its "
                "fast tokenizer (a tokenizer.json)."
            )
        self._tokenizer = tokenizer
        self._numbers: dict[str, dict[str, int]] = {"": {}, ANCHOR: {}}  # by what stands before
        self._ids, self._inside = np.empty(0, dtype=np.int64), np.empty(0, dtype=bool)
        self._ends = np.zeros(1, dtype=np.int64)  # piece i has tokens ends[i] to ends[i + 1]

    def number(self, texts: Sequence[str], between: int = 0, *, first: bool = False) -> np.ndarray:
        """[n] int64 numbers of pieces.

        Parameters
        ----------
        texts : sequence of str
        between : int
            Characters at the start of each that only stand between phrases.
        first : bool
            Whether the pieces begin a text.

        Raises
        ------
        PromptError
            If the tokenizer joins a piece with the word before it.
        """
        anchor = "" if first else ANCHOR
        known = self._numbers[anchor]
        new = [text for text in dict.fromkeys(texts) if text not in known]
        if new:
            self._add(new, anchor, between)
            start = len(self._ends) - 1 - len(new)
            known.update({text: start + index for index, text in enumerate(new)})
        return np.array([known[text] for text in texts], dtype=np.int64)

    def sizes(self, numbers: np.ndarray) -> np.ndarray:
        """Tokens of each piece, in the shape of ``numbers``."""
        sizes: np.ndarray = self._ends[numbers + 1] - self._ends[numbers]
        return sizes

    def tokens(self, number: int) -> np.ndarray:
        """[t] int64 tokens of one piece."""
        return self._ids[self._ends[number] : self._ends[number + 1]]

    def joined(self, numbers: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Tokens of rows of pieces, all rows one after another.

        Parameters
        ----------
        numbers : [r, c] int64

        Returns
        -------
        ids : [t] int64
        columns : [t] int16
            Which of the c pieces of its row a token belongs to; -1 if it only stands between phrases.
        """
        flat = numbers.ravel()
        count = self.sizes(flat)
        index = np.repeat(self._ends[flat] - (np.cumsum(count) - count), count)
        index += np.arange(len(index))
        owner = np.repeat(np.tile(np.arange(numbers.shape[1], dtype=np.int16), len(numbers)), count)
        owner[~self._inside[index]] = -1
        return self._ids[index], owner

    def _add(self, texts: list[str], anchor: str, between: int) -> None:
        encoded = self._tokenizer(
            [anchor + text for text in texts],
            add_special_tokens=False,
            split_special_tokens=True,
            return_attention_mask=False,
            return_token_type_ids=False,
        )
        encodings = encoded.encodings or []
        count = np.array([len(encoding) for encoding in encodings], dtype=np.int64)
        total = int(count.sum())
        ids = np.fromiter(chain.from_iterable(encoded["input_ids"]), dtype=np.int64, count=total)
        pairs = chain.from_iterable(chain.from_iterable(encoding.offsets for encoding in encodings))
        start, stop = np.fromiter(pairs, dtype=np.int64, count=2 * total).reshape(-1, 2).T
        owner = np.repeat(np.arange(len(texts)), count)
        own = start >= len(anchor)
        across = ~own & (stop > len(anchor))
        if across.any():
            raise PromptError(
                f"The tokenizer joins {texts[owner[across.argmax()]]!r} with the word before it, so a row cannot be "
                "tokenised column by column. Choose a base whose tokenizer keeps words apart."
            )
        self._ids = np.concatenate([self._ids, ids[own]])
        self._inside = np.concatenate([self._inside, stop[own] > len(anchor) + between])
        ends = self._ends[-1] + np.cumsum(np.bincount(owner[own], minlength=len(texts)))
        self._ends = np.concatenate([self._ends, ends])
