"""Prompts that are too long by far, told before they are read."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from llm_experts.bases.base import Base
from llm_experts.runtime.generation import TooLongError

LONG = 16
"""Characters for each token of the context: a text of more is looked at from its beginning first."""


def check_length(base: Base, texts: Sequence[str]) -> None:
    """Refuse what is many times too long by its beginning: to tokenise millions of characters would take seconds.

    Parameters
    ----------
    base : Base
    texts : sequence of str
        Parts of one prompt.

    Raises
    ------
    TooLongError
        If a beginning of it has twice the tokens that the base takes. What passes may still be too long.
    """
    tokenizer: Any = base.tokenizer
    whole, size = "\n".join(texts), LONG * base.context
    while size < len(whole):
        if len(tokenizer(whole[:size])["input_ids"]) > 2 * base.context:
            raise TooLongError(
                f"The prompt has {len(whole):,} characters, many more than the {base.context} tokens that {base.id} "
                "takes with the answer; shorten it."
            )
        size *= 4
