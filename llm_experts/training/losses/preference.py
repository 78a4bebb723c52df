"""Direct preference optimisation: the loss of pairs of answers (Rafailov et al. 2023, eq. 7)."""

from __future__ import annotations

from torch import Tensor
from torch.nn.functional import logsigmoid


def preference_loss(chosen: Tensor, rejected: Tensor, beta: float, smoothing: float = 0.0) -> Tensor:
    """Loss of each pair: ``-log σ(β (chosen - rejected))``, less sure of the label by the smoothing.

    With ``smoothing`` ε the label is taken to be swapped in a share ε of the pairs (Chowdhury et al. 2024, eq. 6,
    conservative form): ``-(1 - ε) log σ(β h) - ε log σ(-β h)``.

    Parameters
    ----------
    chosen, rejected : [..., b]
        Log-ratio of policy to reference, ``log π(y|x) - log π₀(y|x)``, summed over the answer's tokens.
    beta : float
        How closely the policy keeps to the reference.
    smoothing : float
        In [0, .5).

    Returns
    -------
    [..., b]
    """
    scaled = beta * (chosen - rejected)
    return -(1 - smoothing) * logsigmoid(scaled) - smoothing * logsigmoid(-scaled)


def preference_figures(chosen: Tensor, rejected: Tensor, beta: float) -> dict[str, Tensor]:
    """What is watched of each pair [..., b] while it trains.

    ``accuracy`` is 1 where the preferred answer gained more on the reference (½ in a tie), ``margin`` is β times by how
    much; ``chosen`` and ``rejected`` are the implicit rewards of the two answers.
    """
    up, down = chosen.detach(), rejected.detach()
    return {
        "accuracy": ((up - down).sign() + 1) / 2,
        "margin": beta * (up - down),
        "chosen": beta * up,
        "rejected": beta * down,
    }
