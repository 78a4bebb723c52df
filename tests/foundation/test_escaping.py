"""Names as they are: read back by a Markdown parser, no mark of theirs is one."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from foundation.escaping import Markdown, markdown, one_line, printable

NAMES = (
    "50% & $x_1$", "<script>alert(1)</script>", "A|B", "back\\slash {b}", 'say "hi", ok', "a_b _c_ __d__", "*x* `y`",
    "[a](http://b)", "&amp; &lt;", "# head", "- item", "1. item", "~~gone~~", "![i](j)", "<http://a.b>", "+ item",
)  # fmt: skip


def read(text: str) -> tuple[str, list[str]]:
    """Text that a reader sees, and the kinds of everything that is not text."""
    tokens = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"]).parse(text)
    inner = [child for token in tokens for child in token.children or ()]
    return "".join(t.content for t in inner if t.type in ("text", "text_special")), [
        t.type for t in [*tokens, *inner] if t.type not in ("text", "text_special", "inline")
    ]


@pytest.mark.parametrize("name", NAMES)
def test_a_name_reads_as_it_is(name: str) -> None:
    assert read(markdown(name)) == (name, ["paragraph_open", "paragraph_close"])


@pytest.mark.parametrize("name", NAMES)
def test_a_name_in_a_cell_stays_one_cell(name: str) -> None:
    text, kinds = read(f"| name | n |\n| --- | --- |\n| {markdown(name)} | 1 |")
    assert text == f"namen{name}1" and kinds.count("td_open") == 2 and "html_inline" not in kinds


@given(st.text(st.characters(codec="utf-8", exclude_characters="\0\t"), min_size=1, max_size=20))
@settings(max_examples=300, deadline=None)
def test_no_text_makes_markup(name: str) -> None:
    name = f"x{name}x"  # blanks at the ends of a line are nobody's name
    text, kinds = read(markdown(name))
    assert (text, kinds) == (one_line(name), ["paragraph_open", "paragraph_close"])


def test_line_breaks_are_shown_and_markdown_stays() -> None:
    assert markdown("new\nline\u2028end") == "new↵line↵end"
    assert markdown(Markdown("**better**")) == "**better**"


def test_what_others_say_does_not_move_the_cursor() -> None:
    assert printable("a\x1b[2Jb\r\n\tü", keep="\n\t") == "a\\x1b[2Jb\\r\n\tü"
    assert printable("\x00\n\u202e\ud800") == "\\x00\\n\\u202e\\ud800"
