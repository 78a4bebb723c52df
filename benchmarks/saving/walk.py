"""What a model needs beside features, by asking all parts of it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any


def parts(expert: Any) -> Iterator[Any]:
    """The expert itself and, at any depth, the experts that it is made of."""
    yield expert
    base, bag = getattr(expert, "base", None), getattr(expert, "bag", None)
    inner = [*getattr(expert, "experts", ()), base, getattr(bag, "expert", None)]
    for part in inner:
        if hasattr(part, "logits"):
            yield from parts(part)


def needs_group(expert: Any) -> bool:
    """Whether some part is told the group of a row when it decides."""
    return any(getattr(part, "knows_group", False) for part in parts(expert))


def needs_graph(expert: Any) -> bool:
    """Whether some part reads a row's neighbours."""
    return any(getattr(part, "reads_graph", False) for part in parts(expert))
