"""Learning from rewards: exactly where the answers can be listed, from samples where they cannot.

Both climb the same hill, the expected reward less what leaving the base costs,

    J(θ) = E_{a ~ π_θ(·|x)}[r(a)] - β KL(π_θ(·|x) ‖ π₀(·|x)).
"""

from __future__ import annotations

import torch
from torch import Tensor

LEAST = 1e-30
"""Smallest mass that an event is taken to have: a logarithm of it is finite in float32, and so is its gradient."""


def answer_events(logprobs: Tensor) -> Tensor:
    """Log-probabilities of listed answers and, last, of every other answer together.

    Parameters
    ----------
    logprobs : [..., a]
        Of whole answers, end token included, so that no two of them can happen at once.

    Returns
    -------
    [..., a + 1]
        Of events that exclude each other and leave nothing out.
    """
    listed = logprobs.logsumexp(-1, keepdim=True).exp()
    return torch.cat([logprobs, (1 - listed).clamp(min=LEAST).log()], -1)


def expected_reward(logprobs: Tensor, reference: Tensor, rewards: Tensor, beta: float | Tensor) -> tuple[Tensor, ...]:
    """J in closed form over events that leave nothing out.

    Parameters
    ----------
    logprobs, reference : [..., a]
        Log-probabilities of events under policy and base. They are normalised here: of a closed set of answers these
        may be the scores of its members, of an open one they are :func:`answer_events`.
    rewards : [..., a]
    beta : float or Tensor that broadcasts to [...]

    Returns
    -------
    objective, reward, divergence : [...]
        J, E[r], and KL(π ‖ π₀) between the events, in nats.
    """
    log_p, log_q = logprobs.log_softmax(-1), reference.log_softmax(-1)
    p = log_p.exp()
    reward, divergence = (p * rewards).sum(-1), (p * (log_p - log_q)).sum(-1)
    return reward - beta * divergence, reward, divergence


def leave_one_out(values: Tensor) -> Tensor:
    """Each sample's value less the mean of the other samples of its prompt (Kool et al. 2019; Ahmadian et al. 2024).

    The others do not depend on the sample, so the baseline changes the gradient's spread and not its expectation.

    Parameters
    ----------
    values : [..., k]
        Of k ≥ 2 samples of a prompt.
    """
    k = values.shape[-1]
    if k < 2:
        raise ValueError("A leave-one-out baseline needs at least 2 samples of every prompt.")
    return (values - values.mean(-1, keepdim=True)) * (k / (k - 1))


def sampled_reward(logprobs: Tensor, reference: Tensor, rewards: Tensor, beta: float | Tensor) -> Tensor:
    """Something whose gradient is an unbiased estimate of ∇J from k samples of every prompt (REINFORCE leave-one-out).

    The divergence is part of the reward, ``r(a) - β (log π(a|x) - log π₀(a|x))``: the gradient of its own logarithm has
    the expectation 0.

    Parameters
    ----------
    logprobs : [..., k]
        Of the sampled answers under the policy that drew them; the gradient flows through them.
    reference, rewards : [..., k]
    beta : float or Tensor that broadcasts to [..., k]

    Returns
    -------
    [...]
        To be maximised; its value means nothing.
    """
    worth = rewards - beta * (logprobs.detach() - reference)
    return (leave_one_out(worth) * logprobs).mean(-1)


def adapted_beta(beta: Tensor, drift: Tensor, target: float) -> Tensor:
    """β of every lane after a step: 1.5 times as much where the drift is above the target, less where far below.

    Parameters
    ----------
    beta, drift : [K]
        Weight of the divergence, and the divergence that was measured, in nats per answer.
    target : float
        β rises above it, and falls below ``target / 1.5``.
    """
    risen = torch.where(drift > target, beta * 1.5, beta)
    return torch.where(drift < target / 1.5, beta / 1.5, risen)
