"""``fairmoe data``: data sets, their cards and their files."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table

from benchmarks.commands.tables import data_card
from foundation.console import plain_console, styled

if TYPE_CHECKING:
    from tasks.card import Card
    from tasks.frame import RawData

app = typer.Typer(
    no_args_is_help=True,
    help=(
        "List, describe, fetch and check data sets; draft a card for data of your own.\n\n"
        "Files are read from the folder in FAIRMOE_DATA_MIRROR first, then from the cache (FAIRMOE_CACHE, else the "
        "user's cache folder), then downloaded; their sha256 is always checked."
    ),
)
NAMES = Annotated[list[str] | None, typer.Argument(help="Data sets, as in: adult, german, path/to/card.toml.")]
ALL = Annotated[bool, typer.Option("--all", help="All data sets that come with fairmoe.")]


@app.command("list")
def list_cards() -> None:
    """List all data sets: rows, label, sensitive attributes, licence, and whether the files are on this machine.

    Example: fairmoe data list
    """
    from tasks.fetch import available
    from tasks.registry import cards

    table = Table(title="data sets", caption="on disk: in the mirror or the cache. Details: fairmoe data show NAME")
    table.add_column("name", style="bold", no_wrap=True)
    table.add_column("rows", justify="right")
    for title in ("class 1", "sensitive (first: default)", "licence", "on disk"):
        table.add_column(title)
    for card in cards():
        here = "not needed" if not card.file else "yes" if available(card) else "no"
        table.add_row(card.name, f"{card.rows:,}", card.label.meaning, _attributes(card), _brief(card.licence), here)
    plain_console().print(table)


@app.command()
def show(
    name: Annotated[str, typer.Argument(help="Data set, as in: adult, adult:sex+race, path/to/card.toml.")],
) -> None:
    """Describe a data set: source, label, groups, defects, columns, and what was left out and why.

    Group counts are shown if the files are on this machine; nothing is downloaded.

    Example: fairmoe data show adult:sex+race
    """
    from tasks.fetch import available
    from tasks.registry import resolve

    console = plain_console()
    card, attributes = resolve(name)
    _print_head(console, card)
    _print_sensitive(console, card)
    if available(card):
        _print_groups(console, _read(card, attributes))
    else:
        console.print(f"\nGroup counts: not shown, the files are not on this machine (fairmoe data fetch {card.name}).")
    _print_columns(console, card)


@app.command("fetch")
def fetch_files(
    names: NAMES = None,
    every: ALL = False,
    edges: Annotated[bool, typer.Option(help="Also fetch the edges of graphs (up to 20 MB each).")] = False,
) -> None:
    """Download the files of data sets and check them; files that are here already are only checked.

    Examples: fairmoe data fetch adult compas; fairmoe data fetch --all --edges
    """
    from tasks.fetch import FetchError, fetch

    console = plain_console()
    failed = []
    for card in _chosen(names, every):
        try:
            paths = fetch(card, roles=("table", "edges") if edges else ("table",))
        except FetchError as error:
            failed.append(card.name)
            console.print(styled("failed", "red", f" {error}"), soft_wrap=True)
            continue
        for path in paths.values():
            console.print(styled("ok", "green", f" {card.name}: {path}"), soft_wrap=True)
        if not paths:
            console.print(styled("ok", "green", f" {card.name}: simulated, needs no file"))
    _finish(console, failed)


@app.command()
def check(names: NAMES = None, every: ALL = False) -> None:
    """Check hashes, read every table and edge list, and count rows by group and label of every sensitive attribute.

    Data sets that are named are shown in detail: shares, rows to train, groups that are too small, edges that join
    nothing. Ends with exit code 1 if a data set fails.

    Examples: fairmoe data check german; fairmoe data check --all
    """
    from benchmarks.commands.tables.data_check import print_cells, print_edges
    from benchmarks.run.own_data import check_named_groups
    from tasks.fetch import available

    console = plain_console()
    failed = []
    for card in _chosen(names, every):
        try:
            for sensitive in card.sensitive:
                raw = _read(card, (sensitive.name,))
                if not every:
                    check_named_groups(card, (sensitive.name,), raw.parts, raw.part_names)
                counts = ", ".join(f"{g} {c:,}" for g, c in _counts(raw))
                counts += "".join(f"; {count:,} rows left: {reason}" for reason, count in raw.left.items())
                console.print(
                    styled(
                        "ok",
                        "green",
                        f" {card.name}:{sensitive.name}: {len(raw.labels):,} rows, {raw.labels.mean():.1%} class 1, "
                        f"{counts}",
                    ),
                    soft_wrap=True,
                )
                if not every:
                    print_cells(console, raw)
            _check_large(card, console)
            if card.edges is not None and (not every or available(card, "edges")):
                print_edges(console, card, raw)
        except ValueError as error:  # CardError, DataError and FetchError: each says what to do
            failed.append(card.name)
            console.print(styled("failed", "red", f" {card.name}: {error}"), soft_wrap=True)
    _finish(console, failed)


app.command("card")(data_card.card)


def _chosen(names: list[str] | None, every: bool) -> list[Card]:
    from tasks.card import CardError
    from tasks.registry import cards, resolve

    if every:
        return cards()
    if not names:
        raise CardError("Name at least one data set, or give --all. 'fairmoe data list' shows what there is.")
    return [resolve(name).card for name in names]


def _finish(console: Console, failed: list[str]) -> None:
    if failed:
        console.print(f"{len(failed)} failed: {', '.join(failed)}")
        raise typer.Exit(1)


def _read(card: Card, attributes: tuple[str, ...]) -> RawData:
    """Labels and groups of all rows; of a large table without the other columns, which memory may not hold."""
    from tasks.fetch import fetch
    from tasks.load import load_raw
    from tasks.stored.chunks import is_large
    from tasks.stored.skeleton import read_skeleton

    return read_skeleton(card, attributes, fetch(card)) if is_large(card) else load_raw(card, attributes)


def _check_large(card: Card, console: Console) -> None:
    """Read the columns of a large table in passes; those of others are read with their rows."""
    from foundation.progress import counted_bars
    from tasks.fetch import fetch
    from tasks.stored.chunks import is_large
    from tasks.stored.skeleton import check_features

    if is_large(card):
        with counted_bars(console, transient=True) as bars:
            check_features(card, fetch(card), bars.tell)


def _counts(raw: RawData) -> list[tuple[str, int]]:
    import numpy as np

    return list(zip(raw.group_names, np.bincount(raw.groups).tolist(), strict=True))


def _attributes(card: Card) -> str:
    first = card.default_sensitive
    return ", ".join([first, *(s.name for s in card.sensitive if s.name != first)])


def _brief(licence: str) -> str:
    return licence.split(" (")[0].split(";")[0]


def _print_head(console: Console, card: Card) -> None:
    console.print(styled(card.name, "bold", f" {card.title} (version {card.version}, {card.modality})"), soft_wrap=True)
    console.print(" ".join(card.description.split()), soft_wrap=True)
    facts = {
        "homepage": card.homepage,
        "licence": card.licence,
        "citation": card.citation,
        "rows": f"{card.rows:,}",
        "source": f"rows, people or survey of {card.source}: one source in pooled intervals" if card.source else "",
        "class 1": f"{card.label.meaning} (column {card.label.column})",
        "class 0": card.label.negative_meaning,
        "split unit": card.split_unit,
        "edges": card.edges.meaning if card.edges else "",
    }
    table = Table.grid(padding=(0, 2))
    for key, value in facts.items():
        if value:
            table.add_row(styled(key, "dim"), value)
    for rule in card.keep:
        table.add_row(styled("rows kept by", "dim"), f"{rule.column}: {rule.why}")
    for file in card.file:
        source = file.url + (f" ({file.member})" if file.member else "") if file.url else "local file"
        table.add_row(styled(file.role, "dim"), f"{file.name}, {file.bytes:,} bytes, sha256 {file.sha256}\n{source}")
    for defect in card.defects:
        table.add_row(styled("defect", "yellow"), defect)
    console.print(table)


def _print_sensitive(console: Console, card: Card) -> None:
    table = Table(title="sensitive attributes")
    for title in ("name", "column", "groups", "note"):
        table.add_column(title)
    for s in card.sensitive:
        groups = ", ".join([g.name for g in s.groups] + ([s.other] if s.other else []))
        table.add_row(s.name + (" (default)" if s.name == card.default_sensitive else ""), s.column, groups, s.note)
    console.print(table)


def _print_groups(console: Console, raw: RawData) -> None:
    table = Table(title=f"groups of {raw.card.name}:{'+'.join(raw.attributes)}")
    table.add_column("group")
    for title in ("rows", "share", "class 1"):
        table.add_column(title, justify="right")
    for index, (name, count) in enumerate(_counts(raw)):
        rate = raw.labels[raw.groups == index].mean()
        table.add_row(name, f"{count:,}", f"{count / len(raw.groups):.1%}", f"{rate:.1%}")
    console.print(table)
    for reason, count in raw.left.items():
        console.print(f"{count:,} rows left the task: {reason}", soft_wrap=True)
    if raw.unseen_groups:
        console.print(f"No row is in: {', '.join(raw.unseen_groups)}", soft_wrap=True)


def _print_columns(console: Console, card: Card) -> None:
    table = Table(title=f"{len(card.column)} feature columns")
    for title in ("column", "kind", "text", "unit"):
        table.add_column(title)
    for column in card.column:
        table.add_row(column.name, column.kind + (" (log)" if column.log else ""), column.text, column.unit)
    console.print(table)
    if card.drop:
        dropped = Table(title="left out")
        dropped.add_column("column")
        dropped.add_column("why")
        for name, why in card.drop.items():
            dropped.add_row(name, why)
        console.print(dropped)
