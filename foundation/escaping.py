"""Text of users in documents: names, values, reasons and paths as they are, never as markup.

One boundary per medium: Markdown and LaTeX here, HTML by the templates (autoescape) and figures (``markupsafe``), the
console in :mod:`foundation.console`.
"""

from __future__ import annotations

import re

_SIGNS = re.compile(
    r"[\\`*<>|$~]"  # marks wherever they stand
    r"|(?<![^\W_])_|_(?![^\W_])"  # emphasis, not the underscore within a name
    r"|&(?=#?\w+;)"  # an entity
    r"|\](?=[(\[:])"  # a link
    r"|^(?:#+|[-+](?=\s)|\d+(?=[.)]\s))",  # a heading or a list: the first sign of a line
)
_BREAKS = re.compile(r"\r\n|[\n\r\v\f\x1c-\x1e\x85\u2028\u2029]")


class Markdown(str):
    """Text that is Markdown already: its marks are meant."""

    __slots__ = ()


def one_line(text: str) -> str:
    """Text on one line; a line break is shown as ``↵``, so that names that differ by it stay different."""
    return _BREAKS.sub("↵", text).replace("\t", " ")


def printable(text: str, keep: str = "") -> str:
    """Text whose control characters are shown as escapes, not acted upon by a terminal; those in ``keep`` stay."""
    return "".join(
        sign if sign.isprintable() or sign in keep else sign.encode("unicode_escape").decode() for sign in text
    )


def markdown(text: str) -> Markdown:
    r"""Text as Markdown shows it, on one line; Markdown stays as it is.

    Examples
    --------
    >>> print(markdown("A|B <b>*x*</b> a_b"))
    A\|B \<b\>\*x\*\</b\> a_b
    """
    if isinstance(text, Markdown):
        return text
    return Markdown(_SIGNS.sub(_escaped, one_line(text)))


def _escaped(found: re.Match[str]) -> str:
    sign = found[0]
    return f"{sign}\\" if sign.isdigit() else f"\\{sign}"
