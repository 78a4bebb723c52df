"""Cards of the user's own, tried before any work: a card that cannot be used stops a run once, not once per job."""

from __future__ import annotations

import numpy as np

from benchmarks.plan.shard import Shard, jobs_of_shard
from benchmarks.plan.suite import Suite
from foundation.progress import Tell, silent
from tasks.card import Card, CardError, DataError
from tasks.fetch import FetchError, fetch
from tasks.registry import CARDS, resolve


class BadCardError(ValueError):
    """Cards of a suite that no job could use."""


def check_own_cards(suite: Suite, shard: Shard | None = None, tell: Tell = silent) -> None:
    """Read, label, group, split and encode the tasks of cards that do not come with fairmoe.

    What comes with fairmoe is known by its hashes, and what cannot be downloaded is unavailable, which is no fault of
    a card: neither is looked at here. Where rows stay in files (:attr:`Suite.rows_in_files`) they do so here too: a
    table is encoded as the first job of the share needs it, and that job finds it.

    Parameters
    ----------
    suite : Suite
    shard : Shard, optional
        Which share of its jobs is to run; default: all.
    tell : callable, optional
        Told of raw rows of tables in files.

    Raises
    ------
    BadCardError
        With the reason of every task that cannot be made.
    """
    reasons: dict[str, str] = {}
    for task in suite.all_tasks:
        card, attributes = resolve(task)
        if _is_own(card):
            try:
                if suite.rows_in_files:
                    _try_in_files(task, card, attributes, suite, shard, tell)
                else:
                    _try(task, card, attributes, suite)
            except FetchError as error:
                if not any(file.url for file in card.file):  # else it is told with the tasks that cannot be had
                    reasons[task] = str(error)
            except (CardError, DataError) as error:
                reasons[task] = str(error)
    if reasons:
        told = list(dict.fromkeys(reasons.values()))
        which = ", ".join(reasons)
        raise BadCardError(
            f"Nothing was run: {'the task' if len(reasons) == 1 else f'{len(reasons)} tasks'} {which} cannot be made. "
            f"{' '.join(told)} 'fairmoe data check' tries a card again."
        )


def _is_own(card: Card) -> bool:
    """Whether a card of data is none of the project's own."""
    return card.modality != "simulated" and not (card.folder is not None and CARDS in card.folder.parents)


def _try(task: str, card: Card, attributes: tuple[str, ...], suite: Suite) -> None:
    from tasks.load import load_raw, load_task

    raw = load_raw(card, attributes, progress=False)
    check_named_groups(card, attributes, raw.parts, raw.part_names)
    for use in suite.use_sensitive:
        load_task(
            task, protocol=suite.protocol, seed=suite.seed, use_sensitive=use, with_edges=card.edges is not None,
            progress=False,
        )  # fmt: skip


def _try_in_files(
    task: str, card: Card, attributes: tuple[str, ...], suite: Suite, shard: Shard | None, tell: Tell
) -> None:
    from tasks.stored.skeleton import read_skeleton
    from tasks.stored.writing import Storing, store_table

    first: dict[str, Storing] = {}
    for job in jobs_of_shard(suite, shard):
        if job.task == task:
            storing = Storing(task, job.protocol, job.split, job.suite_seed, job.use_sensitive)
            first.setdefault(job.use_sensitive, storing)
    wanted = [storing for storing in first.values() if not storing.is_stored(card, attributes)]
    if wanted:
        raw = read_skeleton(card, attributes, fetch(card, progress=False))
        check_named_groups(card, attributes, raw.parts, raw.part_names)
    for storing in wanted:
        store_table(storing, tell)


def check_named_groups(
    card: Card, attributes: tuple[str, ...], parts: np.ndarray, part_names: tuple[tuple[str, ...], ...]
) -> None:
    """Refuse a group of the card that no row is in: mostly a value that is written otherwise in the file.

    Parameters
    ----------
    parts : [n, a] int64
        Group of each row by attribute, numbered over ``part_names``.

    Raises
    ------
    DataError
        Which group, its values, and what the column holds.
    """
    known = {sensitive.name: sensitive for sensitive in card.sensitive}
    for index, attribute in enumerate(attributes):
        counts = np.bincount(parts[:, index], minlength=len(part_names[index]))
        empty = [g for g, count in zip(known[attribute].groups, counts, strict=False) if not count]
        if empty:
            values = ", ".join(map(repr, empty[0].equals)) or "the numbers of its rule"
            held = ", ".join(f"{name} {count}" for name, count in zip(part_names[index], counts, strict=True))
            raise DataError(
                f"No row of {card.name!r} is in the group {empty[0].name!r} of {attribute!r}: no cell of column "
                f"{known[attribute].column!r} holds {values} (rows by group: {held}). Correct the values in the card, "
                "or take the group out."
            )
