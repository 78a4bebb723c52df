"""GraphLIME for many models at once: which features explain a node's prediction in its neighbourhood.

For node v with neighbours N (itself included), the predictions of N are regressed on its features by a non-negative
HSIC lasso (Huang et al., "GraphLIME", TKDE 2022; in the form that the CFA code gives it):

    min over w >= 0 of  1/2 ||L - sum_k w_k K_k||_F^2 + alpha sum_k w_k

with K_k and L Gaussian kernels of feature k and of the predicted class probabilities on N x N, double-centred and
scaled to Frobenius norm 1. Three facts make it fast (no kernel matrix is ever built):

* K_k does not depend on the model, so all that belongs to features alone is computed once for all models;
* one-dimensional Gaussian kernels have low rank, K_k = P_k P_k', L = Q Q' (a binary feature: rank 1 once centred), so
  <K_k, L> = ||P_k' Q||^2, one matrix product per node for all models;
* all products of these kernels are at least 0, so features with <K_k, L> <= alpha never enter, and coordinate descent
  runs on the few that remain.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from foundation.seeding import numpy_generator

ALPHA = 0.1
WIDTH = 0.1
"""The kernels are exp(-d^2/(2 WIDTH features)) for features and exp(-d^2/(2 WIDTH 2)) for the two probabilities."""

_GUARD = 1e-10  # added to norms: a feature that is constant in a neighbourhood explains nothing
_RANK_TOLERANCE = 1e-6  # largest error of a kernel value
_BUDGET = 1 << 21  # floats of the largest temporary
_CACHED = 1 << 18  # floats of the largest product of a few neighbourhoods with all models
_SAME = 1e-5  # kernels with a product this close to 1 count as the same
_PROBLEMS = 4096  # lassos solved together: their matrices stay in cache
_SIZES = (1, 2, 3, 4, 6, 8, 11, 15)  # features left in lassos solved together, at most
_ROUNDS = 50
_SWEEPS = 4  # of coordinate descent per round
_TINY = 1e-5  # weights below are 0, slopes below are flat
_TABLE = 1 << 13


@dataclass(frozen=True)
class Neighbourhoods:
    """Nodes around each of r nodes; the node itself comes first.

    Attributes
    ----------
    start : [r + 1] int64
    nodes : [nnz] int64
        ``nodes[start[i]:start[i + 1]]`` are the nodes of neighbourhood i.
    """

    start: Tensor
    nodes: Tensor


def neighbourhoods(edges: Tensor, n: int, rows: Tensor, *, seed: int, cap: int | None = 32) -> Neighbourhoods:
    """One-hop neighbourhoods.

    Parameters
    ----------
    edges : [2, m] int64
        Undirected; self-loops and repetitions do not matter.
    n : int
        Nodes of the graph.
    rows : [r] int64
        Nodes to explain.
    seed : int
        Of the sample of neighbours; a node's sample does not depend on ``rows``.
    cap : int or None
        Most neighbours of a node, sampled without repetition; None: all.
    """
    source, target = _both_ways(edges.numpy(), n)
    keys = numpy_generator(seed, "graphlime neighbours").random(len(source))
    order = np.lexsort((keys, source))
    target = target[order]
    degree = np.bincount(source, minlength=n)
    first = np.cumsum(degree) - degree
    taken = degree[rows.numpy()] if cap is None else np.minimum(degree[rows.numpy()], cap)
    lists = [
        np.concatenate(([row], target[first[row] : first[row] + count]))
        for row, count in zip(rows.tolist(), taken.tolist(), strict=True)
    ]
    start = np.concatenate(([0], np.cumsum(taken + 1)))
    return Neighbourhoods(torch.from_numpy(start), torch.from_numpy(np.concatenate(lists).astype(np.int64)))


class GraphLime:
    """The explainer of fixed nodes; what depends on features alone is computed once, here.

    Parameters
    ----------
    features : [n, d] float
        Scaled to comparable ranges (CFA: each feature min-maxed to [-1, 1]).
    around : Neighbourhoods of r nodes
    alpha : float
        Weight of the lasso penalty.
    """

    def __init__(self, features: Tensor, around: Neighbourhoods, *, alpha: float = ALPHA) -> None:
        self._alpha = alpha
        self._features = features.shape[1]
        factors = [_factor(column, 2 * WIDTH * self._features) for column in features.to(torch.float64).T]
        ranks = torch.tensor([f.shape[1] for f in factors])
        self._blocks = torch.repeat_interleave(torch.eye(self._features), ranks, dim=1)  # [d, R]
        self._rows = len(around.start) - 1
        stacked = torch.cat(factors, 1).to(torch.float32)
        self._chunks = [
            self._prepare(stacked, *chunk) for chunk in _chunks(around, _BUDGET // max(1, stacked.shape[1]))
        ]

    def explain(self, probability: Tensor) -> Tensor:
        """[T, r, d] float32 importances w >= 0 of T models' probabilities of class 1 [T, n]; 0: not important."""
        models = len(probability)
        values, rank = _probability_factor(probability)
        result = torch.zeros(models, self._rows, self._features)
        for chunk in self._chunks:
            parts = chunk.parts(max(1, _CACHED // (self._blocks.shape[1] * values.shape[1])))
            relevance = torch.cat([self._relevance(part, values, models, rank) for part in parts])
            result[:, chunk.position] = _lasso(relevance, chunk.gram, self._alpha).transpose(0, 1)
        return result

    def _prepare(self, stacked: Tensor, position: Tensor, nodes: Tensor, inside: Tensor) -> _Chunk:
        """Centred feature factors, their norms and the Gram matrix of the kernels of a chunk of neighbourhoods."""
        factor = _centred(stacked[nodes], inside)  # [N, m, R]
        squares = (factor.transpose(1, 2) @ factor).square()
        products = self._blocks @ squares @ self._blocks.T  # [N, d, d]
        norm = products.diagonal(dim1=1, dim2=2).sqrt() + _GUARD
        return _Chunk(position, nodes, inside, factor, norm, products / (norm[:, :, None] * norm[:, None, :]))

    def _relevance(self, part: _Chunk, values: Tensor, models: int, rank: int) -> Tensor:
        """[N, T, d] <K_k, L> of scaled kernels."""
        output = _centred(values[part.nodes], part.inside)  # [N, m, r T]
        size = len(part.position)
        crossed = (part.factor.transpose(1, 2) @ output).square_()  # [N, R, r T]
        products = self._blocks @ crossed.view(size, -1, rank, models).sum(2)  # [N, d, T]
        by_model = output.view(size, -1, rank, models).permute(0, 3, 2, 1).reshape(size * models, rank, -1)
        norm = (by_model @ by_model.transpose(1, 2)).square_().sum((1, 2)).sqrt().view(size, models) + _GUARD
        return products.transpose(1, 2) / (norm[:, :, None] * part.norm[:, None, :])


@dataclass(frozen=True)
class _Chunk:
    """Neighbourhoods of similar size, padded to m nodes."""

    position: Tensor  # [N] which of the r rows
    nodes: Tensor  # [N, m]
    inside: Tensor  # [N, m] float, 0 for padding
    factor: Tensor  # [N, m, R]
    norm: Tensor  # [N, d]
    gram: Tensor  # [N, d, d]

    def parts(self, size: int) -> list[_Chunk]:
        """Parts of at most ``size`` neighbourhoods."""
        fields = (self.position, self.nodes, self.inside, self.factor, self.norm, self.gram)
        return [
            _Chunk(*(field[begin : begin + size] for field in fields)) for begin in range(0, len(self.position), size)
        ]


def top_feature(importance: Tensor) -> Tensor:
    """[...] int64 feature with the largest importance [..., d] (the first of equals); -1 where all are 0."""
    largest, index = importance.max(-1)
    return torch.where(largest > 0, index, -1)


def _both_ways(edges: NDArray[np.int64], n: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Source and target of every edge in both directions, each once, without self-loops."""
    both = np.concatenate((edges, edges[::-1]), axis=1)
    both = both[:, both[0] != both[1]]
    codes = np.unique(both[0] * n + both[1])
    return codes // n, codes % n


def _chunks(around: Neighbourhoods, budget: int) -> list[tuple[Tensor, Tensor, Tensor]]:
    """Positions, nodes and padding of neighbourhoods sorted by size, so many that N m stays below the budget."""
    sizes = around.start.diff()
    order = torch.argsort(sizes, stable=True)
    chunks, begin = [], 0
    while begin < len(order):
        end = begin + 1
        while end < len(order) and (end + 1 - begin) * int(sizes[order[end]]) <= budget:
            end += 1
        position = order[begin:end]
        offset = torch.arange(int(sizes[position[-1]]))
        inside = offset < sizes[position, None]
        nodes = around.nodes[torch.where(inside, around.start[position, None] + offset, around.start[position, None])]
        chunks.append((position, nodes, inside.to(torch.float32)))
        begin = end
    return chunks


def _centred(values: Tensor, inside: Tensor) -> Tensor:
    """Values [N, m, c] minus their mean over the neighbourhood; 0 in the padding."""
    weight = (inside / inside.sum(1, keepdim=True))[:, None, :]
    return (values - weight @ values).mul_(inside[:, :, None])


def _factor(column: Tensor, scale: float) -> Tensor:
    """[n, r] float64 P with P P' = exp(-(x - y)^2/scale) up to centring and ``_RANK_TOLERANCE``; r is at least 1."""
    distinct, index = torch.unique(column, return_inverse=True)
    points = 16
    while True:
        exact = len(distinct) <= points
        grid = distinct if exact else _chebyshev(float(distinct[0]), float(distinct[-1]), points)
        factor, error = _nystroem(distinct, grid, scale)
        if exact or error <= _RANK_TOLERANCE:
            return factor[index]
        points *= 2


def _probability_factor(probability: Tensor) -> tuple[Tensor, int]:
    """[n, r T] float32 factors of the kernel exp(-2 (p - q)^2/(4 WIDTH)) of T models [T, n], and the rank r.

    Interpolated linearly in a table of ``_TABLE`` steps (error below 1e-7).
    """
    grid = torch.linspace(0, 1, _TABLE + 1, dtype=torch.float64)
    table = _nystroem(grid, _chebyshev(0.0, 1.0, 16), 2 * WIDTH)[0].to(torch.float32)
    place = probability.T.to(torch.float64) * _TABLE
    below = place.to(torch.int64).clamp_(0, _TABLE - 1)
    factor = torch.lerp(table[below], table[below + 1], (place - below).to(torch.float32)[..., None])
    return factor.transpose(1, 2).flatten(1), table.shape[1]


def _chebyshev(low: float, high: float, points: int) -> Tensor:
    angle = (torch.arange(points, dtype=torch.float64) + 0.5) * torch.pi / points
    return (low + high) / 2 - (high - low) / 2 * torch.cos(angle)


def _nystroem(values: Tensor, grid: Tensor, scale: float) -> tuple[Tensor, float]:
    """[m, r] factor of the Gaussian kernel, centred on a grid, at values [m]; and the largest error of k(x, x)."""
    between = _gauss(grid, grid, scale)
    level = between.mean(0)
    eigenvalues, vectors = torch.linalg.eigh(between - level - level[:, None] + level.mean())
    kept = eigenvalues > _RANK_TOLERANCE / 10
    if not bool(kept.any()):
        return torch.zeros(len(values), 1, dtype=torch.float64), 0.0
    cross = _gauss(values, grid, scale)
    shift = cross.mean(1)
    factor = (cross - shift[:, None] - level + level.mean()) @ (vectors[:, kept] / eigenvalues[kept].sqrt())
    own = 1 - 2 * shift + level.mean()
    return factor, float((own - factor.square().sum(1)).abs().max())


def _gauss(first: Tensor, second: Tensor, scale: float) -> Tensor:
    return torch.exp(-((first[:, None] - second) ** 2) / scale)


def _lasso(relevance: Tensor, gram: Tensor, alpha: float) -> Tensor:
    """[N, T, d] non-negative lasso weights from <K_k, L> [N, T, d] and the Gram matrices [N, d, d].

    Of features with the same kernel the first stands for all: how they share a weight is not determined. Problems with
    about as many features left are solved together; padding is never worth a weight.
    """
    same = (gram > 1 - _SAME).tril(-1).any(2)  # [N, d]: equals an earlier feature
    target = (relevance - alpha).masked_fill_(same[:, None, :], -1.0)
    count = (target > 0).sum(-1)
    weights = torch.zeros_like(relevance)
    smaller = 0
    for size in [size for size in _SIZES if size < relevance.shape[2]] + [relevance.shape[2]]:
        node, model = torch.nonzero((count > smaller) & (count <= size), as_tuple=True)
        smaller = size
        for n, t in zip(torch.split(node, _PROBLEMS), torch.split(model, _PROBLEMS), strict=True):
            best, chosen = target[n, t].topk(size)
            products = gram[n, chosen.T[:, None], chosen.T[None]]
            weights[n[:, None], t[:, None], chosen] = _minimise(best.T.contiguous(), products).T
    return weights


def _minimise(target: Tensor, gram: Tensor) -> Tensor:
    """[a, M] minimisers w >= 0 of M problems 1/2 w'Gw - target'w, target [a, M], gram [a, a, M].

    Some sweeps of coordinate descent find the support; the equations on the support then give the solution exactly,
    if they meet the optimality conditions. The other problems go on.
    """
    result = torch.zeros_like(target)
    problem, weights = torch.arange(target.shape[1]), result.clone()
    for _ in range(_ROUNDS):
        _descend(weights, target, gram)
        exact, solved = _on_support(weights, target, gram)
        result[:, problem] = torch.where(solved, exact, weights)
        left = torch.nonzero(~solved)[:, 0]
        if len(left) == 0:
            break
        problem, weights, target, gram = problem[left], weights[:, left], target[:, left], gram[:, :, left]
    return result


def _descend(weights: Tensor, target: Tensor, gram: Tensor) -> None:
    """Sweeps of coordinate descent, in place; kernels have norm 1, so the diagonal of G is 1."""
    for _ in range(_SWEEPS):
        for k in range(len(target)):
            step = target[k] - (gram[k] * weights).sum(0)
            weights[k] = (weights[k] + step).clamp_(min=0)


def _on_support(weights: Tensor, target: Tensor, gram: Tensor) -> tuple[Tensor, Tensor]:
    """[a, M] solution of the equations of the positive weights, and [M] bool, whether it is the minimiser."""
    support = (weights > _TINY).to(target.dtype)
    matrix = gram * support[:, None] * support + torch.diag_embed((1 - support).T).permute(1, 2, 0)
    solution, info = torch.linalg.solve_ex(matrix.permute(2, 0, 1), (target * support).T)
    exact = solution.T
    slope = target - (gram * exact).sum(1)
    optimal = (exact >= 0) & torch.where(support > 0, slope.abs(), slope).le(_TINY)
    return exact, optimal.all(0) & (info == 0)
