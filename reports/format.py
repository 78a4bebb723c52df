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
    return f"{value:.{digits_of(value) if digits is None else digits}f}".replace("-", "−")


def signed(value: float) -> str:
    """``+0.012`` or ``−0.003``."""
    if math.isnan(value):
        return NONE
    text = value_text(value, 3)
    return text if value < 0 and text.startswith("−") else "+" + text


def half_text(half: float, value: float) -> str:
    """``±0.020`` with the digits of the value it belongs to."""
    return "" if math.isnan(half) else f"±{half:.{digits_of(value)}f}"


def interval_text(low: float, high: float) -> str:
    """``[0.003, 0.021]``; empty when there is none."""
    if math.isnan(low) or math.isnan(high):
        return ""
    digits = max(digits_of(low), digits_of(high)) if max(abs(low), abs(high)) < 0.01 else 3
    return f"[{value_text(low, digits)}, {value_text(high, digits)}]"


def count_text(value: float) -> str:
    """Whole number with thin spaces between thousands."""
    return NONE if math.isnan(value) else f"{round(value):,}".replace(",", " ")


def seconds_text(value: float) -> str:
    """Seconds with two significant digits or none after the point."""
    if math.isnan(value):
        return NONE
    return f"{value:.0f}" if value >= 10 else f"{value:.1f}" if value >= 1 else f"{value:.2f}"
