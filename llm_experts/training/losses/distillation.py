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


def distillation_loss(teacher: Tensor, student: Tensor, mask: Tensor, temperature: float) -> Tensor:
    """``T² · Σ_t m_t KL(teacher_t ‖ student_t) / Σ_t m_t``: a mean over the answer's tokens alone.

    T² keeps the gradient's size comparable between temperatures. The mean is over all tokens of the batch that the
    mask marks; dividing by the number of texts instead, or counting prompts and padding, makes long answers and
    padded batches weigh more.

    Parameters
    ----------
    teacher, student : [..., b, t, V]
    mask : [b, t]
        1 where a token of an answer is predicted.
    temperature : float

    Returns
    -------
    [...]
    """
    each = token_divergence(teacher, student, temperature)
    return temperature**2 * (each * mask).sum((-2, -1)) / mask.sum().clamp(min=1)
