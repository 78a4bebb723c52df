"""Verbaliser: a language model's answer is the logit of one word for yes against that of one word for no.

Two rows of the language-model head at the last position are all that is needed. How much probability the two words have
among all words, the *answer mass*, says whether the model answers the question at all: below 0.1 its preference between
them means little (folktexts' threshold).
"""

from __future__ import annotations

import logging
from typing import NamedTuple

from torch import Tensor

log = logging.getLogger(__name__)

LOW_MASS = 0.1


class AnswerMass(NamedTuple):
    """How much of the probability of all words is on the two answers.

    Attributes
    ----------
    mean : float
    low : float
        Share of texts whose mass is below 0.1.
    """

    mean: float
    low: float

    @classmethod
    def of(cls, mass: Tensor, who: str) -> AnswerMass:
        """Summary of the mass [n] of texts; a warning that names ``who`` if its mean is below 0.1."""
        found = cls(float(mass.mean()), float((mass < LOW_MASS).float().mean()))
        if found.mean < LOW_MASS:
            log.warning(
                "%s puts %.1e of its probability on yes and no (%.0f %% of texts below %g): it does not answer the "
                "question; train an adapter, or take another base.",
                who,
                found.mean,
                100 * found.low,
                LOW_MASS,
            )
        return found


def answer_mass(logits: Tensor, answer_ids: tuple[int, int]) -> Tensor:
    """[...] P(no) + P(yes) from logits [..., V] of all words."""
    chosen = logits[..., list(answer_ids)].float().logsumexp(-1)
    return (chosen - logits.float().logsumexp(-1)).exp()
