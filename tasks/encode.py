"""Raw columns to numbers, with statistics of training rows only.

In every protocol the value 0 means *unknown*: a missing number is the training mean (or middle), a missing
category is no category, a missing binary value is neither. ``nifty`` with ``scale = false`` keeps raw numbers, as
published; there 0 is still what masking writes, though it is also a possible value.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from types import MappingProxyType
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from tasks.bins import binned
from tasks.card import Card, ColumnSpec, DataError
from tasks.columns import Column, Flip
from tasks.frame import RawData
from tasks.values import as_numbers, coded_words

CLIP = 5.0
"""Standardised numbers are clipped to +-5: a single wild cell must not own a gradient."""
MOST_CATEGORIES = 64
"""Most categories of a column with features of their own; the rarer ones share one."""
RARE = "(rare)"
CodedWords = tuple[np.ndarray, list[str]]
NO_WORDS: Mapping[str, CodedWords] = MappingProxyType({})


@dataclass(frozen=True)
class ColumnEncoder:
    """How one raw column becomes features; all statistics come from training rows.

    ``numeric``: (v - shift) / scale, clipped; ``scale`` 0 marks a constant column, whose feature is 0.
    ``binary``: ``levels`` of the two ``categories``. ``categorical``: one feature per category, and one for all
    of ``rare``, which are the training categories beyond the ``MOST_CATEGORIES`` most frequent.
    """

    spec: ColumnSpec
    sensitive: bool
    log: bool = False
    shift: float = 0.0
    scale: float = 1.0
    clip: float | None = CLIP
    categories: tuple[str, ...] = ()
    rare: tuple[str, ...] = ()
    levels: tuple[float, float] = (-1.0, 1.0)

    @property
    def name(self) -> str:
        """Name of the raw column."""
        return self.spec.name

    @property
    def kind(self) -> str:
        """numeric, binary or categorical."""
        return self.spec.kind

    @property
    def width(self) -> int:
        """Number of features."""
        return len(self.categories) + bool(self.rare) if self.kind == "categorical" else 1

    @property
    def feature_names(self) -> tuple[str, ...]:
        """``age``, or ``race=Black`` per category."""
        if self.kind != "categorical":
            return (self.name,)
        return tuple(f"{self.name}={c}" for c in (*self.categories, *((RARE,) if self.rare else ())))

    def words(self, series: pd.Series) -> CodedWords:
        """Codes [n] and words of a column that holds no numbers, as :func:`tasks.values.coded_words` gives them."""
        return coded_words(binned(series, self.spec) if self.spec.bins else series, self.spec.missing)

    def write(self, series: pd.Series, out: np.ndarray, words: CodedWords | None = None) -> None:
        """Fill ``out`` [n, width], given as zeros; ``words`` are those of the series, where they are known."""
        if self.kind == "numeric":
            self._write_numbers(as_numbers(series, self.spec.missing).to_numpy(), out[:, 0])
            return
        self.write_codes(self.codes(series, words), out)

    def codes(self, series: pd.Series, words: CodedWords | None = None) -> np.ndarray:
        """[n] int64 place of each row's word among the features of a column that holds no numbers; -1 is unknown."""
        codes, held = self.words(series) if words is None else words
        position = self._position
        table: np.ndarray = np.array([position.get(word, -1) for word in held] + [-1], dtype=np.int64)
        return table[codes]

    def write_codes(self, codes: np.ndarray, out: np.ndarray) -> None:
        """Fill ``out`` [n, width], given as zeros, from :meth:`codes`."""
        if self.kind == "binary":
            if len(self.categories) == 2:
                out[:, 0] = np.array([*self.levels, 0.0])[codes]
            return
        known = np.flatnonzero(codes >= 0)
        out[known, codes[known]] = 1.0

    @cached_property
    def _position(self) -> dict[str, int]:
        found = {category: index for index, category in enumerate(self.categories)}
        return {**found, **dict.fromkeys(self.rare, len(self.categories))}

    def _write_numbers(self, values: np.ndarray, out: np.ndarray) -> None:
        if self.scale == 0:
            return
        scaled = ((signed_log(values) if self.log else values) - self.shift) / self.scale
        if self.clip is not None:
            np.clip(scaled, -self.clip, self.clip, out=scaled)
        out[:] = np.nan_to_num(scaled, nan=0.0)


@dataclass(frozen=True)
class Encoder:
    """A fitted encoding: raw columns in, float32 features out; kept as JSON beside a model."""

    protocol: str
    encoders: tuple[ColumnEncoder, ...]

    @classmethod
    def fit(
        cls, raw: RawData, train: np.ndarray | Tensor, *, protocol: str = "robust", use_sensitive: str = "keep"
    ) -> Encoder:
        """Fit on the training rows.

        Parameters
        ----------
        train : [t] int64
            Positions of the training rows; no other row is looked at.
        protocol : {"robust", "large_test", "nifty"}
            robust and large_test: (signed log, where the card says so,) mean 0 and deviation 1, clipped to +-5,
            one-hot categories.
            nifty: minimum and maximum to -1 and +1, or raw numbers where the card says ``scale = false``.
        use_sensitive : {"keep", "drop"}
            drop: the columns of the task's sensitive attributes are not features.
        """
        rows, sensitive = np.asarray(train), sensitive_columns(raw.card, raw.attributes)
        specs = feature_columns(raw.card, sensitive, use_sensitive)
        scale = raw.card.nifty.scale if raw.card.nifty and protocol == "nifty" else True
        fitted = [_fit_column(c, raw.frame[c.name].iloc[rows], c.name in sensitive, protocol, scale) for c in specs]
        return cls(protocol, tuple(fitted))

    @cached_property
    def feature_names(self) -> tuple[str, ...]:
        """[d] names of the features."""
        return tuple(name for encoder in self.encoders for name in encoder.feature_names)

    @cached_property
    def columns(self) -> tuple[Column, ...]:
        """The source columns and the features that carry them."""
        ends = np.cumsum([encoder.width for encoder in self.encoders]).tolist()
        return tuple(
            Column(e.name, e.kind, tuple(range(end - e.width, end)), e.spec.text, e.spec.unit, e.sensitive)
            for e, end in zip(self.encoders, ends, strict=True)
        )

    def encode(self, frame: pd.DataFrame, words: Mapping[str, CodedWords] = NO_WORDS) -> Tensor:
        """[n, d] float32 features of raw rows; columns that are not features are ignored.

        Parameters
        ----------
        frame : DataFrame
        words : mapping of str to (codes, words)
            What :meth:`ColumnEncoder.words` says of columns, where it was asked before.

        Raises
        ------
        DataError
            If a column is missing or a numeric one holds text.
        """
        lacking = [e.name for e in self.encoders if e.name not in frame.columns]
        if lacking:
            raise DataError(
                f"The table has no column {', '.join(map(repr, lacking))}; it has {', '.join(map(str, frame.columns))}."
            )
        out = np.zeros((len(frame), sum(e.width for e in self.encoders)), dtype=np.float32)
        start = 0
        for encoder in self.encoders:
            part = out[:, start : start + encoder.width]
            encoder.write(frame[encoder.name], part, words.get(encoder.name))
            start += encoder.width
        return torch.from_numpy(out).clone()  # torch's memory: products do not depend on where NumPy put it

    def to_json(self) -> str:
        """Canonical JSON; equal encoders give equal text."""
        names = [field.name for field in dataclasses.fields(ColumnEncoder)]
        columns = [
            {**{n: getattr(e, n) for n in names}, "spec": e.spec.model_dump(mode="json", exclude_defaults=True)}
            for e in self.encoders
        ]
        return json.dumps({"protocol": self.protocol, "encoders": columns}, sort_keys=True, allow_nan=False)

    @classmethod
    def from_json(cls, text: str) -> Encoder:
        """The encoder that :meth:`to_json` wrote."""
        data = json.loads(text)
        return cls(data["protocol"], tuple(_from_dict(column) for column in data["encoders"]))


def _from_dict(column: dict[str, Any]) -> ColumnEncoder:
    fields: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in column.items() if k != "spec"}
    return ColumnEncoder(ColumnSpec.model_validate(column["spec"]), **fields)


def sensitive_columns(card: Card, attributes: tuple[str, ...]) -> tuple[str, ...]:
    """Source columns of the attributes, in their order, each once."""
    by_name = {s.name: s.column for s in card.sensitive}
    return tuple(dict.fromkeys(by_name[name] for name in attributes))


def feature_columns(card: Card, sensitive: tuple[str, ...], use_sensitive: str) -> list[ColumnSpec]:
    """The columns of a card that are features, in its order.

    Parameters
    ----------
    card : Card
    sensitive : tuple of str
        :func:`sensitive_columns`.
    use_sensitive : {"keep", "drop"}
        Whether the sensitive ones are among them.

    Raises
    ------
    DataError
        If none is left, or ``use_sensitive`` is neither.
    """
    if use_sensitive not in ("keep", "drop"):
        raise DataError(f"use_sensitive is keep or drop, not {use_sensitive!r}.")
    specs = [column for column in card.column if use_sensitive == "keep" or column.name not in sensitive]
    if not specs:
        raise DataError(f"{card.name!r} has no feature left without its sensitive columns; use use_sensitive = keep.")
    return specs


def signed_log(values: np.ndarray) -> np.ndarray:
    """sign(v) log(1 + |v|): tames heavy tails, keeps zero and the order."""
    logs: np.ndarray = np.sign(values) * np.log1p(np.abs(values))
    return logs


def make_flip(encoder: Encoder, raw: RawData, train: np.ndarray | Tensor) -> Flip | None:
    """What moves a row to another group; None if no sensitive column is a feature.

    A group's typical value of a column is its most frequent training value, or its training median where the groups
    are numeric ranges. For intersections each attribute keeps its own typical values, so moving along one leaves the
    others. A group without training rows is *unknown* (0).
    """
    sensitive = [column for column in encoder.columns if column.sensitive]
    typical = {column.name: _typical_values(raw, column.name, np.asarray(train)) for column in sensitive}
    return flip_of(encoder, typical, len(raw.group_names))


def flip_of(encoder: Encoder, typical: Mapping[str, list[str | float]], n_groups: int) -> Flip | None:
    """The flip of the typical values [g] of each sensitive column; None where no sensitive column is a feature."""
    sensitive = [column for column in encoder.columns if column.sensitive]
    if not sensitive:
        return None
    mask = torch.zeros(len(encoder.feature_names), dtype=torch.bool)
    mask[[index for column in sensitive for index in column.features]] = True
    blank = {e.name: [np.nan] * n_groups for e in encoder.encoders}
    values = encoder.encode(pd.DataFrame({**blank, **typical}))
    by_group = tuple({name: cells[k] for name, cells in typical.items()} for k in range(n_groups))
    return Flip(mask, values * mask, by_group)


def _typical_values(raw: RawData, column: str, train: np.ndarray) -> list[str | float]:
    """[g] raw value of a sensitive column for each (intersection) group."""
    by_name = {s.name: s for s in raw.card.sensitive}
    attribute = next(a for a, name in enumerate(raw.attributes) if by_name[name].column == column)
    ranges = all(not group.equals for group in by_name[raw.attributes[attribute]].groups)
    member = raw.parts[:, attribute]
    values = []
    for group in range(len(raw.group_names)):
        part = member[np.argmax(raw.groups == group)]  # all rows of an intersection share the attribute's group
        cells = raw.frame[column].iloc[train[member[train] == part]].dropna()
        values.append(_median(cells) if ranges else _mode(cells))
    return values


def _median(cells: pd.Series) -> str | float:
    """Lower median: a value that occurs."""
    if cells.empty:
        return float("nan")
    ordered = np.sort(cells.to_numpy()) if cells.dtype == np.float64 else cells.sort_values().to_numpy()
    middle: str | float = ordered[(len(ordered) - 1) // 2]
    return middle


def _mode(cells: pd.Series) -> str | float:
    """Most frequent value, ties by the smallest."""
    counts = cells.value_counts(sort=False).sort_index()
    if not len(counts) or not counts.max():
        return float("nan")
    values: list[str | float] = counts.index.tolist()
    return values[int(counts.to_numpy().argmax())]


def _fit_column(spec: ColumnSpec, train: pd.Series, sensitive: bool, protocol: str, scale: bool) -> ColumnEncoder:
    base = ColumnEncoder(spec, sensitive)
    if spec.kind == "numeric":
        return _fit_numeric(base, spec, train, protocol, scale)
    codes = train.cat.codes.to_numpy()
    counts = np.bincount(codes[codes >= 0], minlength=len(train.cat.categories)).tolist()
    return encoder_of_words(base, dict(zip(train.cat.categories, counts, strict=True)), scale=scale)


def encoder_of_words(base: ColumnEncoder, counts: Mapping[str, int], *, scale: bool = True) -> ColumnEncoder:
    """The encoder of a column without numbers: words in sorted order -> training rows that hold them."""
    seen = tuple(word for word, count in counts.items() if count)
    if base.kind == "binary":
        raw_levels = not scale and not base.sensitive and len(seen) == 2 and all(_is_float(c) for c in seen)
        levels = (float(seen[0]), float(seen[1])) if raw_levels else (-1.0, 1.0)
        return dataclasses.replace(base, categories=seen, levels=levels)
    common = set(sorted(seen, key=lambda word: -counts[word])[:MOST_CATEGORIES])
    frequent = tuple(word for word in seen if word in common)
    return dataclasses.replace(base, categories=frequent, rare=tuple(word for word in seen if word not in common))


def _fit_numeric(base: ColumnEncoder, spec: ColumnSpec, train: pd.Series, protocol: str, scale: bool) -> ColumnEncoder:
    log = spec.log and protocol != "nifty"
    values = train.dropna().to_numpy()
    values = signed_log(values) if log else values
    if not len(values) or values.min() == values.max():
        return dataclasses.replace(base, log=log, shift=float(values[0]) if len(values) else 0.0, scale=0.0)
    if protocol != "nifty":
        return standardised(base, log, float(values.mean()), _deviation(values))
    if not scale:
        return dataclasses.replace(base, clip=None)
    low, high = float(values.min()), float(values.max())
    return dataclasses.replace(base, shift=(low + high) / 2, scale=(high - low) / 2)


def standardised(base: ColumnEncoder, log: bool, mean: float, deviation: float) -> ColumnEncoder:
    """The encoder of a column of numbers with this mean and deviation of its (logs of) training values."""
    return dataclasses.replace(base, log=log, shift=_stable(mean), scale=_stable(deviation))


def _deviation(values: np.ndarray) -> float:
    """Standard deviation; also that of numbers so small that their squares are 0 in float64."""
    plain, size = float(values.std()), float(np.abs(values).max())
    return plain or size * float((values / size).std())


def _stable(value: float) -> float:
    """Nine digits: the order in which a machine adds does not change the encoding, nor the task's hash."""
    return float(f"{value:.9g}")


def _is_float(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
