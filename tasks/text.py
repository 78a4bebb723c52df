"""Rows as text: one phrase per column, in the order of the card, in one of three templates."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol

import numpy as np
import pandas as pd
from torch import Tensor

from tasks.bins import binned
from tasks.card import Card, DataError
from tasks.columns import Column
from tasks.templates import UNKNOWN, format_of
from tasks.values import as_words, number_word


class Table(Protocol):
    """What is written of a task: its columns, their raw values, and the words of its card."""

    @property
    def columns(self) -> tuple[Column, ...]:
        """Source columns that are features."""
        ...

    @property
    def frame(self) -> pd.DataFrame:
        """Raw values of these columns."""
        ...

    @property
    def card(self) -> Card:
        """Words of the columns and of what is asked."""
        ...


class Written(NamedTuple):
    """A row as text, and the character span (first, behind the last) of each column's phrase, name and value."""

    text: str
    spans: tuple[tuple[int, int], ...]


class Phrases(NamedTuple):
    """What one column says of r rows: row i says ``texts[codes[i]]``."""

    texts: list[str]
    codes: np.ndarray  # [r] int64


def render(view: Table, rows: Tensor, keep: Tensor | None = None, template: str = "sentence") -> list[Written]:
    """Write rows as text, such as "The applicant's age is 23 years. The applicant's sex is female."

    A missing value and a masked column read the same, *unknown*, as both are 0 among the features. Columns that are not
    features (the sensitive ones under ``use_sensitive = drop``) are not mentioned.

    Parameters
    ----------
    rows : [r] int64
        Positions of the task's rows.
    keep : [r, columns] bool, optional
        A column that is not kept is written as unknown.
    template : {"sentence", "list", "record"}

    Returns
    -------
    list of Written
        One text per row, with the spans of ``view.columns``, in their order.

    Raises
    ------
    DataError
        If ``keep`` has another shape, or there is no such template.
    """
    style = format_of(template)
    columns = column_phrases(view, rows, keep, template)
    parts = [[texts[code] for code in codes.tolist()] for texts, codes in columns]
    written = [style.between.join(phrases) + style.end for phrases in zip(*parts, strict=True)]
    sizes = [np.array([len(text) for text in texts], dtype=np.int64)[codes] for texts, codes in columns]
    ends = np.cumsum(np.stack(sizes, 1) + len(style.between), 1) - len(style.between)
    starts = ends - np.stack(sizes, 1)
    spans = (tuple(zip(s, e, strict=True)) for s, e in zip(starts.tolist(), ends.tolist(), strict=True))
    return [Written(text, span) for text, span in zip(written, spans, strict=True)]


def sentences(view: Table, rows: Tensor, keep: Tensor | None = None) -> list[str]:
    """Rows [r] as plain sentences; see :func:`render`."""
    return [written.text for written in render(view, rows, keep)]


def column_phrases(view: Table, rows: Tensor, keep: Tensor | None = None, template: str = "sentence") -> list[Phrases]:
    """The phrases that rows are made of, each different one once; one entry per column of the view.

    Parameters and errors are those of :func:`render`.
    """
    style = format_of(template)
    if keep is not None and tuple(keep.shape) != (len(rows), len(view.columns)):
        raise DataError(f"keep is [rows, columns] = {(len(rows), len(view.columns))}, not {tuple(keep.shape)}.")
    found = []
    for index, column in enumerate(view.columns):
        values, codes = _values(view, view.frame[column.name].iloc[rows.numpy()], column.unit)
        if keep is not None:  # the last of the values is unknown
            codes = np.where(keep[:, index].numpy(), codes, len(values) - 1)
        before, behind = style.around(view.card.text.subject, column.text)
        found.append(Phrases([before + value + behind for value in values], codes))
    return found


def cells_of(view: Table, rows: Tensor) -> list[tuple[tuple[str, str], ...]]:
    """What rows say, without the words of a template: (column, value) per column, for each row."""
    said = [_values(view, view.frame[column.name].iloc[rows.numpy()], column.unit) for column in view.columns]
    return [
        tuple((column.text, texts[codes[i]]) for column, (texts, codes) in zip(view.columns, said, strict=True))
        for i in range(len(rows))
    ]


def row_of(cells: Sequence[tuple[str, str]], subject: str, template: str = "sentence") -> str:
    """The text that :func:`render` writes of a row, from its columns and values."""
    style = format_of(template)
    phrases = [value.join(style.around(subject, column)) for column, value in cells]
    return style.between.join(phrases) + style.end


def _values(view: Table, series: pd.Series, unit: str) -> tuple[list[str], np.ndarray]:
    """Words of a column's values (the card's, numbers with their unit; last: unknown), and which of them a row has."""
    spec = next(c for c in view.card.column if c.name == series.name)
    words = {number_word(value): text for value, text in spec.values.items()} | spec.values  # "True" is the word 1
    suffix = f" {unit}" if unit else ""
    if series.dtype != "category" and spec.kind != "numeric":  # a table as a user hands it over
        series = as_words(binned(series, spec) if spec.bins else series, spec.missing)
    if series.dtype == "category":
        codes, names = series.cat.codes.to_numpy().astype(np.int64), list(series.cat.categories)
    else:
        codes, uniques = pd.factorize(series)  # missing is -1
        names = [f"{value:.10g}" for value in uniques]
    texts = [words.get(name, name + suffix) for name in names]
    return [*texts, UNKNOWN], np.where(codes < 0, len(texts), codes)
