"""What "not separable" leaves open, in words."""

from __future__ import annotations

import math

from reports.format import value_text
from reports.stats.contrasts import Contrast, Pooled


def finds_words(difference: Contrast | Pooled, points: bool = False) -> str:
    """``finds ≥ 0.012`` beside "not separable": what could have been found; in ``points``: hundredths; else empty."""
    if difference.verdict != "not separable" or math.isnan(difference.smallest):
        return ""
    size = f"{100 * difference.smallest:.2f}" if points else value_text(difference.smallest)
    return f"finds ≥ {size}"


FINDS = (
    "“finds ≥ x” beside “not separable”: an effect of x would have been found 8 times of 10 (two-sided test at 5 %, "
    "before Holm's correction, with the error that this run has); smaller ones are left open."
)
"""What the words of :func:`finds_words` mean."""
