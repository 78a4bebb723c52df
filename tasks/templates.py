"""The ways to write a row and to ask about it: words alone, so that a plan can be hashed without a model library."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from tasks.card import DataError

UNKNOWN = "unknown"
QUESTION = "Question: {question} Options:"
"""What is asked of a row, up to the options; the same in both orders of the options."""
OPTIONS = " {first} or {second}. Answer:"
"""The options in one order; an answer word follows behind a blank."""
CHAT_OPTIONS = " {first} or {second}. Answer with one of the two words."
"""The options in one order, at the end of a user's turn; an answer word is the assistant's turn."""
BETWEEN_SHOTS = "\n\n"
"""Between answered examples, and behind the last of them, where there are no turns."""


@dataclass(frozen=True)
class Template:
    """How a row is written.

    Attributes
    ----------
    phrase : str
        One column: ``{subject}`` (the person), ``{Subject}`` (The person), ``{column}`` and ``{value}`` with its unit.
    between : str
        Between two phrases.
    end : str
        Behind the last phrase.
    ask : str
        Between the row and the question.
    """

    phrase: str
    between: str
    end: str
    ask: str

    def around(self, subject: str, column: str) -> tuple[str, str]:
        """What stands before and behind the value of a column."""
        before, _, behind = self.phrase.partition("{value}")
        words = {"subject": subject, "Subject": subject[:1].upper() + subject[1:], "column": column}
        return before.format(**words), behind.format(**words)


FORMATS: Mapping[str, Template] = MappingProxyType(
    {
        "sentence": Template("{Subject}'s {column} is {value}.", between=" ", end="", ask=" "),
        "list": Template("- {column}: {value}", between="\n", end="", ask="\n"),
        "record": Template("{column} = {value}", between="; ", end=".", ask=" "),
    }
)
TEMPLATES = tuple(FORMATS)
"""Names of the ways to write a row; the spread of results over them is reported."""


def format_of(template: str) -> Template:
    """The template of a name.

    Raises
    ------
    DataError
        If there is no such template; the text names those there are.
    """
    if template not in FORMATS:
        raise DataError(f"There is no text template {template!r}; choose one of {', '.join(TEMPLATES)}.")
    return FORMATS[template]
