"""First pass: which rows are in the task, their labels and groups, and the sensitive columns; no other feature."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd

from foundation.progress import Tell, silent
from tasks.card import Card
from tasks.frame import (
    RawData,
    attribute_of,
    combine,
    feature_frame,
    group_parts,
    label_codes,
    part_names_of,
    refuse_no_rows,
    refuse_one_class,
    staying,
)
from tasks.stored.chunks import raw_chunks
from tasks.values import as_words


def read_skeleton(card: Card, attributes: tuple[str, ...], files: Mapping[str, Path]) -> RawData:
    """What the split needs of all rows, as :func:`tasks.frame.read_frame` gives it.

    ``frame`` holds the sensitive columns that may be features, and no other.

    Raises
    ------
    DataError
        If a file does not fit the card, or no task can be made of it. Rows that an error counts are those of a chunk.
    """
    sensitive = [attribute_of(card, name) for name in attributes]
    own = {s.column for s in sensitive}
    small = card.model_copy(update={"column": tuple(c for c in card.column if c.name in own)})
    needed = list(dict.fromkeys([card.label.column, *own, *(rule.column for rule in card.keep)]))
    rows, labels, parts, frames = [], [], [], []
    left: dict[str, int] = {}
    start, some = 0, pd.DataFrame()
    for chunk in raw_chunks(card, files, needed):
        stay, gone = staying(card, sensitive, chunk)
        left = {reason: left.get(reason, 0) + gone.get(reason, 0) for reason in {**left, **gone}}
        held = np.flatnonzero(stay)
        table = chunk.iloc[held].reset_index(drop=True)
        rows.append(held + start)
        start += len(chunk)
        some = table if some.empty else some
        labels.append(label_codes(card, table).astype(np.int8))
        parts.append(group_parts(card, sensitive, table).astype(np.int16))
        frames.append(feature_frame(small, table))
    refuse_no_rows(card, sum(map(len, rows)), left)
    label, part = np.concatenate(labels).astype(np.int64), np.concatenate(parts).astype(np.int64)
    refuse_one_class(card, label, some)
    part_names = part_names_of(sensitive)
    groups, names, unseen = combine(card, part, part_names, left)
    return RawData(
        card=card,
        attributes=attributes,
        frame=stacked(frames),
        labels=label,
        groups=groups,
        group_names=names,
        unseen_groups=unseen,
        parts=part,
        part_names=part_names,
        rows=np.concatenate(rows).astype(np.int64),
        units=None,
        keys=None,
        left=left,
    )


def check_features(card: Card, files: Mapping[str, Path], tell: Tell = silent) -> None:
    """Read every feature column of all rows as the card says, a chunk at a time; nothing is kept.

    Raises
    ------
    DataError
        If a column is not as the card says.
    """
    done = 0
    for chunk in raw_chunks(card, files, [column.name for column in card.column]):
        feature_frame(card, chunk)
        done += len(chunk)
        tell(f"reading {card.name}", done, card.rows)


def stacked(frames: list[pd.DataFrame]) -> pd.DataFrame:
    """Typed feature columns of several chunks under each other; words are sorted over all of them."""
    columns = {}
    for name in frames[0].columns:
        parts = [frame[name] for frame in frames]
        if isinstance(parts[0].dtype, pd.CategoricalDtype):
            joined = pd.api.types.union_categoricals(parts)
            columns[name] = as_words(pd.Series(joined, name=name))
        else:
            columns[name] = pd.concat(parts, ignore_index=True)
    return pd.DataFrame(columns)
