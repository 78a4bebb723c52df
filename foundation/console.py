"""Text of users on the console: shown as it is, whatever brackets it has.

Rich reads "[label]" as markup and leaves it out; "[/data/a.csv]" ends the program. So no console of the project reads
markup, and what the project itself wants styled is a :class:`rich.text.Text`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text


def plain_console(**settings: Any) -> Console:
    """A console that reads no markup and no emoji codes, in strings, tables and titles; ``settings`` are Rich's."""
    from rich.console import Console

    return Console(**settings, markup=False, emoji=False)


def styled(word: str, style: str, rest: str = "") -> Text:
    """A word of the project in a style, then text as it is.

    Examples
    --------
    >>> styled("FAILED", "bold red", " german: no column [label]").plain
    'FAILED german: no column [label]'
    """
    from rich.text import Text

    return Text.assemble((word, style), rest)
