"""Source columns and the encoded features that carry them: what encoding, text and masking speak of alike."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class Column:
    """A source column and the encoded features that carry it."""

    name: str
    kind: str  # "numeric", "binary" or "categorical"
    features: tuple[int, ...]
    text: str
    unit: str
    sensitive: bool


@dataclass(frozen=True)
class Flip:
    """What it takes to move rows to another group: which features to set, and to which values.

    ``mask`` is [d] bool (features of the sensitive columns); ``values`` is [g, d] float32 (row k: the
    encoded values typical of group k, zero outside ``mask``). ``typical`` has one mapping per group: sensitive column
    to its raw value (a word of the column's categories, or a number), nan where the group has no training row.
    """

    mask: Tensor
    values: Tensor
    typical: tuple[Mapping[str, str | float], ...]
