"""Numbers that may be missing, as files have them; bytes of a GiB."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

GIB = 1 << 30
"""Bytes of a GiB."""


def finite(data: Any) -> Any:
    """Data as JSON can hold it: nan and infinities become None, tuples lists; mappings and sequences are copied.

    JSON has no nan, and a reader that gets one anyway may refuse the file.
    """
    return _mapped(data, lambda number: number if math.isfinite(number) else None)


def finite_dict(data: Mapping[str, Any]) -> dict[str, Any]:
    """:func:`finite` of what is known to be a mapping."""
    return {key: finite(value) for key, value in data.items()}


def spelled(data: Any) -> Any:
    """The same with infinities as "inf" and "-inf", which ``float`` reads: for files that we alone read again."""
    return _mapped(data, lambda number: None if math.isnan(number) else str(number) if math.isinf(number) else number)


def _mapped(data: Any, change: Callable[[float], Any]) -> Any:
    """A copy in which every float is changed."""
    if isinstance(data, dict):
        return {key: _mapped(value, change) for key, value in data.items()}
    if isinstance(data, (list, tuple)):
        return [_mapped(value, change) for value in data]
    return change(data) if isinstance(data, float) else data
