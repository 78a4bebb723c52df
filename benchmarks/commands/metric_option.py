"""The option --metrics: names of fixed metrics as people type them, with or without version."""

from __future__ import annotations

import difflib


class MetricError(ValueError):
    """A metric that there is not."""


def metric_ids(text: str) -> tuple[str, ...]:
    """Ids of metrics separated by commas: "dp, EOPP@1" is dp@1 and eopp@1; empty text: none.

    Raises
    ------
    MetricError
        If there is no such metric; the text names close matches.
    """
    names = [name.strip() for name in text.split(",") if name.strip()]
    return tuple(dict.fromkeys(_id(name) for name in names))


def _id(name: str) -> str:
    from metrics.registry import METRICS

    small = name.lower()
    if small in METRICS:
        return small
    bare = {id.split("@")[0]: id for id in METRICS}
    if small in bare:
        return bare[small]
    close = difflib.get_close_matches(small.split("@")[0], bare, n=3)
    hint = f"Did you mean {' or '.join(bare[found] for found in close)}? " if close else ""
    raise MetricError(f"There is no metric {name!r}. {hint}Metrics are {', '.join(METRICS)}.")
