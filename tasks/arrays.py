"""A task view of plain arrays, for callers that have no data card (scikit-learn estimators, tests)."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Literal

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch

from tasks.card import Card, ColumnSpec, DataError, Group, Label, Rule, Sensitive
from tasks.encode import ColumnEncoder, Encoder
from tasks.frame import RawData
from tasks.task import Split, TaskView
from tasks.values import LARGEST, as_numbers, as_words, is_numeric

Numbers = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]


def view_of_arrays(
    x: Numbers,
    y: Integers,
    groups: Integers,
    train: Integers,
    validation: Integers,
    *,
    group_names: Sequence[str] = (),
    feature_names: Sequence[str] = (),
    name: str = "arrays",
) -> TaskView:
    """A view whose columns are the columns of ``x``, standardised with statistics of the training rows.

    Parameters
    ----------
    x : [n, d] float
        Finite or nan (unknown).
    y : [n] int in {0, 1}
    groups : [n] int in 0..g-1
    train, validation : [r] int
        Row ids; there are no test rows, and rows in neither part are unused.
    group_names, feature_names : sequence of str, optional
        Default: the group ids, ``x0``, ``x1`` …
    name : str
        A card name: lower-case letters, digits and underscores.

    Returns
    -------
    TaskView
        Group membership is no feature of its own, so there is no ``flip``.
    """
    frame = frame_of(x, feature_names)
    labels = tuple(group_names) or tuple(map(str, range(max(2, int(groups.max()) + 1))))
    if (np.abs(x) > LARGEST).any():
        raise DataError(
            f"The features hold numbers beyond {LARGEST:.2g}, such as {x[np.abs(x) > LARGEST][0]!r}; a feature cannot. "
            "Such a number is mostly a code for missing: replace it by nan."
        )
    card = _card(name, len(x), [ColumnSpec(name=c, kind="numeric", text=c) for c in frame.columns], labels)
    encoder = _standardise(card, frame.iloc[np.asarray(train)])
    return _view(card, encoder, frame, y, groups, train, validation, hashed=x)


def view_of_frame(
    table: pd.DataFrame,
    y: Integers,
    groups: Integers,
    train: Integers,
    validation: Integers,
    *,
    group_names: Sequence[str] = (),
    name: str = "frame",
) -> TaskView:
    """A view of raw columns, encoded as those of a data card: :class:`tasks.encode.Encoder`.

    Numbers are standardised, truth values and texts of two values are binary, other texts and categories one-hot; an
    empty cell is unknown, which is 0. All statistics are those of the training rows.

    Parameters
    ----------
    table : [n] DataFrame
        Columns of numbers, truth values, texts or categories.
    y, groups, train, validation, group_names, name
        As for :func:`view_of_arrays`.

    Raises
    ------
    DataError
        If two columns have one name, or a column holds neither numbers nor texts.
    """
    specs = _specs(table)
    frame = _typed(table, specs)
    labels = tuple(group_names) or tuple(map(str, range(max(2, int(groups.max()) + 1))))
    card = _card(name, len(table), specs, labels)
    raw = RawData(
        card=card,
        attributes=("group",),
        frame=frame,
        labels=np.asarray(y, dtype=np.int64),
        groups=np.asarray(groups, dtype=np.int64),
        group_names=labels,
        unseen_groups=(),
        parts=np.asarray(groups, dtype=np.int64)[:, None],
        part_names=(labels,),
        rows=np.arange(len(table), dtype=np.int64),
        units=None,
        keys=None,
        left={},
    )
    encoder = Encoder.fit(raw, np.asarray(train))
    return _view(card, encoder, frame, y, groups, train, validation)


def _view(
    card: Card,
    encoder: Encoder,
    frame: pd.DataFrame,
    y: Integers,
    groups: Integers,
    train: Integers,
    validation: Integers,
    hashed: Numbers | None = None,
) -> TaskView:
    """The view of an encoded frame; its hash is that of ``hashed``, or of the encoded features."""
    features, split = encoder.encode(frame), _split(train, validation)
    return TaskView(
        name=card.name,
        features=features,
        labels=torch.as_tensor(y, dtype=torch.int64),
        groups=torch.as_tensor(groups, dtype=torch.int64),
        group_names=tuple(group.name for group in card.sensitive[0].groups),
        split=split,
        feature_names=encoder.feature_names,
        columns=encoder.columns,
        rows=torch.arange(len(frame)),
        edges=None,
        card=card,
        encoder=encoder,
        frame=frame,
        use_sensitive="drop",
        flip=None,
        hash=_hash(features.double().numpy() if hashed is None else hashed, y, groups, split),
    )


def _specs(table: pd.DataFrame) -> tuple[ColumnSpec, ...]:
    names = [str(name) for name in table.columns]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise DataError(f"Two columns of the table are called {twice[0]!r}; give one of them another name.")
    return tuple(ColumnSpec(name=name, kind=_kind(table.iloc[:, i]), text=name) for i, name in enumerate(names))


def _kind(column: pd.Series) -> Literal["numeric", "binary", "categorical"]:
    held = column.dropna()
    if column.dtype.kind in "mMc" or any(isinstance(cell, list | dict | set | np.ndarray) for cell in held[:20]):
        raise DataError(
            f"Column {column.name!r} holds {column.dtype}, neither numbers nor texts; leave it out, or write what "
            "matters of it (year, days since) as a number."
        )
    values = column.infer_objects() if column.dtype == object else column
    if is_numeric(values) and not pd.api.types.is_bool_dtype(values.dtype):
        return "numeric"
    return "binary" if held.nunique() <= 2 else "categorical"


def _typed(table: pd.DataFrame, specs: Sequence[ColumnSpec]) -> pd.DataFrame:
    """Float64 or categorical columns with fresh row numbers."""
    raw = table.set_axis([spec.name for spec in specs], axis=1).reset_index(drop=True)
    return pd.DataFrame(
        {s.name: as_numbers(raw[s.name]) if s.kind == "numeric" else as_words(raw[s.name]) for s in specs},
        index=raw.index,
    )


def _split(train: Integers, validation: Integers) -> Split:
    none = torch.empty(0, dtype=torch.int64)
    parts = [torch.as_tensor(rows, dtype=torch.int64) for rows in (train, validation)]
    return Split("arrays", 0, parts[0], parts[1], none)


def frame_of(x: Numbers, names: Sequence[str] = ()) -> pd.DataFrame:
    """Columns of ``x`` as a frame; default names as in :func:`view_of_arrays`, whose encoder takes it."""
    return pd.DataFrame(x, columns=list(names) or [f"x{j}" for j in range(x.shape[1])])


def _card(name: str, rows: int, columns: Sequence[ColumnSpec], groups: Sequence[str]) -> Card:
    rules = tuple(Group(name=group, equals=(index,)) for index, group in enumerate(groups))
    return Card(
        name=name,
        title="Arrays",
        description="Arrays handed over by the caller; nothing is known about their source.",
        licence="unknown",
        citation="none",
        rows=rows,
        column=tuple(columns),
        label=Label(column="y", positive=Rule(equals=(1,)), meaning="class 1", negative_meaning="class 0"),
        sensitive=(Sensitive(name="group", column="sensitive_features", groups=rules),),
        default_sensitive="group",
    )


def _standardise(card: Card, train: pd.DataFrame) -> Encoder:
    """Mean 0 and deviation 1 on the training rows; a constant column is always unknown."""

    def column(spec: ColumnSpec) -> ColumnEncoder:
        cells = train[spec.name]
        constant = not cells.nunique() > 1
        scale = 0.0 if constant else float(cells.std(ddof=0))
        return ColumnEncoder(spec=spec, sensitive=False, shift=float(cells.mean()), scale=scale)

    return Encoder("robust", tuple(column(spec) for spec in card.column))


def _hash(x: Numbers, y: Integers, groups: Integers, split: Split) -> str:
    digest = hashlib.sha256(split.hash.encode())
    for part in (np.asarray(x, np.float64), np.asarray(y, np.int64), np.asarray(groups, np.int64)):
        digest.update(str(part.shape).encode())
        digest.update(np.ascontiguousarray(part).tobytes())
    return digest.hexdigest()
