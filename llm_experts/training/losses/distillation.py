"""Distillation: the student's next tokens drawn to the teacher's (Hinton et al. 2015, §2)."""

from __future__ import annotations

from torch import Tensor


def token_divergence(teacher: Tensor, student: Tensor, temperature: float = 1.0) -> Tensor:
    """KL(teacher ‖ student) of the next token at every position, both softened by the temperature.

    Parameters
    ----------
    teacher, student : [..., m, V]
        Logits.
    temperature : float
        Above 1 it shows more of what the teacher thinks of unlikely tokens.

    Returns
    -------
    [..., m]
        In nats, at least 0.
    """
    known = (teacher / temperature).log_softmax(-1)
    learnt = (student / temperature).log_softmax(-1)
    return (known.exp() * (known - learnt)).sum(-1)
