"""Anyone's predictions from a CSV or parquet file, checked row by row before they are scored."""

from __future__ import annotations

import csv
import gzip
import io
import math
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from torch import Tensor

    from tasks.task import TaskView

COLUMNS = ("row", "probability")
_TRUTH = {"true": 1.0, "false": 0.0}
_SHOWN = 40


class PredictionError(ValueError):
    """A prediction file that cannot be scored as it is."""


@dataclass(frozen=True)
class _Line:
    """One prediction as the file writes it, and where it stands: "line 7" or "record 7"."""

    place: str
    row: str
    probability: str


def read_predictions(path: Path, view: TaskView, rows: Tensor) -> Tensor:
    """[r] float64 probabilities of the given task rows, in their order.

    Parameters
    ----------
    path : Path
        CSV (also .csv.gz) or .parquet with the columns ``row`` (0-based row of the published file) and
        ``probability`` (of class 1, in [0, 1]). Other columns are ignored, and so are rows that are not asked for,
        whatever stands in them; of a file with a column ``part``, as a benchmark writes it, only the part "test" is
        read.
    view : TaskView
    rows : [r] int64
        Task rows that need a prediction.

    Raises
    ------
    PredictionError
        If a column is missing, a row is missing, repeated or not in the data, or a probability is not in [0, 1].
    """
    wanted = {int(row): place for place, row in enumerate(view.rows[rows].tolist())}
    found: dict[int, tuple[str, float]] = {}
    for line in _lines(path):
        row = _row(path, line, view)
        if row not in wanted:
            continue
        if row in found:
            raise PredictionError(f"{path}: row {row} is on {found[row][0]} and on {line.place}. Give each row once.")
        found[row] = (line.place, _probability(path, line))
    missing = [row for row in wanted if row not in found]
    if missing:
        raise PredictionError(
            f"{path}: {len(missing)} of {len(wanted)} test rows of {view.name} (split {view.split.index}, "
            f"{view.split.protocol}) have no prediction; the first is row {missing[0]}. 'row' is the 0-based row of "
            "the published file: the first row below its header is row 0."
        )
    return torch.tensor([found[row][1] for row in wanted], dtype=torch.float64)


def _row(path: Path, line: _Line, view: TaskView) -> int:
    try:
        number = float(line.row)
    except ValueError:
        number = math.nan
    if not math.isfinite(number) or number != int(number) or "_" in line.row:
        raise PredictionError(f"{path}: {line.place} has row {_short(line.row)}; rows are whole numbers.")
    if not 0 <= number < view.card.rows:
        raise PredictionError(
            f"{path}: {line.place} has row {_short(line.row)}, but {view.card.name} has the rows 0 to "
            f"{view.card.rows - 1}. 'row' is the 0-based row of the published file: the first row is 0."
        )
    return int(number)


def _probability(path: Path, line: _Line) -> float:
    text = line.probability.strip()
    try:
        value = _TRUTH[text.lower()] if text.lower() in _TRUTH else math.nan if "_" in text else float(text)
    except ValueError:
        value = math.nan
    if 0.0 <= value <= 1.0:
        return value
    raise PredictionError(
        f"{path}: {line.place} (row {_short(line.row)}) has the probability {_short(line.probability)}, which is not a "
        f"number in [0, 1]{_hint(text, value)}. Give the probability of class 1 for every test row."
    )


def _hint(text: str, value: float) -> str:
    """What such a cell mostly is."""
    if not text:
        return ": it is empty"
    if text.endswith("%"):
        return ": divide percentages by 100 and leave the sign out"
    if "," in text:
        return ": write it with a decimal point"
    if math.isfinite(value) and abs(value - round(min(max(value, 0.0), 1.0))) < 1e-5:
        return ": clip what rounding pushed out of it"
    return ": are these margins or log odds?" if math.isfinite(value) else ""


def _short(text: str) -> str:
    return repr(text if len(text) <= _SHOWN else text[: _SHOWN - 3] + "...")


def _lines(path: Path) -> Iterator[_Line]:
    if not path.exists():
        raise PredictionError(f"There is no file {path}. Give a CSV with the columns row and probability.")
    if not path.is_file():
        raise PredictionError(f"{path} is no file. Give a CSV with the columns row and probability.")
    try:
        yield from _of_parquet(path) if path.suffix == ".parquet" else _of_csv(path)
    except (OSError, EOFError, UnicodeDecodeError, csv.Error, zlib.error) as error:
        reason = " ".join(str(error).split())
        raise PredictionError(
            f"{path} cannot be read: {reason}. Give a CSV in UTF-8 with the columns row and probability."
        ) from error


def _of_csv(path: Path) -> Iterator[_Line]:
    with path.open("rb") as raw:
        packed = raw.read(2) == b"\x1f\x8b"
    with gzip.open(path) if packed else path.open("rb") as stream:
        reader = csv.reader(io.TextIOWrapper(stream, encoding="utf-8-sig", newline=""))
        names = next((record for record in reader if record), [])
        columns = _columns(path, [name.strip() for name in names])
        above = reader.line_num
        for record in reader:
            place, above = f"line {above + 1}", reader.line_num
            if not any(cell.strip() for cell in record):
                continue
            if len(record) <= max(columns.values()):
                raise PredictionError(f"{path}: {place} has {len(record)} cells, its header has {len(names)}.")
            if "part" in columns and record[columns["part"]] != "test":
                continue
            yield _Line(place, *(record[columns[name]] for name in COLUMNS))


def _of_parquet(path: Path) -> Iterator[_Line]:
    import pyarrow.parquet as pq
    from pyarrow.lib import ArrowException

    try:
        names = list(pq.read_schema(path).names)  # type: ignore[no-untyped-call]
        columns = list(_columns(path, names))
        table = pq.read_table(path, columns=columns)  # type: ignore[no-untyped-call]
    except (ArrowException, NotImplementedError) as error:
        raise PredictionError(f"{path} is not a parquet file ({' '.join(str(error).split())}).") from error
    cells = [[_text(cell) for cell in table.column(name).to_pylist()] for name in (*COLUMNS, *columns[2:])]
    for number, (row, probability, *part) in enumerate(zip(*cells, strict=True), start=1):
        if not part or part[0] == "test":
            yield _Line(f"record {number}", row, probability)


def _text(cell: object) -> str:
    return "" if cell is None else str(cell)


def _columns(path: Path, names: list[str]) -> dict[str, int]:
    """Positions of row, probability and, where there is one, part."""
    absent = [name for name in COLUMNS if name not in names]
    if not names:
        raise PredictionError(f"{path} is empty. Give a CSV with the columns row and probability.")
    for separator, called in ((";", "semicolons"), ("\t", "tabs"), ("|", "bars")):
        if absent and {name.strip(' "') for name in separator.join(names).split(separator)}.issuperset(COLUMNS):
            raise PredictionError(
                f"{path} separates its columns by {called}; separate them by commas, and write numbers with a "
                "decimal point."
            )
    if absent:
        held = ", ".join(_short(name) for name in names[:8]) + (", ..." if len(names) > 8 else "")
        raise PredictionError(f"{path} has no column {' and no column '.join(absent)}; it has {held}.")
    for name in COLUMNS:
        if names.count(name) > 1:
            raise PredictionError(
                f"{path} has {names.count(name)} columns {name!r}; leave one, that of class 1 if they are two classes."
            )
    return {name: names.index(name) for name in (*COLUMNS, "part") if name in names}
