"""Messages as tokens: the base's own chat template, or a plain one where it has none.

The plain one is for bases that were never taught a conversation, such as nano: the system's text, then every turn as
``User: …`` or ``Assistant: …`` on a line of its own, and ``Assistant:`` for what comes next.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from llm_experts.bases.base import Base

ROLES = ("system", "user", "assistant")
PLAIN_STOP = "\nUser:"
MARK = "\ue000"
"""A character for private use, which stands where a content belongs."""


class ChatError(ValueError):
    """Messages that make no prompt; the text says which and why."""


def encode_chat(base: Base, messages: Sequence[Mapping[str, str]]) -> list[int]:
    """Token ids of a conversation, ready for the assistant's next turn.

    A content that spells out one of the base's special tokens is read as plain text: nobody speaks for another.

    Parameters
    ----------
    base : Base
    messages : sequence of mappings
        Each with ``role`` (system, user or assistant) and ``content``.

    Raises
    ------
    ChatError
        If there is no message, one has no such role or no text, or the base's template refuses them.
    """
    turns = [_checked(index, message) for index, message in enumerate(messages)]
    if not turns:
        raise ChatError("A chat needs at least one message.")
    if not has_template(base):
        return encode_prompt(base, plain_chat(turns))
    own = [turn["content"] for turn in turns]
    if not _names_special_tokens(base, own):
        return [int(i) for i in _templated(base.tokenizer, base.id, turns, tokenize=True)]
    mark = MARK
    while any(mark in content for content in own):
        mark += MARK
    marked = [{**turn, "content": f"{mark}{index}{mark}"} for index, turn in enumerate(turns)]
    parts = str(_templated(base.tokenizer, base.id, marked, tokenize=False)).split(mark)
    ids: list[int] = []
    for index, part in enumerate(parts):  # every second one is the number of a content
        ids += content_ids(base.tokenizer, own[int(part)]) if index % 2 else template_ids(base.tokenizer, part)
    return [int(i) for i in ids]


def around(tokenizer: Any, turns: int) -> list[str]:
    """What stands before, between and behind the contents of a conversation that the assistant is to go on with.

    Parameters
    ----------
    tokenizer : PreTrainedTokenizerFast
    turns : int
        Odd: the user's first, then in turn; the last is the user's.

    Returns
    -------
    list of turns + 1 str
        In the base's template, or in the plain one where it has none.

    Raises
    ------
    ChatError
        If the template refuses such a conversation, or leaves out or repeats a content.
    """
    marked = [{"role": ROLES[1 + index % 2], "content": f"{MARK}{index}{MARK}"} for index in range(turns)]
    plain = not getattr(tokenizer, "chat_template", None)
    name = getattr(tokenizer, "name_or_path", "") or "the base"
    parts = (plain_chat(marked) if plain else str(_templated(tokenizer, name, marked, tokenize=False))).split(MARK)
    if parts[1::2] != [str(index) for index in range(turns)]:
        raise ChatError(f"The chat template of {name} does not say every turn once; rows cannot be asked about in it.")
    return parts[::2]


def content_ids(tokenizer: Any, text: str) -> list[int]:
    """Tokens of what somebody says, in which special tokens are plain text."""
    return list(tokenizer(text, add_special_tokens=False, split_special_tokens=True)["input_ids"])


def template_ids(tokenizer: Any, text: str) -> list[int]:
    """Tokens of what a template says, special tokens included."""
    return list(tokenizer(text, add_special_tokens=False, split_special_tokens=False)["input_ids"])


def encode_prompt(base: Base, text: str) -> list[int]:
    """Token ids of a plain text; an empty one is the token that begins a text.

    Raises
    ------
    ChatError
        If the text is empty and the base has no such token.
    """
    tokenizer: Any = base.tokenizer
    ids = [int(i) for i in tokenizer(text)["input_ids"]]
    if ids:
        return ids
    for start in (tokenizer.bos_token_id, tokenizer.eos_token_id):
        if start is not None:
            return [int(start)]
    raise ChatError(f"The prompt is empty, and {base.id} has no token that begins a text; give a prompt.")


def plain_chat(turns: Sequence[Mapping[str, str]]) -> str:
    """A conversation as plain text, ending in ``Assistant:``."""
    lines = [
        turn["content"] + "\n" if turn["role"] == "system" else f"{turn['role'].capitalize()}: {turn['content']}"
        for turn in turns
    ]
    return "\n".join([*lines, "Assistant:"])


def chat_stops(base: Base) -> tuple[str, ...]:
    """Stop strings of a conversation: the user's next turn where the template is the plain one, else none."""
    return () if has_template(base) else (PLAIN_STOP,)


def has_template(base: Base) -> bool:
    """Whether the base was taught a form of conversation."""
    tokenizer: Any = base.tokenizer
    return bool(getattr(tokenizer, "chat_template", None))


def _names_special_tokens(base: Base, contents: Sequence[str]) -> bool:
    """Whether a content spells out a token with which a template tells turns apart."""
    tokenizer: Any = base.tokenizer
    return any(token in content for token in tokenizer.all_special_tokens for content in contents)


def _templated(tokenizer: Any, name: str, turns: Sequence[Mapping[str, str]], *, tokenize: bool) -> Any:
    """The conversation in the base's form, as text or ids."""
    from jinja2 import TemplateError

    try:
        return tokenizer.apply_chat_template(
            list(turns), add_generation_prompt=True, tokenize=tokenize, return_dict=False
        )
    except TemplateError as error:
        raise ChatError(f"The chat template of {name} refuses these messages: {error}.") from error


def _checked(index: int, message: Mapping[str, str]) -> dict[str, str]:
    role, content = message.get("role"), message.get("content")
    if role not in ROLES:
        raise ChatError(f"Message {index + 1} has the role {role!r}; roles are {', '.join(ROLES)}.")
    if not isinstance(content, str):
        raise ChatError(f"Message {index + 1} has no text in content.")
    return {"role": role, "content": content}
