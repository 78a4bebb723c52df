"""A card as one page that asks the network for nothing."""

from __future__ import annotations

from pathlib import Path

from benchmarks.models.cards.bars import draw
from benchmarks.models.cards.document import Document

TEMPLATES = Path(__file__).resolve().parent / "templates"


def render_page(document: Document) -> str:
    """``card.html``: style and pictures are inline, text is escaped by the template."""
    from reports.templating import page_environment

    template = page_environment(TEMPLATES).get_template("card.html.j2")
    return template.render(document=document, draw=draw, kind=lambda block: type(block).__name__)
