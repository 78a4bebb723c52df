"""Log loss plus soft group gaps, with the gradient and curvature that boosting asks for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt
from scipy.special import expit, logit
from torch import Tensor

from experts.soft_gap import soft_gap
from metrics.surrogates import rate_weights

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class FairLoss:
    """Mean log loss + ``strength`` · soft gap of one set of rows.

    The soft gap is :func:`metrics.surrogates.soft_gaps`, as in the result role of networks.

    Attributes
    ----------
    labels : [n] float64 in {0, 1}
    rates : [n, 2·g] float64
        Columns average over a group's rows, then over its rows of class 1; 0 for a group without such rows.
    strength : float
        λ; 0 leaves the log loss.
    """

    labels: Floats
    rates: Floats
    strength: float

    @classmethod
    def of(cls, labels: Tensor, groups: Tensor, n_groups: int, strength: float) -> Self:
        """The loss of rows with labels [n] in groups [n]."""
        return cls(labels.double().numpy(), rate_weights(labels, groups, n_groups).double().numpy(), strength)

    @property
    def start(self) -> float:
        """Best constant margin: the log odds of class 1, kept finite where there is one class."""
        share = self.labels.mean()
        return float(logit(np.clip(share, 1e-9, 1 - 1e-9)))

    def gradient(self, margins: Floats) -> tuple[Floats, Floats]:
        """[n], [n] gradient of n · loss in the margins [n], and a curvature for Newton's steps.

        It is that of the log loss plus the size of the gaps' gradient. The gaps' own curvature has no fixed sign and
        is infinite where the sign of a gap changes; with the log loss's alone large λ overshoot from one sign to the
        other, with the sum no row is moved further than about 1 by its gap.
        """
        probability = expit(margins)
        slope, curvature = probability - self.labels, probability * (1 - probability)
        if self.strength == 0:
            return slope, curvature
        towards = self.strength * len(margins) * soft_gap(margins, self.rates)[1]
        return slope + towards, curvature + np.abs(towards)

    def value(self, margins: Floats) -> float:
        """Mean log loss + λ · soft gap of margins [n]."""
        loss = float(np.logaddexp(0.0, margins).mean() - (self.labels * margins).mean())
        return loss if self.strength == 0 else loss + self.strength * soft_gap(margins, self.rates)[0]
