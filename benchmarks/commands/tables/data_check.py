"""What ``fairmoe data check`` says of a task beside its counts: rows by group and label, small groups, edges."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from rich.console import Console
from rich.table import Table

from foundation.console import styled

if TYPE_CHECKING:
    from tasks.card import Card
    from tasks.frame import RawData

LEAST = 20
"""Training rows of a group and class below which a rate is mostly chance."""


def print_cells(console: Console, raw: RawData) -> None:
    """Rows of every group and class, their share, and how many of them a robust split trains on.

    Raises
    ------
    DataError
        If the data cannot be split: a part would hold one class only.
    """
    from tasks.split import make_split

    train = make_split(raw).train.numpy()
    table = Table(box=None, padding=(0, 2, 0, 2))
    table.add_column("group", overflow="fold", max_width=30)
    for title in ("class 1", "class 0", "share of class 1", "to train"):
        table.add_column(title, justify="right")
    small = []
    for group, name in enumerate(raw.group_names):
        member = raw.groups == group
        positive, rows = int(raw.labels[member].sum()), int(member.sum())
        trained = np.bincount(raw.labels[train][member[train]], minlength=2)
        table.add_row(
            name, f"{positive:,}", f"{rows - positive:,}", f"{positive / rows:.1%}", f"{trained[1]} + {trained[0]}"
        )
        small += [f"{name} (class {label}: {trained[label]})" for label in (1, 0) if trained[label] < LEAST]
    console.print(table)
    if small:
        console.print(
            styled(
                "SMALL", "bold yellow", f" fewer than {LEAST} rows to train: {', '.join(small)}. Rates of such groups "
                "are mostly chance: join groups in the card, or use more rows."
            ),
            soft_wrap=True,
        )  # fmt: skip


def print_edges(console: Console, card: Card, raw: RawData) -> None:
    """What the edges hold: unknown ids, loops, repeats, rows without any.

    Raises
    ------
    DataError
        If the file is no list of edges, or none of its pairs joins two rows.
    """
    from tasks.card import DataError
    from tasks.edges import count_edges
    from tasks.fetch import fetch

    assert card.edges is not None
    path = fetch(card, roles=("edges",), progress=False)[card.edges.file]
    ids = np.asarray(raw.rows if raw.keys is None else raw.keys)
    found = count_edges(path, card.edges.separator, ids)
    if not found.used:
        raise DataError(
            f"No pair of {path.name} joins two rows: {found.unknown:,} of {found.pairs:,} pairs have an id that is in "
            f"no row{f', such as {found.first_unknown}' if found.unknown else ''}. Correct key in [edges]: the column "
            "whose values the edges name, or empty for row numbers, counted from 0."
        )
    strange = f" (such as {found.first_unknown}: no row, or one that left the task)" if found.unknown else ""
    console.print(
        f"  edges: {found.used:,} of {found.pairs:,} lines; {found.unknown:,} with an unknown id{strange}, "
        f"{found.loops:,} of a row with itself, {found.both_ways:,} in both directions, {found.repeated:,} repeated; "
        f"{found.isolated:,} of {len(ids):,} rows have no edge",
        soft_wrap=True,
        highlight=False,
    )
    if found.isolated > len(ids) / 2:
        console.print(styled("ISOLATED", "bold yellow", " most rows have no edge: graph methods see them alone."))
