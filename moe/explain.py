"""Reasons of the whole mixture: integrated gradients, gate included, from the baseline 0, or by asking."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from experts.expert import Expert
from gates.gate import ProjectedGate
from gates.mixing import gate_margin
from metrics.explainers.occlusion import occlusion_columns
from metrics.explainers.shapley import shapley_columns
from moe.projection import Projection
from tasks.task import TaskView

OCCLUSION = "occlusion"
_CHUNK_FLOATS = 1 << 20


def asked_attributions(expert: Expert, task: TaskView, rows: Tensor, seed: int) -> Tensor:
    """[r, columns] attributions by asking an expert for margins with columns unknown.

    By occlusion where that is how the expert is explained, else by sampled Shapley values, drawn by ``seed``.
    """

    def margin(picked: Tensor, keep: Tensor) -> Tensor:
        return expert.logits(task, rows[picked], keep)

    if expert.explainer == OCCLUSION:
        return occlusion_columns(margin, len(rows), len(task.columns))
    return shapley_columns(margin, len(rows), len(task.columns), seed=seed)


def mixture_integrated_gradients(
    projections: Sequence[Projection], gate: ProjectedGate, features: Tensor, steps: int = 32
) -> Tensor:
    """Attribution of the mixture's margin to each feature (Sundararajan, Taly, Yan, ICML 2017).

    ``a_i = x_i ∫ dM/dx_i(αx) dα`` with Gauss-Legendre nodes in α. All dependence on the features runs through
    linear projections u, so the steps cost a few numbers per row: with D = ∫ dM/du dα, ``a = x ⊙ PᵀD``.

    Parameters
    ----------
    projections : sequence of m Projection
    gate : ProjectedGate
    features : [r, d]
    steps : int
        Nodes; the attributions of a row sum to M(x) - M(0) up to the quadrature error.

    Returns
    -------
    [r, d]
    """
    nodes, weights = np.polynomial.legendre.leggauss(steps)
    alphas = torch.from_numpy((nodes + 1) / 2).to(features.dtype)
    shares = torch.from_numpy(weights / 2).to(features.dtype)
    with torch.no_grad():
        width = sum(p.project(features[:1]).shape[-1] for p in projections) + gate.project(features[:1]).shape[-1]
    chunk = max(1, _CHUNK_FLOATS // (steps * (width + 8 * len(projections))))
    return torch.cat([_explain(projections, gate, part, alphas, shares) for part in torch.split(features, chunk)])


def _explain(
    projections: Sequence[Projection], gate: ProjectedGate, features: Tensor, alphas: Tensor, shares: Tensor
) -> Tensor:
    inputs = features.detach().clone().requires_grad_()
    with torch.enable_grad():
        ends = [*(p.project(inputs) for p in projections), gate.project(inputs)]
        path = [(alphas[:, None, None] * end.detach()).requires_grad_() for end in ends]
        logits = torch.stack([p.margin_of(u) for p, u in zip(projections, path[:-1], strict=True)], -1)
        margin = gate_margin(gate, gate.weights_of(path[-1], logits), logits)
        slopes = torch.autograd.grad(margin.sum(), path, materialize_grads=True)
        means = [torch.tensordot(shares, slope, dims=1) for slope in slopes]
        used = [(end, mean) for end, mean in zip(ends, means, strict=True) if end.shape[-1] > 0]
        (gradient,) = torch.autograd.grad([end for end, _ in used], inputs, [mean for _, mean in used])
    return gradient * features
