"""Spans of seconds in words."""

from __future__ import annotations

from benchmarks.plan.time_estimate import Span


def span_text(span: Span) -> str:
    """``4 to 20 min``: both ends in the unit of the larger one; ``–`` for nothing to do."""
    if span.high <= 0:
        return "–"
    unit, size = next(
        (u, s) for u, s in (("d", 86_400), ("h", 3600), ("min", 60), ("s", 1)) if span.high >= s or s == 1
    )
    low, high = _short(span.low / size), _short(span.high / size)
    return f"{high} {unit}" if low == high else f"{low} to {high} {unit}"


def _short(value: float) -> str:
    return f"{value:.0f}" if value >= 9.5 or value == 0 else f"{value:.1g}"
