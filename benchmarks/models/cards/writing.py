"""Both cards of a saved model, written into its folder."""

from __future__ import annotations

from pathlib import Path

from benchmarks.models.cards.contents import contents
from benchmarks.models.cards.facts import read_facts
from benchmarks.models.cards.front_matter import front_matter
from benchmarks.models.cards.markdown import render_markdown
from benchmarks.models.cards.page import render_page
from foundation.files import write_text

README, PAGE = "README.md", "card.html"


def write_cards(folder: Path) -> None:
    """Write ``README.md`` (a model card of the Hugging Face Hub) and ``card.html`` from what the folder holds.

    Parameters
    ----------
    folder : Path
        A saved model: ``model.json`` and ``card.json``, and ``promise.json`` and ``choice.json`` where they are.

    Raises
    ------
    ModelCardError, PromiseError
        If the folder is no saved model, or one of these files is broken.
    """
    facts = read_facts(folder)
    document = contents(facts)
    write_text(folder / README, render_markdown(document, front_matter(facts)))
    write_text(folder / PAGE, render_page(document))


def model_card(folder: Path) -> str:
    """The text of ``README.md``; nothing is written.

    Raises
    ------
    ModelCardError, PromiseError
        As :func:`write_cards`.
    """
    facts = read_facts(folder)
    return render_markdown(contents(facts), front_matter(facts))
