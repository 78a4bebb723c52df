"""A card as plain text in parts, before any medium: what is rendered as Markdown and as a page says the same."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Paragraph:
    """Sentences."""

    text: str


@dataclass(frozen=True)
class Bullets:
    """A list of sentences."""

    items: tuple[str, ...]


@dataclass(frozen=True)
class Code:
    """Lines to copy, in "python" or "sh"."""

    text: str
    language: str


@dataclass(frozen=True)
class Table:
    """Cells as text; the first column names the row, the others hold numbers if ``numbers``."""

    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    numbers: bool = True


@dataclass(frozen=True)
class Bar:
    """A rate of a group with its interval and the rows behind it."""

    group: str
    estimate: float
    low: float
    high: float
    rows: int


@dataclass(frozen=True)
class Bars:
    """Rates of all groups, drawn on a page; a document without pictures leaves them out."""

    title: str
    bars: tuple[Bar, ...]


Block = Paragraph | Bullets | Code | Table | Bars


@dataclass(frozen=True)
class Section:
    """A heading and what stands below it."""

    title: str
    blocks: tuple[Block, ...]


@dataclass(frozen=True)
class Document:
    """A card: its title, a sentence that says what the model does, and its sections."""

    title: str
    lead: str
    sections: tuple[Section, ...]
