"""A quadratic in the weights for every row's margin: what makes a mixture cost a matrix product instead of a pass.

``ℓ_i(α) = c_i + b_iᵀα + αᵀQ_iα`` is determined by 1 + 2K + K(K−1)/2 true evaluations, the anchors. Two fits use more:
least squares, or a cubic radial part that passes through what the quadratic leaves over (Powell, "The theory of radial
basis function approximation", 1992), so that the surrogate is true at every anchor and re-anchoring converges. Both
are exact where a margin is a quadratic. On SVF mixtures of random decoders the radial part halves the error with 20
anchors beyond the necessary ones, and divides it by four with 60.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from scipy.stats import spearmanr
from torch import Tensor
from torch.quasirandom import SobolEngine

from foundation.seeding import derive_seed
from llm_experts.search.box import Box

SMOOTHING = 1e-9
"""Added to the radial kernel's diagonal: margins are float32, and two close anchors must not magnify their rounding."""
CLOSE = 1e-3
"""Anchors nearer than this (of half the box) count as one."""
FOLDS = 10


def terms(k: int) -> int:
    """Coefficients of a quadratic in ``k`` weights, which is the least number of anchors."""
    return 1 + 2 * k + k * (k - 1) // 2


def design(box: Box) -> Tensor:
    """[terms, K] anchors that determine a quadratic exactly.

    Without a floor of the base: the box's centre, the centres of its faces, and for each pair of experts a corner of
    the plane between them. With a floor the weights fill a simplex: its vertices (base, and each expert as far as it
    may go), and the middles of its edges (Scheffé's {K+1, 2} lattice, JRSS B 1958).
    """
    k = len(box.low)
    unit, zero = torch.eye(k, dtype=torch.float64), torch.zeros(k, dtype=torch.float64)
    pairs = list(itertools.combinations(range(k), 2))
    if float(box.high.sum()) > box.ceiling:
        reach = (box.high - box.low).clamp(max=box.ceiling - float(box.low.sum())) * unit
        middles = [(reach[i] + reach[j]) / 2 for i, j in pairs]
        return box.low + torch.stack([zero, *reach, *(reach / 2), *middles])
    half = (box.high - box.low) / 2 * unit
    corners = [half[i] + half[j] * (-1) ** (i + j) for i, j in pairs]
    return (box.low + box.high) / 2 + torch.stack([zero, *half, *(-half), *corners])


def spread(box: Box, count: int, seed: int) -> Tensor:
    """[count, K] mixtures spread evenly over the box: scrambled Sobol points (Owen, J. Complexity 1998)."""
    if not count:
        return torch.empty(0, len(box.low), dtype=torch.float64)
    points: Any = SobolEngine(len(box.low), scramble=True, seed=derive_seed(seed, "spread"))  # type: ignore[no-untyped-call]
    return box.decode(points.draw(count, dtype=torch.float64))


@dataclass(frozen=True)
class Surrogate:
    """A fitted surrogate of any number of outputs.

    Attributes
    ----------
    centre, half : [K] float64
        Weights are scaled to (α − centre)/half, the full box to [−1, 1].
    coefficients : [terms, outputs] float64
        Of the monomials of :func:`features`.
    anchors : [A, K] float64
        Scaled anchors of the radial part.
    radial : [A, outputs] float64 or None
        Weights of the radial part.
    """

    centre: Tensor
    half: Tensor
    coefficients: Tensor
    anchors: Tensor
    radial: Tensor | None = None

    def __call__(self, alphas: Tensor) -> Tensor:
        """[P, outputs] float64 surrogate outputs of mixtures [P, K]."""
        scaled = (alphas - self.centre) / self.half
        outputs = features(scaled) @ self.coefficients
        return outputs if self.radial is None else outputs + _cubic(scaled, self.anchors) @ self.radial


def features(scaled: Tensor) -> Tensor:
    """[P, terms] monomials of degree up to 2 of scaled weights [P, K]: 1, all α_k, all α_j·α_k with j ≤ k."""
    k = scaled.shape[1]
    first, second = torch.triu_indices(k, k)
    return torch.cat([torch.ones(len(scaled), 1, dtype=scaled.dtype), scaled, scaled[:, first] * scaled[:, second]], 1)


def fit(alphas: Tensor, outputs: Tensor, box: Box, *, interpolate: bool = True) -> Surrogate:
    """The surrogate of anchors ``alphas`` [A, K] with true ``outputs`` [A, o].

    Parameters
    ----------
    box : Box
        The full box, which scales the weights.
    interpolate : bool
        Pass through all anchors by a radial part; False: the quadratic of least squares.

    Raises
    ------
    ValueError
        If the anchors do not determine a quadratic.
    """
    centre, half = (box.low + box.high) / 2, (box.high - box.low) / 2
    kept = distinct((alphas - centre) / half)
    scaled, outputs = ((alphas - centre) / half)[kept], outputs[kept].to(torch.float64)
    monomials = features(scaled)
    count, unknowns = monomials.shape
    rank = int(torch.linalg.matrix_rank(monomials))
    if rank < unknowns:
        raise ValueError(
            f"{count} anchors determine {rank} of the {unknowns} coefficients of a quadratic in {scaled.shape[1]} "
            "weights; add anchors, such as design(box)"
        )
    if not interpolate or count == unknowns:
        return Surrogate(centre, half, torch.linalg.lstsq(monomials, outputs, driver="gelsd").solution, scaled)
    kernel = _cubic(scaled, scaled) + SMOOTHING * torch.eye(count, dtype=torch.float64)
    corner = torch.zeros(unknowns, unknowns, dtype=torch.float64)
    system = torch.cat([torch.cat([kernel, monomials], 1), torch.cat([monomials.T, corner], 1)])
    wanted = torch.cat([outputs, torch.zeros(unknowns, outputs.shape[1], dtype=torch.float64)])
    solution = torch.linalg.solve(system, wanted)
    return Surrogate(centre, half, solution[count:], scaled, solution[:count])


def distinct(scaled: Tensor) -> Tensor:
    """Indices of rows [A, K] that are no nearer than ``CLOSE`` to an earlier row."""
    near = torch.cdist(scaled, scaled, compute_mode="donot_use_mm_for_euclid_dist") < CLOSE
    return torch.nonzero(~torch.tril(near, diagonal=-1).any(1))[:, 0]


class Error(NamedTuple):
    """How far a surrogate's measure is from the true one, over ``mixtures`` mixtures it has not seen.

    ``mae``: mean absolute error; ``worst``: largest; ``spearman``: rank correlation (nan where a side is constant).
    """

    mae: float
    worst: float
    spearman: float
    mixtures: int


def compare(surrogate: Tensor, true: Tensor) -> Error:
    """Error of [P] surrogate values of a measure."""
    off = (surrogate - true).abs()
    varied = len(true) > 2 and all(float(v.max() - v.min()) > 0 for v in (surrogate, true))
    rank = float(spearmanr(surrogate.numpy(), true.numpy()).statistic) if varied else float("nan")
    return Error(float(off.mean()), float(off.max()), rank, len(true))


def cross_validate(
    alphas: Tensor,
    outputs: Tensor,
    box: Box,
    first: int,
    measures: Callable[[Tensor, Tensor], dict[str, Tensor]],
    *,
    interpolate: bool = True,
) -> dict[str, Error]:
    """Error of every measure on anchors left out of the fit, in at most ``FOLDS`` folds.

    Parameters
    ----------
    alphas, outputs : [A, K], [A, o]
    first : int
        The first anchors (the design) stay in every fit: without them no quadratic is determined.
    measures : callable
        Measures of mixtures [P, K] with outputs [P, o].

    Returns
    -------
    dict of measure -> Error; empty without anchors beyond the first.
    """
    extra = torch.arange(first, len(alphas))
    if not len(extra):
        return {}
    predicted = torch.empty(len(extra), outputs.shape[1], dtype=torch.float64)
    folds = min(FOLDS, len(extra))
    for fold in range(folds):
        held = extra[fold::folds]
        seen = torch.ones(len(alphas), dtype=torch.bool)
        seen[held] = False
        predicted[fold::folds] = fit(alphas[seen], outputs[seen], box, interpolate=interpolate)(alphas[held])
    guessed, true = measures(alphas[extra], predicted), measures(alphas[extra], outputs[extra].to(torch.float64))
    return {id: compare(guessed[id], true[id]) for id in guessed}


def _cubic(points: Tensor, anchors: Tensor) -> Tensor:
    """[P, A] cubed distance."""
    return torch.cdist(points, anchors, compute_mode="donot_use_mm_for_euclid_dist").pow(3)
