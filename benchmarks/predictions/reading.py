"""Anyone's predictions from a CSV file, checked row by row before they are scored."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd
import torch

if TYPE_CHECKING:
    from torch import Tensor

    from tasks.task import TaskView


class PredictionError(ValueError):
    """A prediction file that cannot be scored as it is."""


def read_predictions(path: Path, view: TaskView, rows: Tensor) -> Tensor:
    """[r] float64 probabilities of the given task rows, in their order.

    Parameters
    ----------
    path : Path
        CSV with the columns ``row`` (0-based row of the published file) and ``probability`` (of class 1, in [0, 1]);
        other columns are ignored, and so are rows that are not asked for.
    view : TaskView
    rows : [r] int64
        Task rows that need a prediction.

    Raises
    ------
    PredictionError
        If a column is missing, a row is missing or repeated, or a probability is not a number in [0, 1].
    """
    frame = _read(path)
    bad = frame["probability"].isna() | ~frame["probability"].between(0.0, 1.0)
    if bad.any():
        line = int(bad.to_numpy().argmax())
        raise PredictionError(
            f"{path}: {int(bad.sum())} probabilities are not numbers in [0, 1]; the first is "
            f"{frame['probability'].iloc[line]} on line {line + 2} (row {frame['row'].iloc[line]}). "
            "Give the probability of class 1 for every row."
        )
    repeated = frame["row"].duplicated()
    if repeated.any():
        raise PredictionError(
            f"{path}: {int(repeated.sum())} rows occur more than once; the first is row "
            f"{frame['row'][repeated].iloc[0]}. Give each row once."
        )
    wanted = pd.Index(view.rows[rows].numpy())
    found = frame.set_index("row")["probability"].reindex(wanted)
    missing = found.isna()
    if missing.any():
        raise PredictionError(
            f"{path}: {int(missing.sum())} of {len(wanted)} test rows of {view.name} (split {view.split.index}, "
            f"{view.split.protocol}) have no prediction; the first is row {wanted[missing.to_numpy()][0]}. "
            "'row' is the 0-based row of the published file."
        )
    return torch.from_numpy(found.to_numpy(dtype="float64", copy=True))


def _read(path: Path) -> pd.DataFrame:
    try:
        frame: pd.DataFrame = pd.read_csv(path)
    except FileNotFoundError:
        raise PredictionError(f"There is no file {path}. Give a CSV with the columns row and probability.") from None
    except (pd.errors.ParserError, pd.errors.EmptyDataError, UnicodeDecodeError) as error:
        raise PredictionError(
            f"{path} is not a CSV file: {error}. Give a CSV with the columns row and probability."
        ) from error
    absent = [name for name in ("row", "probability") if name not in frame.columns]
    if absent:
        raise PredictionError(
            f"{path} has no column {' and no column '.join(absent)}; it has {', '.join(map(str, frame.columns))}."
        )
    numbers: pd.DataFrame = frame[["row", "probability"]].apply(pd.to_numeric, errors="coerce")
    wrong = numbers["row"].isna() | (numbers["row"] % 1 != 0)
    if wrong.any():
        line = int(wrong.to_numpy().argmax())
        raise PredictionError(f"{path}: line {line + 2} has row {frame['row'].iloc[line]!r}; rows are whole numbers.")
    return numbers.astype({"row": "int64"})
