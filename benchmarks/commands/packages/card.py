"""``fairmoe card``: the model card of a package."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def card(
    package: Annotated[Path, typer.Argument(help="The .expert file.")],
) -> None:
    """Print the model card of a package, in Hugging Face's format: use and limits, data, measured fairness as a table.

    Nothing is installed or run. The card is the author's word; what was measured also stands in the manifest, which
    fairmoe inspect shows.

    Example: fairmoe card german-mlp.expert > README.md
    """
    from artefacts.format.archive import open_package
    from foundation.escaping import printable

    with open_package(package) as opened:
        text = opened.read("card.md").decode("utf-8", "replace")
    typer.echo(printable(text, keep="\n\t"))
