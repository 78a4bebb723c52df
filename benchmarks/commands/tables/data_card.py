"""``fairmoe data card``: a card for a table of one's own, drafted or brought up to date."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from foundation.console import plain_console

if TYPE_CHECKING:
    from tasks.drafting.guesses import Guess

WRONG = (
    "guessed wrong? the same command with --label COLUMN --positive VALUE\n"
    "--sensitive A,B says instead; with --force it writes the card anew\n"
)


def card(
    table: Annotated[
        str,
        typer.Argument(
            help="Your table: CSV (any usual separator and encoding, decimal comma, also .gz, .bz2, .xz, .zip), "
            "Parquet, Feather, .xlsx or ARFF; or a Hugging Face data set, hf:OWNER/NAME[:CONFIG][:SPLIT]. With "
            "--refresh also the card itself."
        ),
    ],
    label: Annotated[str, typer.Option(help="Column that is to be predicted; default: guessed.")] = "",
    positive: Annotated[str, typer.Option(help="Value of the label that is class 1; all others are class 0.")] = "",
    sensitive: Annotated[
        str, typer.Option(help="Columns of the sensitive attributes, A,B; the first is default.")
    ] = "",
    edges: Annotated[Path | None, typer.Option(help="Edges between the rows: two ids a line.")] = None,
    sheet: Annotated[str, typer.Option(help="Sheet of a workbook.")] = "",
    output: Annotated[
        Path | None, typer.Option(help="Where to write the card; default: beside the table, as NAME.card.toml.")
    ] = None,
    refresh: Annotated[
        bool, typer.Option("--refresh", help="The table changed: bring its card up to date, keep your edits.")
    ] = False,
    force: Annotated[bool, typer.Option(help="Overwrite a card that exists.")] = False,
) -> None:
    """Draft a card; each guess is listed with its reason and marked CHECK in the card.

    Examples: fairmoe data card loans.csv · fairmoe data card staff.xlsx --sheet 2024 --label hired --positive yes
    --sensitive gender,age · fairmoe data card people.csv --edges friends.txt · fairmoe data card hf:owner/name ·
    fairmoe data card loans.csv --refresh
    """
    from tasks.card import CardError

    if refresh:
        _refresh(Path(table), output)
        return
    path, origin = _table_file(table, output)
    target = output or beside(path)
    if target.exists() and not force:
        raise CardError(
            f"{target} exists; give --refresh to bring it up to date with your edits kept, --force to overwrite it, or "
            "another --output."
        )
    _draft(path, target, origin, (label, positive, sensitive, sheet), edges)


def beside(path: Path) -> Path:
    """Where the card of a table lies: loans.card.toml beside loans.csv.gz."""
    from tasks.formats.opened import plain_name

    return path.with_name(f"{Path(plain_name(path)).stem}.card.toml")


def _draft(path: Path, target: Path, origin: str, wishes: tuple[str, str, str, str], edges: Path | None) -> None:
    from foundation.files import write_text
    from tasks.drafting.draft import draft
    from tasks.drafting.guesses import Wishes

    label, positive, sensitive, sheet = wishes
    names = tuple(name.strip() for name in sensitive.split(",") if name.strip())
    drafted = draft(path, target.parent, Wishes(label, positive, names, sheet), edges, origin)
    write_text(target, drafted.text)
    console = plain_console()
    _show(drafted.guesses)
    checks = sum("CHECK" in line for line in drafted.text.split("\n"))
    wrong = "" if label and sensitive else WRONG
    console.print(f"{target}: drafted, {checks} lines are marked CHECK.", soft_wrap=True, highlight=False)
    console.print(
        f"{wrong}next: read them, then fairmoe data check {target}\n"
        f"then: fairmoe bench quick --task {target}{_large_options(target)}",
        soft_wrap=True,
        highlight=False,
    )


def _large_options(target: Path) -> str:
    """Options of a run of a table that memory may not hold; empty for others."""
    import math

    from tasks.card import load_card
    from tasks.stored.chunks import is_large

    card = load_card(target)
    if not is_large(card):
        return ""
    from benchmarks.streaming.memory import trees_gib

    return f" --protocol robust --max-memory {math.ceil(trees_gib(card.rows, len(card.column)))}"


def _show(guesses: tuple[Guess, ...]) -> None:
    """What was guessed, and why: a table of three columns."""
    from rich.table import Table

    from foundation.escaping import one_line

    table = Table.grid(padding=(0, 2))
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold", max_width=24)
    table.add_column(overflow="fold")
    for guess in guesses:
        table.add_row(guess.subject, one_line(guess.decision), one_line(guess.reason))
    console = plain_console()
    console.print("Guessed, with reasons:", highlight=False)
    console.print(table, width=min(max(console.width, 40), 120))


def _table_file(table: str, output: Path | None) -> tuple[Path, str]:
    """The file that holds the table, and where it is from; a Hugging Face data set is written as Parquet first."""
    from tasks.formats.hub import hub_id, save_hub_table

    wanted = hub_id(table)
    if wanted is None:
        return Path(table), ""
    saved = save_hub_table(wanted, output.parent if output else Path.cwd())
    plain_console().print(f"{saved.path}: {saved.words}", soft_wrap=True, highlight=False)
    return saved.path, saved.homepage


def _refresh(path: Path, output: Path | None) -> None:
    from tasks.drafting.refresh import refresh_card

    target = output or (path if path.suffix == ".toml" else beside(path))
    changes = refresh_card(target)
    for change in changes:
        typer.echo(f"- {change}")
    typer.echo(
        f"{target}: {'brought up to date, your edits are kept' if changes else 'the file has not changed'}.\n"
        f"next: fairmoe data check {target}"
    )
