"""Numbers as people read them: few digits, a true minus sign, a dash where there is none."""

from __future__ import annotations

import math

NONE = "–"


def digits_of(value: float) -> int:
    """Decimals that show a value: three, four for small ones."""
    return 3 if abs(value) >= 0.00995 or value == 0 else 4


def value_text(value: float, digits: int | None = None) -> str:
    """``0.843``; ``0.0021`` for small values; a dash for nan."""
    if math.isnan(value):
        return NONE
    text = f"{value:.{digits_of(value) if digits is None else digits}f}"
    return text.removeprefix("-") if float(text) == 0 else text.replace("-", "−")


def signed(value: float) -> str:
    """``+0.012`` or ``−0.003``."""
    if math.isnan(value):
        return NONE
    text = value_text(value, 4 if 0 < abs(value) < 0.0005 else 3)
    return text if text.startswith("−") or float(text) == 0 else "+" + text


def points_text(value: float, digits: int = 2) -> str:
    """A difference of utility in points (hundredths): ``+1.02``, ``−0.30``."""
    if math.isnan(value):
        return NONE
    text = f"{100 * value:+.{digits}f}"
    return text[1:] if float(text) == 0 else text.replace("-", "−")


def points_span(low: float, high: float) -> str:
    """An interval of differences of utility in points: ``[−0.30, +1.02]``; empty where an end is not known."""
    return "" if math.isnan(low) or math.isnan(high) else f"[{points_text(low)}, {points_text(high)}]"


def points_with_span(value: float, low: float, high: float) -> str:
    """A difference of utility in points and its interval, where it is known: ``+0.36 [−0.30, +1.02]``."""
    return f"{points_text(value)} {points_span(low, high)}".strip()


def estimate_text(value: float, half: float) -> str:
    """A value with the digits that its interval deserves."""
    return value_text(value, digits_of(max(abs(value), 0.0 if math.isnan(half) else half)))


def half_text(value: float, half: float) -> str:
    """``±0.020`` with the digits of :func:`estimate_text`; ``±>1`` when nothing is known; empty without an interval."""
    if half >= 1:
        return "±>1"  # as long as the whole range of the metrics: two splits have a t quantile of 12.7
    return "" if math.isnan(half) else f"±{half:.{digits_of(max(abs(value), half))}f}"


def interval_text(low: float, high: float, digits: int | None = None) -> str:
    """``[0.003, 0.021]``; empty when there is none."""
    if math.isnan(low) or math.isnan(high):
        return ""
    shown = digits_of(max(abs(low), abs(high))) if digits is None else digits
    return f"[{value_text(low, shown)}, {value_text(high, shown)}]"


def count_text(value: float) -> str:
    """Whole number with thin spaces between thousands."""
    return NONE if math.isnan(value) else f"{round(value):,}".replace(",", "\u202f")


def seconds_text(value: float) -> str:
    """Seconds with two significant digits or none after the point."""
    if math.isnan(value):
        return NONE
    return f"{value:.0f}" if value >= 10 else f"{value:.1f}" if value >= 1 else f"{value:.2f}"


def kib_text(value: float) -> str:
    """KiB with two significant digits or none after the point; ``0`` for nothing."""
    return "0" if value == 0 else count_text(value) if value >= 10 else seconds_text(value)
