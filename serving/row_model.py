"""What the engine asks of a model of rows; ``benchmarks.models.SavedModel`` is one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import pandas as pd


class RowModel(Protocol):
    """A model of raw rows. Errors whose text tells users what to mend are ValueErrors."""

    def predict_proba(self, frame: pd.DataFrame) -> npt.NDArray[np.float64]:
        """[r, 2] probability of each class."""

    def predict(self, frame: pd.DataFrame) -> npt.NDArray[np.int64]:
        """[r] decision in {0, 1}."""

    @property
    def columns_needed(self) -> tuple[str, ...]:
        """Raw columns without which it cannot predict."""

    @property
    def group_columns(self) -> tuple[str, ...]:
        """Raw columns that say which group a row is in."""

    @property
    def needs_group(self) -> bool:
        """Whether it must know the group of a row to decide."""

    @property
    def decides_in_batches(self) -> bool:
        """Whether a row's answer depends on the rows beside it, so that requests must not be put together."""

    @property
    def facts(self) -> Mapping[str, Any]:
        """Task, method, and ``package``: name, version, trust."""


OpenRows = Callable[[str], RowModel]
"""Reads and checks the row expert of a name."""
