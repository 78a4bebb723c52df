"""How the probabilities of a model are spread, kept as counts in bins: what later rows are compared with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from foundation.seeding import numpy_generator

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

BINS = 10
SHUFFLES = 2_000


@dataclass(frozen=True)
class ScoreBins:
    """Rows per bin of the probability.

    Attributes
    ----------
    edges : tuple of float
        Ascending; bin k holds what lies above edge k-1 and not above edge k.
    counts : tuple of int
        One more than edges; empty: nothing is known.
    """

    edges: tuple[float, ...] = ()
    counts: tuple[int, ...] = ()


@dataclass(frozen=True)
class Drift:
    """How far the scores of new rows lie from those of the promise.

    Attributes
    ----------
    psi : float
        Population stability index, 0 for equal shares.
    null_p95 : float
        Its 95th percentile if both sets of rows were dealt from one.
    p : float
        Share of such deals that lie as far apart, in (0, 1].
    """

    psi: float
    null_p95: float
    p: float


def bins_of_scores(probability: Tensor) -> ScoreBins:
    """Tenths of [n] probabilities, fewer where many are equal."""
    values = probability.double().numpy()
    known = np.unique(values)
    levels = np.quantile(values, np.arange(1, BINS) / BINS, method="lower")
    below = np.unique(np.searchsorted(known, levels[levels < known[-1]]))
    edges = (known[below] + known[below + 1]) / 2  # between values: rounding moves none across
    return ScoreBins(tuple(edges.tolist()), tuple(_counts(values, edges).tolist()))


def drift_of_scores(promised: ScoreBins, probability: Tensor, seed: int = 0) -> Drift | None:
    """How far [n] new probabilities lie from the promised ones; None where nothing is known of these.

    The null deals the rows of both sets anew, bins kept: counts of such deals are hypergeometric.
    """
    if not promised.counts or not len(probability):
        return None
    old = np.asarray(promised.counts, dtype=np.int64)
    new = _counts(probability.double().numpy(), np.asarray(promised.edges))
    generator = numpy_generator(seed, "score drift")
    dealt = generator.multivariate_hypergeometric(old + new, int(old.sum()), size=SHUFFLES, method="marginals")
    null = _psi(dealt, old + new - dealt)
    observed = float(_psi(old[None], new[None])[0])
    p = (1 + int((null >= observed - 1e-12).sum())) / (1 + SHUFFLES)
    return Drift(observed, float(np.quantile(null, 0.95)), p)


def _counts(values: NDArray[np.float64], edges: NDArray[np.float64]) -> NDArray[np.int64]:
    return np.bincount(np.searchsorted(edges, values, side="left"), minlength=len(edges) + 1)


def _psi(first: NDArray[np.int64], second: NDArray[np.int64]) -> NDArray[np.float64]:
    """[k] index of k pairs of counts; half a row is added to every bin, so that an empty one is not infinitely far."""
    shares = [(counts + 0.5) / (counts.sum(-1, keepdims=True) + 0.5 * counts.shape[-1]) for counts in (first, second)]
    found: NDArray[np.float64] = ((shares[0] - shares[1]) * np.log(shares[0] / shares[1])).sum(-1)
    return found
