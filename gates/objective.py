"""The differentiable objective of a mixture: utility, result fairness, fairness of reasons, and how experts are used.

All functions accept leading lane dimensions: C gates are trained in one program.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from gates.gate import GateState, ProjectedGate
from gates.mixing import gate_margin, mixture_log_probabilities
from metrics.count_metrics.fair_res import METRIC as FAIR_RES
from metrics.surrogates import jensen_shannon, surrogate

_TINY = 1e-8


@dataclass(frozen=True)
class MixtureTerms:
    """The terms of the mixture objective, [...] each, smaller is better.

    Attributes
    ----------
    utility : binary cross-entropy of the mixed probability
    fair : (soft DP gap + soft EO gap) / 2 of the mixed probability, in [0, 1]
    balance : 1 - H(batch mean of the weights) / log m, in [0, 1]: pushes towards using all experts
    decision : mean over rows of H(weights) / log m, in [0, 1]: pushes each row towards one expert

    The last two have opposite roles and both look at the live weights of the batch, so both have gradients.
    """

    utility: Tensor
    fair: Tensor
    balance: Tensor
    decision: Tensor


def _entropy(weights: Tensor) -> Tensor:
    """[...] entropy over the last dimension divided by log m, in [0, 1] (0 for a single expert)."""
    experts = weights.shape[-1]
    if experts == 1:
        return weights.sum(-1) * 0
    return -torch.xlogy(weights, weights.clamp(min=_TINY)).sum(-1) / math.log(experts)


def mixture_terms(weights: Tensor, logits: Tensor, labels: Tensor, groups: Tensor, n_groups: int) -> MixtureTerms:
    """Terms of the objective that need predictions only.

    Parameters
    ----------
    weights : [..., n, m]
        Gate weights.
    logits : [..., n, m] or [n, m]
        Expert margins.
    labels, groups : [n] int64
    n_groups : int
    """
    positive, negative = mixture_log_probabilities(weights, logits)
    probability = positive.exp()
    return MixtureTerms(
        utility=-torch.where(labels == 1, positive, negative).mean(-1),
        fair=surrogate(FAIR_RES, probability, labels, groups, n_groups),
        balance=1 - _entropy(weights.mean(-2)),
        decision=_entropy(weights).mean(-1),
    )


def attribution_gap(attributions: Tensor, groups: Tensor, n_groups: int) -> Tensor:
    """[...] differentiable ATT_JSD: divergence between the groups' mean shares of absolute attribution, in [0, 1].

    Parameters
    ----------
    attributions : [..., r, c]
        Signed attributions; a row's shares are |a_j| / sum |a_j|.
    groups : [r] int64
        For more than two groups the largest pairwise divergence; 0 when fewer than two are present.
    """
    size = attributions.abs()
    share = size / (size.sum(-1, keepdim=True) + _TINY)
    members = torch.nn.functional.one_hot(groups, n_groups).to(share.dtype)
    present = torch.nonzero(members.sum(0) > 0).flatten()
    members = members[:, present] / members[:, present].sum(0)
    profile = torch.einsum("...rc,rg->...gc", share, members).clamp(min=_TINY)
    profile = profile / profile.sum(-1, keepdim=True)
    return pairwise_jsd(profile)


def pairwise_jsd(profiles: Tensor) -> Tensor:
    """[...] largest Jensen-Shannon divergence, in bits, between two of g distributions [..., g, c]; 0 if g < 2."""
    g = profiles.shape[-2]
    if g < 2:
        return profiles.sum((-2, -1)) * 0
    first, second = torch.triu_indices(g, g, offset=1)
    positive = profiles.clamp(min=1e-30)
    return jensen_shannon(positive[..., first, :], positive[..., second, :]).clamp(min=0).amax(-1)


def chained_attributions(
    gate: ProjectedGate, state: GateState, expert_attributions: Tensor, column_of_feature: Tensor
) -> Tensor:
    """[..., r, c] attribution of the mixture's margin, chained through the experts' own attributions.

    The margin M(x, z_1(x), ..., z_m(x)) depends on a row through the gate's view of the features and through
    the experts. The first part is explained as gradient times input, the second by passing each expert's
    attribution a_k on with the factor dM/dz_k (chain rule of attributions: Chen, Lundberg, Lee, Nature
    Communications 2022). Exact to first order in the row, differentiable in the gate, and independent of
    what the experts are.

    Parameters
    ----------
    gate : ProjectedGate
        May be C stacked gates.
    state : GateState of r rows
    expert_attributions : [r, m, c]
    column_of_feature : [d] int64
        Source column of each encoded feature.
    """
    lanes = gate.weights(GateState(state.features[:1], state.logits[:1])).shape[:-2]
    features = state.features.expand(*lanes, *state.features.shape).clone().requires_grad_()
    logits = state.logits.detach().expand(*lanes, *state.logits.shape).clone().requires_grad_()
    with torch.enable_grad():
        margin = gate_margin(gate, gate.weights(GateState(features, logits)), logits)
        by_feature, by_logit = torch.autograd.grad(
            margin.sum(), (features, logits), create_graph=True, materialize_grads=True
        )
    columns = torch.nn.functional.one_hot(column_of_feature, expert_attributions.shape[-1]).to(features.dtype)
    through_gate = (by_feature * state.features) @ columns
    return through_gate + torch.einsum("...rm,rmc->...rc", by_logit, expert_attributions)
