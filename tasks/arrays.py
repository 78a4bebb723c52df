"""A task view of plain arrays, for callers that have no data card (scikit-learn estimators, tests)."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch

from tasks.card import Card, ColumnSpec, DataError, Group, Label, Rule, Sensitive
from tasks.encode import ColumnEncoder, Encoder
from tasks.task import Split, TaskView
from tasks.values import LARGEST

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
    rows = torch.as_tensor(train, dtype=torch.int64)
    card = _card(name, len(x), list(frame.columns), labels)
    encoder = _standardise(card, frame.iloc[np.asarray(train)])
    split = Split("arrays", 0, rows, torch.as_tensor(validation, dtype=torch.int64), torch.empty(0, dtype=torch.int64))
    return TaskView(
        name=name,
        features=encoder.encode(frame),
        labels=torch.as_tensor(y, dtype=torch.int64),
        groups=torch.as_tensor(groups, dtype=torch.int64),
        group_names=labels,
        split=split,
        feature_names=encoder.feature_names,
        columns=encoder.columns,
        rows=torch.arange(len(x)),
        edges=None,
        card=card,
        encoder=encoder,
        frame=frame,
        use_sensitive="drop",
        flip=None,
        hash=_hash(x, y, groups, split),
    )


def frame_of(x: Numbers, names: Sequence[str] = ()) -> pd.DataFrame:
    """Columns of ``x`` as a frame; default names as in :func:`view_of_arrays`, whose encoder takes it."""
    return pd.DataFrame(x, columns=list(names) or [f"x{j}" for j in range(x.shape[1])])


def _card(name: str, rows: int, columns: Sequence[str], groups: Sequence[str]) -> Card:
    rules = tuple(Group(name=group, equals=(index,)) for index, group in enumerate(groups))
    return Card(
        name=name,
        title="Arrays",
        description="Arrays handed over by the caller; nothing is known about their source.",
        licence="unknown",
        citation="none",
        rows=rows,
        column=tuple(ColumnSpec(name=column, kind="numeric", text=column) for column in columns),
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
