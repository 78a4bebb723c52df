"""Seconds and bytes in words."""

from __future__ import annotations

from benchmarks.plan.time_estimate import Span


def bytes_text(count: int) -> str:
    """``3.4 MB``: powers of 1000, two digits."""
    value = float(count)
    for unit in ("B", "kB", "MB"):
        if value < 1000:
            return f"{value:.{0 if value >= 10 or unit == 'B' else 1}f} {unit}"
        value /= 1000
    return f"{value:.1f} GB"


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
