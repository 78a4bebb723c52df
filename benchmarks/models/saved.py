"""A saved model: an expert, the encoder that was fitted with it, and the card that says what its rows mean."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch
from torch import Tensor

from benchmarks.models.edges import Edges, edges_of
from benchmarks.models.error import ModelError, UnknownGroupError
from benchmarks.models.rows import Unknown, check_values, cleaned, words_of
from benchmarks.saving.walk import needs_graph, needs_group
from experts.expert import Expert
from tasks.card import Card
from tasks.encode import Encoder, sensitive_columns
from tasks.frame import group_numbers
from tasks.task import HIDDEN, Split, TaskView

UNKNOWN_GROUP = -1


@dataclass(frozen=True)
class SavedModel:
    """A fitted model that predicts from raw columns, away from the data and the benchmark.

    Attributes
    ----------
    expert : Expert
    encoder : Encoder
    card : Card
    facts : mapping
        What ``model.json`` says: task, method, meaning of the classes, groups, origin, versions.
    folder : Path
        Where it was read.
    """

    expert: Expert
    encoder: Encoder
    card: Card
    facts: Mapping[str, Any]
    folder: Path

    @property
    def task(self) -> str:
        """Name of the task that it was trained on."""
        return str(self.facts["task"])

    @property
    def group_names(self) -> tuple[str, ...]:
        """Groups of that task."""
        return tuple(self.facts["groups"])

    @cached_property
    def needs_group(self) -> bool:
        """Whether it must know the group of a row to decide."""
        return needs_group(self.expert)

    @cached_property
    def needs_graph(self) -> bool:
        """Whether it reads the neighbours of a row."""
        return needs_graph(self.expert)

    @cached_property
    def decides_in_batches(self) -> bool:
        """Whether a row's answer depends on the rows beside it: of graphs, and of decisions about a batch at once."""
        return self.needs_graph or _by_batch(self.expert)

    @cached_property
    def group_columns(self) -> tuple[str, ...]:
        """Raw columns that say which group a row is in."""
        return sensitive_columns(self.card, tuple(self.facts["sensitive"]))

    @cached_property
    def columns_needed(self) -> tuple[str, ...]:
        """Raw columns without which it cannot predict."""
        features = [column.name for column in self.encoder.columns]
        return tuple(dict.fromkeys([*features, *(self.group_columns if self.needs_group else ())]))

    def ignored(self, frame: pd.DataFrame) -> tuple[str, ...]:
        """Columns of raw rows that it does not look at, be they labels, ids or columns that it never saw."""
        read = {*self.columns_needed, *self.group_columns}
        return tuple(str(name) for name in frame.columns if name not in read)

    def groups(self, frame: pd.DataFrame) -> Tensor | None:
        """[r] int64 position of each row's group in ``group_names``, -1 where it is in none; None without its columns.

        Raises
        ------
        DataError
            If a column holds what the card's rules for groups cannot be asked about.
        """
        columns = self.group_columns
        if any(name not in frame.columns for name in columns):
            return None
        table = cleaned(frame, columns, self.card, self.task)
        return torch.from_numpy(group_numbers(self.card, tuple(self.facts["sensitive"]), table, self.group_names))

    def view(self, frame: pd.DataFrame, edges: Edges | None = None, *, unknown: Unknown = "error") -> TaskView:
        """Raw rows as the model reads them.

        Parameters
        ----------
        frame : DataFrame
            Raw columns as in the published file; others are ignored (:meth:`ignored` names them). Missing values are
            allowed, also in the words of the file (``?``); codes of a binned column are put into their bins.
        edges : [2, m] int64, or Path, optional
            Of graph models alone: pairs of positions of rows, or a file of pairs as the card describes it.
        unknown : {"error", "missing"}
            What a category does that no training row had: stop, or count as an empty cell, as the benchmark has it.

        Returns
        -------
        TaskView
            Without labels; row i is row i of ``frame``. Rows whose group is not known and not needed are in group 0.

        Raises
        ------
        RowsError
            If a column is absent or holds the wrong type, a category is new, there is no row, or the group of a row is
            needed and not known; the text names columns, values and rows.
        ModelError
            If a graph model gets no edges.
        """
        return self._view(frame, edges, unknown, self._known_groups)

    def _view(
        self, frame: pd.DataFrame, edges: Edges | None, unknown: Unknown, groups: Callable[[pd.DataFrame], Tensor]
    ) -> TaskView:
        table = cleaned(frame, self.columns_needed, self.card, self.task)
        words = words_of(table, self.encoder)
        check_values(table, self.encoder, unknown, words)
        features = [column.name for column in self.encoder.columns]
        shown = table if len(features) == table.shape[1] else table[features]
        none, count = torch.empty(0, dtype=torch.int64), len(frame)
        return TaskView(
            name=self.task, features=self.encoder.encode(shown, words), labels=torch.full((count,), HIDDEN),
            groups=groups(frame), group_names=self.group_names,
            split=Split("saved model", 0, none, none, none), feature_names=self.encoder.feature_names,
            columns=self.encoder.columns, rows=torch.arange(count), edges=self._edges(frame, edges), card=self.card,
            encoder=self.encoder, frame=shown, use_sensitive=self.facts["use_sensitive"], flip=None, hash="",
        )  # fmt: skip

    def predict_proba(
        self, frame: pd.DataFrame, edges: Edges | None = None, *, unknown: Unknown = "error"
    ) -> npt.NDArray[np.float64]:
        """[r, 2] probability of each class, of raw rows; arguments and errors are those of :meth:`view`."""
        view = self._view(frame, edges, unknown, self._known_groups if self.needs_group else _no_groups)
        rows = torch.arange(len(frame))
        positive = torch.sigmoid(_fixed(self.expert, view, rows).logits(view, rows).double()).numpy()
        return np.column_stack((1 - positive, positive))

    def predict(
        self, frame: pd.DataFrame, edges: Edges | None = None, *, unknown: Unknown = "error"
    ) -> npt.NDArray[np.int64]:
        """[r] decision in {0, 1}, of raw rows; arguments and errors are those of :meth:`view`."""
        return (self.predict_proba(frame, edges, unknown=unknown)[:, 1] > 0.5).astype(np.int64)

    def _known_groups(self, frame: pd.DataFrame) -> Tensor:
        found = self.groups(frame)
        if found is None:
            return _no_groups(frame)  # needed columns are there, so these are not needed
        lost = torch.nonzero(found == UNKNOWN_GROUP)[:, 0]
        if self.needs_group and len(lost):
            row = int(lost[0])
            held = ", ".join(f"{name} = {frame[name].iloc[row]!r}" for name in self.group_columns)
            raise UnknownGroupError(
                f"The model of {self.task} must know the group of each row, and row {row + 1} is in none of its groups "
                f"({held}; {len(lost)} such rows). Its groups are {', '.join(self.group_names)}; correct the cells, or "
                "leave these rows out."
            )
        return found.clamp(min=0)

    def _edges(self, frame: pd.DataFrame, edges: Edges | None) -> Tensor | None:
        if not self.needs_graph:
            return None
        if edges is None:
            raise ModelError(
                f"The model {self.facts['method']} of {self.task} reads the neighbours of each row in a graph: pass "
                "edges, [2, m] pairs of positions of rows, or the path of a file of pairs as the card describes it."
            )
        return edges_of(edges, frame, self.card)


def _no_groups(frame: pd.DataFrame) -> Tensor:
    return torch.zeros(len(frame), dtype=torch.int64)


def _fixed(expert: Any, view: TaskView, rows: Tensor) -> Expert:
    """The expert; one that decides about a batch of rows at once, for these rows."""
    found: Expert = expert.for_batch(view, rows) if _by_batch(expert) else expert
    return found


def _by_batch(expert: Any) -> bool:
    decision = getattr(expert, "decision", None)
    return decision is not None and decision.demand.mode == "batch"
