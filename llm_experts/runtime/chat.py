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


class ChatError(ValueError):
    """Messages that make no prompt; the text says which and why."""


def encode_chat(base: Base, messages: Sequence[Mapping[str, str]]) -> list[int]:
    """Token ids of a conversation, ready for the assistant's next turn.

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
    from jinja2 import TemplateError

    tokenizer: Any = base.tokenizer
    try:
        ids = tokenizer.apply_chat_template(turns, add_generation_prompt=True, tokenize=True, return_dict=False)
    except TemplateError as error:
        raise ChatError(f"The chat template of {base.id} refuses these messages: {error}.") from error
    return [int(i) for i in ids]


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


def _checked(index: int, message: Mapping[str, str]) -> dict[str, str]:
    role, content = message.get("role"), message.get("content")
    if role not in ROLES:
        raise ChatError(f"Message {index + 1} has the role {role!r}; roles are {', '.join(ROLES)}.")
    if not isinstance(content, str):
        raise ChatError(f"Message {index + 1} has no text in content.")
    return {"role": role, "content": content}
