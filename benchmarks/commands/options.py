"""Options that several verbs have, each said once."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

TaskName = Annotated[str, typer.Option(help="Task, such as german or adult:sex+race, or the path of a card.")]
_PROTOCOL = typer.Option(
    help="How rows are split: robust (repeated stratified splits), large_test (repeated, 3,000 + 1,500 rows, the rest "
    "for the test) or nifty (the published split)."
)
Protocol = Annotated[str, _PROTOCOL]
OwnProtocol = Annotated[str | None, _PROTOCOL]
"""Of a suite, which has one: None leaves it."""
Split = Annotated[int, typer.Option(min=0, help="Which repetition of the split.")]
_SPACE = typer.Option(help="Search space: published, or wide (a wider learning-rate range).")
Space = Annotated[str, _SPACE]
OwnSpace = Annotated[str | None, _SPACE]
"""Of a suite, which has one: None leaves it."""
Epsilon = Annotated[float, typer.Option(min=0, help="Validation utility that a fair expert may cost.")]
Seed = Annotated[int, typer.Option(help="Seed of split, trials and weights.")]
SplitSeed = Annotated[int, typer.Option(help="Suite seed that repeated splits derive from.")]

Edges = Annotated[
    Path | None, typer.Option(help="Of graph models: file of pairs of rows, as the card of the data describes it.")
]
Own = Annotated[
    str | None, typer.Option(help="Of models of own methods: the file and function that made it, my/model.py:make.")
]
Trust = Annotated[
    list[str] | None,
    typer.Option(
        help="Of own estimators: a type that the saved file may be made of beside the known ones, package.module.Class "
        "(repeat the option). A message names those that it asks for; trust them only if you know who made the file."
    ),
]
ModelBase = Annotated[
    str | None, typer.Option(help="Of text experts: folder or name of the base; default: the one that they name.")
]
InstalledExpert = Annotated[
    str | None, typer.Option(help="Instead of MODEL: name of an installed expert, or a .expert file.")
]
GivenRows = Annotated[str | None, typer.Option("--input", help="Instead of ROWS: the same, by name.")]
AllowUntrusted = Annotated[
    bool, typer.Option("--allow-untrusted", help="Also a package that nobody whom you trust vouches for.")
]


def check_storage(address: str) -> None:
    """Refuse a database of studies that cannot be used, before anything is computed; "" is none."""
    if address:
        from experts.tuning.shared import check_server

        check_server(address)
