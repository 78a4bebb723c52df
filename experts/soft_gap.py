"""The soft group gap of one model and its gradient, by hand: for models whose every step is only a few products."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.special import expit

from metrics.surrogates import SHARPNESS

Floats = npt.NDArray[np.float64]


def soft_gap(margins: Floats, rates: Floats) -> tuple[float, Floats]:
    """:func:`metrics.surrogates.soft_gaps` of margins [n], and its gradient [n] in them.

    The mean of the gaps of soft selection and true positive rates, of σ(z) and of the sharpened σ(5 z).

    Parameters
    ----------
    margins : [n] float64
    rates : [n, 2·g] float64
        As :func:`metrics.surrogates.rate_weights` gives them: columns average over a group's rows, then over its rows
        of class 1; 0 for a group without such rows.
    """
    value, slope = 0.0, np.zeros(len(margins))
    for sharpness in (1.0, SHARPNESS):
        probability = expit(sharpness * margins)
        gaps, direction = _gaps(probability, rates)
        value += gaps / 2
        slope += direction * (sharpness / 2) * probability * (1 - probability)
    return value, slope


def _gaps(probability: Floats, rates: Floats) -> tuple[float, Floats]:
    """Mean of the two gaps of soft rates, and its gradient [n] in the probabilities [n]."""
    groups = rates.shape[1] // 2
    soft, known = probability @ rates, rates.sum(0) > 0
    total, direction = 0.0, np.zeros(len(probability))
    for first in (0, groups):
        members = first + np.flatnonzero(known[first : first + groups])
        if len(members) < 2:
            continue
        high, low = members[soft[members].argmax()], members[soft[members].argmin()]
        total += float(soft[high] - soft[low]) / 2
        direction += (rates[:, high] - rates[:, low]) / 2
    return total, direction
