"""Second pass: the encoder, fitted on the training rows a chunk at a time.

Words are counted exactly. The mean and the deviation of numbers come from sums about the first training value seen in
the column, of chunks that are added up without rounding (``math.fsum``): they agree with those of the whole column to
more than the nine digits that an encoder keeps, unless the mean is itself nothing but rounding (a column that was
standardised before); then it differs by as little as that rounding.
"""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from tasks.card import Card, ColumnSpec, DataError
from tasks.encode import (
    ColumnEncoder,
    Encoder,
    encoder_of_words,
    feature_columns,
    sensitive_columns,
    signed_log,
    standardised,
)
from tasks.frame import refuse_not_binary
from tasks.values import sort_key


@dataclass
class _Words:
    """Training rows of each word; words of other rows count 0."""

    base: ColumnEncoder
    counts: Counter[str] = field(default_factory=Counter)

    def add(self, column: pd.Series, train: np.ndarray) -> None:
        """Count a chunk; ``train`` [r] bool."""
        codes, words = column.cat.codes.to_numpy(), column.cat.categories
        count = np.bincount(codes[train & (codes >= 0)], minlength=len(words))
        self.counts.update(dict(zip(words, count.tolist(), strict=True)))

    def encoder(self, card: Card) -> ColumnEncoder:
        """The encoder of the column."""
        words = sorted(self.counts, key=sort_key)
        refuse_not_binary(card, self.base.spec, words)
        return encoder_of_words(self.base, {word: self.counts[word] for word in words})


@dataclass
class _Numbers:
    """Sums of a column's training values about a value of the column."""

    base: ColumnEncoder
    about: float = math.nan
    low: float = math.inf
    high: float = -math.inf
    count: int = 0
    sums: list[float] = field(default_factory=list)
    squares: list[float] = field(default_factory=list)

    def add(self, column: pd.Series, train: np.ndarray) -> None:
        """Add a chunk; ``train`` [r] bool."""
        values = column.to_numpy()[train]
        values = values[~np.isnan(values)]
        if not len(values):
            return
        values = signed_log(values) if self.base.spec.log else values
        self.about = float(values[0]) if math.isnan(self.about) else self.about
        self.low, self.high = min(self.low, float(values.min())), max(self.high, float(values.max()))
        apart = values - self.about
        self.count += len(values)
        self.sums.append(float(apart.sum()))
        self.squares.append(float((apart**2).sum()))

    def encoder(self, card: Card) -> ColumnEncoder:
        """The encoder of the column."""
        log = self.base.spec.log
        if not self.count or self.low == self.high:
            return ColumnEncoder(
                self.base.spec, self.base.sensitive, log=log, shift=self.low if self.count else 0.0, scale=0.0
            )
        mean = math.fsum(self.sums) / self.count
        deviation = math.sqrt(max(math.fsum(self.squares) / self.count - mean**2, 0.0))
        if not deviation:
            raise DataError(
                f"The numbers of column {self.base.name!r} of {card.name!r} are so close together ({self.low:.3g} to "
                f"{self.high:.3g}) that their squares vanish; write them in another unit."
            )
        return standardised(self.base, log, self.about + mean, deviation)


class EncoderFit:
    """The encoder of a card's features, fed a chunk at a time.

    Parameters
    ----------
    card : Card
    attributes : tuple of str
    protocol : {"robust", "large_test"}
    use_sensitive : {"keep", "drop"}

    Raises
    ------
    DataError
        If no feature is left.
    """

    def __init__(self, card: Card, attributes: tuple[str, ...], protocol: str, use_sensitive: str) -> None:
        sensitive = sensitive_columns(card, attributes)
        self._card, self._protocol = card, protocol
        specs = feature_columns(card, sensitive, use_sensitive)
        self._columns = [_statistics(spec, spec.name in sensitive) for spec in specs]

    def add(self, frame: pd.DataFrame, train: np.ndarray) -> None:
        """Typed features of a chunk (:func:`tasks.frame.feature_frame`) and which rows are for training [r] bool."""
        for column in self._columns:
            column.add(frame[column.base.name], train)

    def encoder(self) -> Encoder:
        """The encoder of all chunks."""
        return Encoder(self._protocol, tuple(column.encoder(self._card) for column in self._columns))


def _statistics(spec: ColumnSpec, sensitive: bool) -> _Words | _Numbers:
    base = ColumnEncoder(spec, sensitive)
    return _Numbers(base) if spec.kind == "numeric" else _Words(base)
