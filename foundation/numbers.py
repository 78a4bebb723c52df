"""Numbers that may be missing, as files have them."""

from __future__ import annotations

import math
from typing import Any


def finite(data: Any) -> Any:
    """Data as JSON can hold it: nan and infinities become None, tuples lists; mappings and sequences are copied.

    JSON has no nan, and a reader that gets one anyway may refuse the file.
    """
    if isinstance(data, dict):
        return {key: finite(value) for key, value in data.items()}
    if isinstance(data, (list, tuple)):
        return [finite(value) for value in data]
    return None if isinstance(data, float) and not math.isfinite(data) else data


def spelled(data: Any) -> Any:
    """The same with infinities as "inf" and "-inf", which ``float`` reads: for files that we alone read again."""
    if isinstance(data, dict):
        return {key: spelled(value) for key, value in data.items()}
    if isinstance(data, (list, tuple)):
        return [spelled(value) for value in data]
    return str(data) if isinstance(data, float) and math.isinf(data) else finite(data)
