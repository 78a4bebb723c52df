"""A task: all that is fixed before a method runs."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Self

import torch
from torch import Tensor

from tasks.card import Card, DataError
from tasks.columns import Column, Flip
from tasks.encode import Encoder
from tasks.frame import RawData
from tasks.text import sentences
from tasks.values import constant

if TYPE_CHECKING:
    import pandas as pd

HIDDEN = -1
"""Label of a row that a method may not see."""


@dataclass(frozen=True)
class Split:
    """Train, validation and test row ids (int64, positions in the task's rows) of one repetition.

    ``seed`` is the suite seed that drew it; None where none did (published splits, rows given by hand).
    """

    protocol: str
    index: int
    train: Tensor
    validation: Tensor
    test: Tensor
    seed: int | None = None

    @cached_property
    def hash(self) -> str:
        """sha256 of protocol, index and the three id lists."""
        digest = hashlib.sha256(f"{self.protocol}:{self.index}".encode())
        for part in (self.train, self.validation, self.test):
            digest.update(len(part).to_bytes(8, "little"))
            digest.update(part.to(torch.int64).numpy().tobytes())
        return digest.hexdigest()


@dataclass(frozen=True)
class TaskView:
    """What a method gets: everything but the labels of test rows, which are ``HIDDEN``.

    Attributes
    ----------
    features : [n, d] float32
        Encoded with statistics of training rows only. 0 means *unknown* for every feature: the mean of a
        standardised number, no category, neither value of a binary column. Masking a column sets its
        features to 0.
    labels : [n] int64 in {0, 1}, ``HIDDEN`` where not shown
    groups : [n] int64 in 0..g-1
    rows : [n] int64
        0-based row of the published file (of the stacked files, in the order of the card).
    flip : Flip or None
        None when the sensitive columns are not among the features.
    left : mapping
        Why rows of the files are not in the task ("no label", "in no group of race") → how many.
    """

    name: str
    features: Tensor
    labels: Tensor
    groups: Tensor
    group_names: tuple[str, ...]
    split: Split
    feature_names: tuple[str, ...]
    columns: tuple[Column, ...]
    rows: Tensor
    edges: Tensor | None
    card: Card
    encoder: Encoder
    frame: pd.DataFrame  # raw feature columns, row i is row i of features
    use_sensitive: str  # "keep" or "drop"
    flip: Flip | None
    hash: str
    left: Mapping[str, int] = dataclasses.field(default_factory=dict)

    @property
    def sensitive_columns(self) -> tuple[int, ...]:
        """Indices into ``columns`` of the sensitive columns that are features."""
        return tuple(i for i, column in enumerate(self.columns) if column.sensitive)

    @cached_property
    def column_of_feature(self) -> Tensor:
        """[d] int64: index into ``columns`` of each encoded feature."""
        owner = torch.empty(len(self.feature_names), dtype=torch.int64)
        for index, column in enumerate(self.columns):
            owner[list(column.features)] = index
        return owner

    def with_features(self, features: Tensor) -> TaskView:
        """The same view with other feature values (flipped, masked, perturbed)."""
        return dataclasses.replace(self, features=features)

    def moved_to(self, group: int) -> Self:
        """The same view with every row moved to a group: its sensitive columns get the values typical of the group.

        Features and raw columns both move, so that what reads text sees the same other group as what reads numbers;
        encoding the moved ``frame`` gives the moved ``features``. ``groups`` moves too, for methods that must know the
        group of a row. Columns that stay are shared, not copied.

        Raises
        ------
        DataError
            If the sensitive columns are not among the features (``flip`` is None).
        """
        if self.flip is None:
            raise DataError(
                f"Rows of {self.name} cannot be moved to another group: its sensitive columns are no features "
                f"(use_sensitive = {self.use_sensitive}). Load the task with use_sensitive = keep."
            )
        features = torch.where(self.flip.mask, self.flip.values[group], self.features)
        frame = self.frame.copy(deep=False)
        for name, value in self.flip.typical[group].items():
            frame[name] = constant(self.frame[name], value)
        return dataclasses.replace(self, features=features, frame=frame, groups=torch.full_like(self.groups, group))

    def in_group(self, group: int) -> Self:
        """The same rows as members of a group; features and raw columns stay as they are.

        What changes for a method that is told the group of a row where the group is no feature.
        """
        return dataclasses.replace(self, groups=torch.full_like(self.groups, group))

    def text(self, rows: Tensor, keep: Tensor | None = None) -> list[str]:
        """Rows as sentences; ``keep`` [r, columns] bool, a column not kept is written as unknown."""
        return sentences(self, rows, keep)


@dataclass(frozen=True)
class Task(TaskView):
    """A task with all its labels; only the harness and :func:`metrics.score` hold one."""

    def view(self) -> TaskView:
        """The task without the labels of its test rows."""
        labels = self.labels.clone()
        labels[self.split.test] = HIDDEN
        fields = {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}
        return TaskView(**{**fields, "labels": labels})


def task_hash(raw: RawData, split: Split, encoder: Encoder, use_sensitive: str) -> str:
    """sha256 over the card (with the sha256 of every file), attributes, rows, split, encoding and use_sensitive."""
    digest = hashlib.sha256()
    for word in (
        *(f.sha256 for f in raw.card.file),
        raw.card.hash,
        "+".join(raw.attributes),
        hashlib.sha256(raw.rows.tobytes()).hexdigest(),
        split.hash,
        encoder.to_json(),
        use_sensitive,
    ):
        digest.update(word.encode() + b"\x1f")
    return digest.hexdigest()
