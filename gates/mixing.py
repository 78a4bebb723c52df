"""How a mixture is composed: probabilities are mixed, p(x) = sum_k g_k(x) p_k(x), unless the gate says otherwise."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

from gates.gate import ComposingGate, Gate

_MAX_LOG_RATIO = 80.0  # exp stays finite in float32


def _log_mean(weights: Tensor, logs: Tensor) -> Tensor:
    """Stable log sum_k g_k exp(l_k) over the last dimension; weights may be exactly 0 (sparse gates)."""
    anchor = torch.where(weights > 0, logs, -torch.inf).amax(-1, keepdim=True).detach()
    ratios = (logs - anchor).clamp(max=_MAX_LOG_RATIO).exp()
    return anchor.squeeze(-1) + (weights * ratios).sum(-1).log()


def mixture_log_probabilities(weights: Tensor, logits: Tensor) -> tuple[Tensor, Tensor]:
    """Log P(y=1) and log P(y=0) of the mixture, without leaving log space.

    Parameters
    ----------
    weights : [..., m]
        On the simplex; exact zeros are allowed and have finite gradients.
    logits : [..., m]
        Margins of the experts; broadcast against ``weights``.

    Returns
    -------
    tuple of [...] tensors, both <= 0
    """
    return _log_mean(weights, logsigmoid(logits)), _log_mean(weights, logsigmoid(-logits))


def mixture_margin(weights: Tensor, logits: Tensor) -> Tensor:
    """[...] logit of the mixed probability, logit(sum_k g_k sigmoid(z_k)); shapes as above."""
    positive, negative = mixture_log_probabilities(weights, logits)
    return positive - negative


def gate_margin(gate: Gate, weights: Tensor, logits: Tensor) -> Tensor:
    """[...] margin of the mixture of a gate with these weights: :func:`mixture_margin`, or as the gate composes it."""
    return gate.composed(weights, logits) if isinstance(gate, ComposingGate) else mixture_margin(weights, logits)
