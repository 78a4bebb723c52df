"""Items as tokens, and which of them are learnt: those of the answer and the token that ends it, never the prompt's.

A prompt is written exactly as it is for a generated answer, and the answer's tokens are those that follow it: what is
learnt and what is judged are the same tokens.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from llm_experts.bases.base import Base
from llm_experts.data.error import DataError
from llm_experts.data.example import Example, Message
from llm_experts.prompts.chat import PLAIN_STOP, ChatError, encode_chat, encode_prompt, has_template

Style = Literal["auto", "chat", "plain", "instruct"]
"""How a prompt is written: the base's conversation, the text as it stands, or under headings (spec 001).

``auto`` is ``chat`` for conversations and for bases with a chat template, else ``plain``.
"""
STYLES: tuple[Style, ...] = ("auto", "chat", "plain", "instruct")
MARK = "\ue000"
"""A character for private use, which stands where an answer belongs."""


class AnswerTooLongError(DataError):
    """An answer that does not fit beside its prompt."""


@dataclass(frozen=True)
class Encoded:
    """Tokens of one item.

    Attributes
    ----------
    ids : tuple of int
    learnt : tuple of bool
        Whether a token is part of the answer (its end included).
    cut : int
        Tokens of the prompt that were left out because the item is too long.
    """

    ids: tuple[int, ...]
    learnt: tuple[bool, ...]
    cut: int = 0

    def __len__(self) -> int:
        return len(self.ids)


def encode(
    example: Example,
    base: Base,
    *,
    max_length: int,
    style: Style = "auto",
    completion: str | None = None,
    turns: Literal["last", "all"] = "last",
) -> Encoded:
    """Tokens of an item, prompt and answer.

    Where both are longer than ``max_length`` the beginning of the prompt is left out (a token that begins every text
    stays), so that all of the answer is learnt.

    Parameters
    ----------
    example : Example
    base : Base
    max_length : int
        Most tokens, also limited by the base's context.
    style : str
        See :data:`Style`.
    completion : str, optional
        Another answer than the item's own, such as the rejected one of a pair.
    turns : str
        ``all``: earlier turns of the assistant are learnt too.

    Raises
    ------
    DataError
        If the answer alone does not fit, or the base's chat template refuses the messages: which item, and what to do.
    """
    prompt = prompt_ids(example, base, style)
    learnt = _earlier_turns(example, base, prompt, style) if turns == "all" else [False] * len(prompt)
    answer = answer_ids(example, base, example.completion if completion is None else completion, style)
    return _fitted(example, base, (prompt, learnt), answer, max_length)


def encode_answers(
    example: Example, base: Base, answers: Sequence[str], *, max_length: int, style: Style = "auto"
) -> list[Encoded]:
    """Tokens of an item with each of several answers, as :func:`encode` has them; its prompt is written once."""
    prompt = prompt_ids(example, base, style)
    learnt = [False] * len(prompt)
    return [
        _fitted(example, base, (prompt, learnt), answer_ids(example, base, answer, style), max_length)
        for answer in answers
    ]


def _fitted(
    example: Example, base: Base, beginning: tuple[list[int], list[bool]], answer: list[int], max_length: int
) -> Encoded:
    """Prompt (with what of it is learnt) and answer, the prompt as much of it as there is room for."""
    room = min(max_length, base.context)
    prompt, learnt = list(beginning[0]), list(beginning[1])
    if len(answer) >= room:
        raise AnswerTooLongError(
            f"Item {example.id!r}: its answer has {len(answer)} tokens, and {room - 1} fit beside the prompt "
            f"(max_length {max_length}, context of {base.id} {base.context}). Raise max_length, shorten the answer, or "
            "leave the item out."
        )
    begin = 1 if prompt[0] == base.tokenizer.bos_token_id and len(answer) + 1 < room else 0
    left_out = slice(begin, begin + max(0, len(prompt) + len(answer) - room))
    del prompt[left_out], learnt[left_out]
    learnt[0] = False  # nothing comes before it
    return Encoded(tuple(prompt + answer), tuple(learnt + [True] * len(answer)), left_out.stop - left_out.start)


def prompt_ids(example: Example, base: Base, style: Style = "auto") -> list[int]:
    """Tokens of an item's prompt, ready for its answer: what a generator gets.

    Raises
    ------
    DataError
        If the base's chat template refuses the messages, or a conversation is asked for under headings.
    """
    how = style_of(example, base, style)
    try:
        if how == "chat":
            return encode_chat(base, [turn.as_mapping() for turn in _conversation(example)])
        return encode_prompt(base, prompt_text(example, how))
    except ChatError as error:
        raise DataError(
            f"Item {example.id!r} makes no prompt for {base.id}: {error} Correct the messages, or choose another style "
            "(plain or instruct) where the prompt is a text."
        ) from error


def answer_ids(example: Example, base: Base, completion: str, style: Style = "auto") -> list[int]:
    """Tokens of an answer after the prompt of its item, the token that ends it included.

    After a text that does not end in white space the answer begins with a space.
    """
    how = style_of(example, base, style)
    if how == "chat" and has_template(base):
        return _content_ids(base, completion) + _tail(base)
    asked = "Assistant:" if how == "chat" else prompt_text(example, how)
    apart = bool(asked) and not asked[-1].isspace() and not completion[:1].isspace()
    return [*_content_ids(base, " " + completion if apart else completion), _end(base)]


def stops_of(example: Example, base: Base, style: Style = "auto") -> tuple[str, ...]:
    """Texts that end a generated answer besides the base's own end token."""
    how = style_of(example, base, style)
    if how == "chat":
        return () if has_template(base) else (PLAIN_STOP,)
    return ("\n### ",) if how == "instruct" else ()


def all_stops(examples: Iterable[Example], base: Base, style: Style = "auto") -> tuple[str, ...]:
    """Texts that end a generated answer to any of the items, each once, sorted."""
    return tuple(sorted({mark for example in examples for mark in stops_of(example, base, style)}))


def style_of(example: Example, base: Base, style: Style) -> Style:
    """The style that ``auto`` means for an item.

    Raises
    ------
    DataError
        If there is no such style.
    """
    if style not in STYLES:
        raise DataError(f"There is no style {style!r}; styles are {', '.join(STYLES)}.")
    if style != "auto":
        return style
    return "chat" if has_template(base) or not isinstance(example.prompt, str) else "plain"


def prompt_text(example: Example, style: Style) -> str:
    """The prompt of an item as text, in the style plain or instruct.

    Raises
    ------
    DataError
        If the prompt is a conversation of several turns.
    """
    asked, system = example.prompt, ""
    if not isinstance(asked, str):
        turns = list(asked)
        system = turns.pop(0).content + "\n\n" if turns and turns[0].role == "system" else ""
        if len(turns) != 1:
            raise DataError(
                f"Item {example.id!r} is a conversation of {len(turns)} turns, which the style {style} cannot write. "
                "Choose the style chat."
            )
        asked = turns[0].content
    if style == "plain":
        return system + asked
    facts = example.facts
    if isinstance(example.prompt, str) and facts.get("input") and isinstance(facts.get("instruction"), str):
        asked = f"{facts['instruction']}\n\n### Input:\n{facts['input']}"
    return f"{system}### Instruction:\n{asked}\n\n### Response:\n"


def _conversation(example: Example) -> tuple[Message, ...]:
    return (Message("user", example.prompt),) if isinstance(example.prompt, str) else example.prompt


def _content_ids(base: Base, text: str) -> list[int]:
    """Tokens of an answer's text that follows other text: no token for a beginning, none spelt out."""
    tokenizer: Any = base.tokenizer
    plain = any(token in text for token in tokenizer.all_special_tokens)
    ids = tokenizer(text, add_special_tokens=False, split_special_tokens=plain)["input_ids"]
    if ids and str(tokenizer.convert_ids_to_tokens(int(ids[0]))).startswith("\u2581") and not text.startswith(" "):
        before = tokenizer("\n", add_special_tokens=False)["input_ids"]  # a tokenizer that writes a space before texts
        whole = tokenizer("\n" + text, add_special_tokens=False, split_special_tokens=plain)["input_ids"]
        if whole[: len(before)] == before:
            ids = whole[len(before) :]
    return [int(i) for i in ids]


def _tail(base: Base) -> list[int]:
    """What the base's template writes after an answer, up to the token that ends it."""
    tokenizer: Any = base.tokenizer
    messages = [{"role": "user", "content": "?"}, {"role": "assistant", "content": MARK}]
    written = str(tokenizer.apply_chat_template(messages, tokenize=False))
    ids = tokenizer(written.rpartition(MARK)[2], add_special_tokens=False)["input_ids"]
    last = base.end_tokens
    found: list[int] = []
    for i in ids:
        found.append(int(i))
        if int(i) in last:
            return found
    return [*found, _end(base)]


def _end(base: Base) -> int:
    end = base.tokenizer.eos_token_id
    if end is None:
        raise DataError(
            f"{base.id} has no token that ends a text, so that an answer could not end. Choose a base whose tokenizer "
            "has an eos token."
        )
    return int(end)


def _earlier_turns(example: Example, base: Base, prompt: list[int], style: Style) -> list[bool]:
    """Which tokens of a prompt are earlier answers."""
    learnt = [False] * len(prompt)
    turns = _conversation(example)
    for index, turn in enumerate(turns):
        if turn.role != "assistant":
            continue
        part = Example(example.id, turns[:index])
        before, answer = prompt_ids(part, base, style), answer_ids(part, base, turn.content, style)
        if not has_template(base):
            answer = answer[:-1]  # the plain form ends a turn by the next line
        start, stop = len(before), len(before) + len(answer)
        if prompt[:stop] != before + answer:
            raise DataError(
                f"Item {example.id!r}: the form of conversation of {base.id} writes an earlier answer otherwise than a "
                "last one, so that it cannot be learnt as it would be generated. Learn the last turns only."
            )
        learnt[start:stop] = [True] * len(answer)
    return learnt
