"""The option --metrics: names of fixed metrics as people type them, with or without version."""

from __future__ import annotations


def metric_ids(text: str) -> tuple[str, ...]:
    """Ids of metrics separated by commas: "dp, EOPP@1" is dp@1 and eopp@1; empty text: none.

    Raises
    ------
    metrics.registry.MetricError
        If there is no such metric; the text names close matches.
    """
    from metrics.registry import metric_id

    return tuple(dict.fromkeys(metric_id(name) for name in text.split(",") if name.strip()))
