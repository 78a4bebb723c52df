"""Encoded rows as they lie in a file: numbers as float32, words as one byte, whatever their number of features."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from tasks.encode import ColumnEncoder, Encoder


@dataclass(frozen=True)
class Packing:
    """How the features of an encoder are kept.

    Attributes
    ----------
    encoder : Encoder
    """

    encoder: Encoder

    @cached_property
    def numeric(self) -> tuple[tuple[ColumnEncoder, int], ...]:
        """Columns of numbers, and the feature of each."""
        return tuple(pair for pair in self._starts if pair[0].kind == "numeric")

    @cached_property
    def worded(self) -> tuple[tuple[ColumnEncoder, int], ...]:
        """Columns of words, and the first feature of each."""
        return tuple(pair for pair in self._starts if pair[0].kind != "numeric")

    @cached_property
    def _starts(self) -> tuple[tuple[ColumnEncoder, int], ...]:
        ends = np.cumsum([column.width for column in self.encoder.encoders]).tolist()
        return tuple((c, end - c.width) for c, end in zip(self.encoder.encoders, ends, strict=True))

    def pack(self, frame: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
        """[n, numeric] float32 and [n, worded] uint8 (0: unknown, else 1 + place of the word) of typed features."""
        numbers = np.zeros((len(frame), len(self.numeric)), dtype=np.float32)
        for place, (column, _) in enumerate(self.numeric):
            column.write(frame[column.name], numbers[:, place : place + 1])
        codes = np.zeros((len(frame), len(self.worded)), dtype=np.uint8)
        for place, (column, _) in enumerate(self.worded):
            codes[:, place] = column.codes(frame[column.name]) + 1
        return numbers, codes

    def unpack(self, numbers: np.ndarray, codes: np.ndarray) -> Tensor:
        """[n, d] float32 features, byte for byte those of :meth:`tasks.encode.Encoder.encode`."""
        out = np.zeros((len(numbers), len(self.encoder.feature_names)), dtype=np.float32)
        out[:, [start for _, start in self.numeric]] = numbers
        for place, (column, start) in enumerate(self.worded):
            column.write_codes(codes[:, place].astype(np.int64) - 1, out[:, start : start + column.width])
        return torch.from_numpy(out)
