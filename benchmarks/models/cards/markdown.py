"""A card as Markdown, below the front matter that the Hugging Face Hub reads."""

from __future__ import annotations

from collections.abc import Iterator

from benchmarks.models.cards.document import Bars, Block, Bullets, Code, Document, Paragraph, Section, Table
from foundation.escaping import markdown, one_line


def render_markdown(document: Document, front_matter: str) -> str:
    """``README.md``: the front matter between its marks, then the sections; text is escaped, pictures are left out."""
    parts = [f"---\n{front_matter.rstrip()}\n---", f"# {markdown(document.title)}", markdown(document.lead)]
    for section in document.sections:
        parts += [f"## {markdown(section.title)}", *_blocks(section)]
    return "\n\n".join(parts) + "\n"


def _blocks(section: Section) -> Iterator[str]:
    for block in section.blocks:
        text = _block(block)
        if text:
            yield text


def _block(block: Block) -> str:
    match block:
        case Paragraph(text):
            return markdown(text)
        case Bullets(items):
            return "\n".join(f"- {markdown(item)}" for item in items)
        case Code(text, language):
            fence = "`" * max(3, _longest_run(text) + 1)
            return f"{fence}{language}\n{text}\n{fence}"
        case Table(head, rows, numbers):
            marks = ["---", *(["---:" if numbers else "---"] * (len(head) - 1))]
            lines = [head, marks, *rows]
            return "\n".join("| " + " | ".join(_cell(c, i == 1) for c in line) + " |" for i, line in enumerate(lines))
        case Bars():
            return ""


def _cell(text: str, is_mark: bool) -> str:
    return text if is_mark else markdown(text)


def _longest_run(text: str) -> int:
    """Most backquotes in a row: a fence must be longer."""
    longest = run = 0
    for sign in one_line(text):
        run = run + 1 if sign == "`" else 0
        longest = max(longest, run)
    return longest
