"""Rows of a task as packed token sequences: the row once, behind it the options in both orders.

A prompt is the row's text, ``Question: … Options:`` and then, twice, the options and ``Answer:`` — first with the
positive word in front (order A), then with the negative one (order B). Order B does not see order A and its positions
start where order A's do, so both give exactly what two separate prompts would, for little more than one.

Ahead of the row may stand answered examples, and all of it may be turns of a chat (:class:`Asking`): what every prompt
begins with is its *lead*, and what stands behind the options belongs to the tail.

Tokens are *defined* piece by piece: the beginning-of-text token if the tokenizer writes one, each column's phrase with
what stands between it and the phrase before, the question, order A, order B. Each piece is tokenised as it reads behind
a word. A byte-level tokenizer gives the same for the whole text, unless marks meet at the seam of two pieces (`);`); in
any case a column changes its own tokens only.
"""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from llm_experts.prompts.asking import PLAIN, Asking
from llm_experts.prompts.batches import length_batches
from llm_experts.prompts.chat import ChatError, around, content_ids, template_ids
from llm_experts.prompts.pieces import ANCHOR, Pieces, PromptError
from tasks.templates import BETWEEN_SHOTS, CHAT_OPTIONS, OPTIONS, QUESTION, format_of
from tasks.text import column_phrases, render, row_of

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

    from tasks.card import TextStyle
    from tasks.task import TaskView

__all__ = ["Packed", "PromptError", "Prompts", "packed_batches", "pad"]

ROW, ORDER_A, ORDER_B, PADDING = 0, 1, 2, -1


@dataclass(frozen=True, eq=False)
class Packed:
    """n prompts, right padded.

    Attributes
    ----------
    ids : [n, T] int64
        Tokens; 0 where padded.
    positions : [n, T] int64
        Position of each token; both orders start at the same one.
    segment : [n, T] int8
        0 what both orders share (row and question), 1 order A, 2 order B, -1 padding.
    answers : [n, 2] int64
        Index of the last token of order A and of order B.
    columns : [n, T] int16
        Index of the view's column that a token belongs to, -1 none.
    """

    ids: Tensor
    positions: Tensor
    segment: Tensor
    answers: Tensor
    columns: Tensor

    def __len__(self) -> int:
        """Number of prompts."""
        return len(self.ids)

    @property
    def lengths(self) -> Tensor:
        """[n] int64: tokens of each prompt without padding."""
        return self.answers[:, 1] + 1

    def select(self, index: Tensor) -> Packed:
        """Prompts at positions ``index``, or where it is true; as wide as before, see :meth:`trimmed`."""
        return dataclasses.replace(self, **{name: tensor[index] for name, tensor in self._tensors()})

    def trimmed(self) -> Packed:
        """Without padding that all prompts have in common."""
        width = int(self.lengths.max()) if len(self) else 0
        cut = {name: tensor[:, :width] for name, tensor in self._tensors() if name != "answers"}
        return dataclasses.replace(self, **cut)

    def to(self, device: torch.device | str | None) -> Packed:
        """The same prompts on a device."""
        return dataclasses.replace(self, **{name: tensor.to(device) for name, tensor in self._tensors()})

    def keys(self) -> list[bytes]:
        """One digest of 16 bytes per prompt, of its tokens alone: equal prompts have equal keys, however padded."""
        ids = self.ids.cpu().numpy().astype(np.int32)
        lengths = self.lengths.tolist()
        return [hashlib.blake2b(row[:n], digest_size=16).digest() for row, n in zip(ids, lengths, strict=True)]

    def _tensors(self) -> list[tuple[str, Tensor]]:
        return [(field.name, getattr(self, field.name)) for field in dataclasses.fields(self)]


def pad(parts: Sequence[Packed]) -> Packed:
    """Prompts one part after another, padded to the widest."""
    width = max(part.ids.shape[1] for part in parts)
    fill = {"ids": 0, "positions": 0, "segment": PADDING, "columns": -1}

    def joined(name: str) -> Tensor:
        tensors = [getattr(part, name) for part in parts]
        if name == "answers":
            return torch.cat(tensors)
        pads = [torch.nn.functional.pad(t, (0, width - t.shape[1]), value=fill[name]) for t in tensors]
        return torch.cat(pads)

    return Packed(**{field.name: joined(field.name) for field in dataclasses.fields(Packed)})


def packed_batches(packed: Packed, tokens: int) -> Iterator[Tensor]:
    """Positions of all prompts in batches of like length, the longest first.

    A batch of n prompts of at most T tokens has n · T ≤ ``tokens`` (one prompt may be longer alone); select and trim:
    ``packed.select(batch).trimmed()``.
    """
    lengths = packed.lengths.cpu()
    order = torch.argsort(lengths, descending=True, stable=True)
    return (order[batch] for batch in length_batches(lengths[order].tolist(), tokens))


class Prompts:
    """Writes rows of a task as prompts for one tokenizer, in one template; phrases are tokenised once.

    Parameters
    ----------
    tokenizer : PreTrainedTokenizerFast
    style : TextStyle
        The card's ``[text]``: question and answer words.
    template : {"sentence", "list", "record"}
    context : int
        Most tokens of a prompt with one order.
    asking : Asking
        In a chat or plainly, and with which answered examples.

    Attributes
    ----------
    lead_tokens : int
        How many tokens all prompts begin with.

    Raises
    ------
    PromptError
        If the card has no question, an answer word is not a single token, or the tokenizer is not a fast one.
    DataError
        If there is no such template.
    """

    def __init__(
        self,
        tokenizer: PreTrainedTokenizerFast,
        style: TextStyle,
        template: str = "sentence",
        *,
        context: int,
        asking: Asking = PLAIN,
    ) -> None:
        if not style.question.strip():
            raise PromptError(
                "The data card asks no question, so rows of it cannot be scored as text. Add to its [text] "
                'a line such as question = "Will the applicant repay the loan?".'
            )
        self.style, self.template, self.context, self.asking = style, template, context, asking
        self._tokenizer, self._format = tokenizer, format_of(template)
        self._pieces = Pieces(tokenizer)
        self._question = self._format.end + self._format.ask + QUESTION.format(question=style.question.strip())
        words, form = (style.positive, style.negative), CHAT_OPTIONS if asking.chat else OPTIONS
        self._options = [form.format(first=first, second=second) for first, second in (words, words[::-1])]
        self._before, self._behind = self._turns() if asking.chat else ([], "")
        self._lead = self._beginning()
        self.lead_tokens = len(self._lead)
        numbers = self._pieces.number([self._question, *self._options]).tolist()
        question, *tails = (self._pieces.tokens(number) for number in numbers)
        close = np.array(template_ids(tokenizer, self._behind) if asking.chat else [], dtype=np.int64)
        self._fixed = [question, *(np.concatenate([tail, close]) for tail in tails)]
        self.answer_ids = self._answers()

    def pack(self, view: TaskView, rows: Tensor, keep: Tensor | None = None) -> Packed:
        """Prompts of rows [r]; ``keep`` [r, columns] bool, a column not kept is written as unknown.

        Raises
        ------
        PromptError
            If a row is longer than the context.
        DataError
            If ``keep`` has another shape.
        """
        spoken = self._spoken(view, rows, keep)
        question, *tails = self._fixed
        shared = self._pieces.sizes(spoken).sum(1) + len(self._lead) + len(question)
        self._check(shared + max(map(len, tails)), rows)
        ends = np.cumsum([shared, *(np.full(len(shared), len(tail)) for tail in tails)], 0)  # [3, r]
        token = np.arange(int(ends[-1].max(initial=0)))[None]
        segment = np.full((len(rows), token.shape[1]), PADDING, dtype=np.int8)
        ids, columns = np.zeros(segment.shape, dtype=np.int64), np.full(segment.shape, -1, dtype=np.int16)
        segment[token < ends[2][:, None]] = ORDER_B
        segment[token < ends[1][:, None]] = ORDER_A
        segment[token < ends[0][:, None]] = ROW
        ids[:, : len(self._lead)] = self._lead
        spans = (token >= len(self._lead)) & (token < ends[0][:, None] - len(question))
        ids[spans], columns[spans] = self._pieces.joined(spoken)
        for piece, end in zip((question, *tails), ends, strict=True):
            ids[np.arange(len(rows))[:, None], end[:, None] - len(piece) + np.arange(len(piece))] = piece
        restart = np.where(segment == ORDER_B, len(tails[0]), 0)
        positions = np.where(segment == PADDING, 0, token - restart)
        arrays = (ids, positions, segment, ends[1:].T - 1, columns)
        return Packed(*(torch.from_numpy(np.ascontiguousarray(array)) for array in arrays))

    def text_of(self, view: TaskView, rows: Tensor, keep: Tensor | None = None, order: int = 0) -> list[str]:
        """Prompts of rows [r] as a person reads them, with the options in order A (0) or B (1)."""
        asked = self._question.removeprefix(self._format.end) + self._options[order] + self._behind
        lead = self._shown()
        return [lead + written.text + asked for written in render(view, rows, keep, self.template)]

    def _spoken(self, view: TaskView, rows: Tensor, keep: Tensor | None) -> np.ndarray:
        """[r, columns] number of the phrase that a row says of each column."""
        spoken = []
        for index, (texts, codes) in enumerate(column_phrases(view, rows, keep, self.template)):
            between = self._format.between if index else ""
            used, own = np.unique(codes, return_inverse=True)
            phrases = [between + texts[code] for code in used.tolist()]
            spoken.append(self._pieces.number(phrases, len(between), first=not index)[own])
        return np.stack(spoken, 1)

    def _turns(self) -> tuple[list[str], str]:
        """What the chat template says before each content, and behind the last."""
        try:
            *before, behind = around(self._tokenizer, 2 * len(self.asking.shots) + 1)
        except ChatError as error:
            raise PromptError(f"{error} Ask plainly (--prompt plain), or take a base for chats.") from error
        return before, behind

    def _said(self) -> list[str]:
        """What is said ahead of the row: each example's row with the question, and its answer.

        Examples take turns in the order of the options, so that the word that stands first is no hint.
        """
        said = []
        for number, shot in enumerate(self.asking.shots):
            row = row_of(shot.cells, self.style.subject, self.template).removesuffix(self._format.end)
            said += [row + self._question + self._options[number % 2], self._word(shot.answer)]
        return said

    def _word(self, answer: int) -> str:
        """An answer as it follows the options: behind a blank, unless a template has made room for it."""
        word = self.style.positive if answer else self.style.negative
        return word if self.asking.chat and self._behind[-1:] in ("", "\n", " ", ">") else f" {word}"

    def _beginning(self) -> np.ndarray:
        """Tokens that every prompt begins with: of the tokenizer or the chat template, and of the examples."""
        said = self._said()
        if self.asking.chat:
            parts = [template_ids(self._tokenizer, self._before[0])]
            for text, before in zip(said, self._before[1:], strict=True):
                parts += [content_ids(self._tokenizer, text), template_ids(self._tokenizer, before)]
        else:
            ends = ["", BETWEEN_SHOTS] * len(self.asking.shots)
            text = "".join(part + end for part, end in zip(said, ends, strict=True))
            parts = [self._start(), self._before_a_word(text) if text else []]
        return np.array([token for part in parts for token in part], dtype=np.int64)

    def _before_a_word(self, text: str) -> list[int]:
        """Tokens of a text as it reads ahead of a word: line ends are cut as they are between examples."""
        both, word = content_ids(self._tokenizer, text + ANCHOR), content_ids(self._tokenizer, ANCHOR)
        return both[: -len(word)] if both[-len(word) :] == word else content_ids(self._tokenizer, text)

    def _shown(self) -> str:
        """The lead as text; what the tokenizer writes before every text is left out."""
        said = self._said()
        if self.asking.chat:
            pairs = zip(said, self._before[1:], strict=True)
            return self._before[0] + "".join(text + before for text, before in pairs)
        return "".join(part + (BETWEEN_SHOTS if index % 2 else "") for index, part in enumerate(said))

    def _start(self) -> list[int]:
        """Tokens that the tokenizer writes before every text."""
        plain = self._tokenizer(ANCHOR, add_special_tokens=False)["input_ids"]
        whole = self._tokenizer(ANCHOR)["input_ids"]
        start = next(i for i in range(len(whole)) if whole[i : i + len(plain)] == plain)
        return list(whole[:start])

    def _answers(self) -> tuple[int, int]:
        """Tokens of the words for no and yes."""
        words = (self.style.negative, self.style.positive)
        found = []
        for answer, word in enumerate(words):
            ids = self._answer_tokens(self._word(answer))
            if len(ids) != 1:
                tokens = ", ".join(repr(self._tokenizer.decode([token])) for token in ids)
                raise PromptError(
                    f"The answer word {word!r} is {len(ids)} tokens for this base ({tokens}), and answers of "
                    "several tokens are not scored. Set positive and negative in the card's [text] to words that are "
                    "single tokens, such as yes and no."
                )
            found += ids
        if found[0] == found[1]:
            raise PromptError(
                f"The answer words {words[0]!r} and {words[1]!r} are the same token for this base. "
                "Set positive and negative in the card's [text] to two different words."
            )
        return found[0], found[1]

    def _answer_tokens(self, text: str) -> list[int]:
        """Tokens of an answer: behind a blank as behind a word, else as what begins a turn."""
        if not text.startswith(" "):
            return content_ids(self._tokenizer, text)
        return list(self._pieces.tokens(int(self._pieces.number([text])[0])).tolist())

    def _check(self, lengths: np.ndarray, rows: Tensor) -> None:
        if lengths.max(initial=0) <= self.context:
            return
        longest = int(lengths.argmax())
        raise PromptError(
            f"Row {int(rows[longest])} is {int(lengths[longest])} tokens long as text (template {self.template}), the "
            f"base reads {self.context} at most; {int((lengths > self.context).sum())} of {len(lengths)} rows are too "
            f"long{self._lead_words()}. "
            "Use fewer columns, the template record, shorter texts in the card, or a base with a longer context."
        )

    def _lead_words(self) -> str:
        return f" (the {len(self.asking.shots)} examples take {self.lead_tokens} of them)" if self.asking.shots else ""
