"""What a score of language answers is.

Every score is a function of sums over items: the mean of a value, the F1 of counts, the BLEU of matched n-grams. So
one bootstrap and one paired test serve all of them, and a corpus score is resampled as what it is, never as a mean of
scores of sentences.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from llm_experts.data.example import Example
from llm_experts.families.family import Verdict
from metrics.proportions import quotient

Array = NDArray[np.float64]
Judge = Callable[[Example, str], Verdict]
Needs = Literal["answer", "likelihood"]


@dataclass(frozen=True)
class Answered:
    """One item and what a model made of it.

    Attributes
    ----------
    example : Example
    answers : tuple of str
        What was generated, without the prompt. The first is what scores of one answer judge.
    verdicts : tuple of Verdict
        What the checker says of each answer; empty where there is no checker.
    log_prob : float
        Log-probability of the completion, its end token included, in nats; nan where it was not computed.
    tokens : int
        Tokens of the completion, its end token included.
    """

    example: Example
    answers: tuple[str, ...] = ()
    verdicts: tuple[Verdict, ...] = ()
    log_prob: float = math.nan
    tokens: int = 0

    @property
    def answer(self) -> str:
        """The first answer."""
        return self.answers[0]


def mean(sums: Array) -> Array:
    """[...] mean of a value, from [..., 2] sums of the value and of 1."""
    return quotient(sums[..., 0], sums[..., 1])


def per_item(values: Sequence[float] | Sequence[bool]) -> Array:
    """[n, 2] columns of a mean: each item's value, and 1."""
    told = np.asarray(values, dtype=np.float64)
    return np.stack([told, np.ones(len(told))], axis=1)


def always(_item: Answered) -> str:
    """Nothing stands against scoring an item."""
    return ""


@dataclass(frozen=True, kw_only=True)
class Score:
    """One score.

    Attributes
    ----------
    id : str
        Word in commands and files; that of the score's file.
    label, about : str
        Name for people, and what is measured in one line.
    range : (float, float)
        Smallest and largest possible value.
    better : {"higher", "lower"}
    needs : {"answer", "likelihood"}
        What has to be asked of the model.
    columns : callable
        ``columns(items) -> [n, c]``: what is summed over items.
    formula : callable
        ``formula(sums [..., c]) -> [...]``; nan where the score is not defined.
    proportion : bool
        Whether it is a mean of ones and zeros: its interval is then Wilson's, and its paired test McNemar's.
    refuses : callable
        ``refuses(item) -> reason``: why an item cannot be scored (no reference, no checker), "" if it can.
    signature : callable
        How exactly it was computed, such as sacrebleu's signature.
    """

    id: str
    label: str
    about: str
    range: tuple[float, float]
    better: Literal["higher", "lower"]
    needs: Needs
    columns: Callable[[Sequence[Answered]], Array]
    formula: Callable[[Array], Array] = mean
    proportion: bool = False
    refuses: Callable[[Answered], str] = always
    signature: Callable[[], str] = str

    def of(self, examples: Sequence[Example], answers: Sequence[str], judge: Judge | None = None) -> Array:
        """[n] float64: the score of each item on its own, for scores of answers."""
        items = [
            Answered(e, (a,), () if judge is None else (judge(e, a),)) for e, a in zip(examples, answers, strict=True)
        ]
        return self.formula(self.columns(items))

    def value(self, items: Sequence[Answered]) -> float:
        """The score of all items together."""
        return float(self.formula(self.columns(items).sum(axis=0)))
