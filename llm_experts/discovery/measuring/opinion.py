"""What a model says of itself: asked, kept, and scored against the measurement; nothing is decided by it.

It is asked twice. In words it is to say how many of 100 questions of a domain it would answer rightly: a number, if it
can be read. And it is to say yes or no to whether it can answer them: its probability of "yes", which can always be
read, is the odds of the two words as answers.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from scipy.stats import kendalltau
from torch import Tensor

from foundation.numbers import finite_dict
from llm_experts.bases.base import Base
from llm_experts.data.encoding import all_stops, prompt_ids
from llm_experts.data.example import Example
from llm_experts.discovery.measuring.domain import Domain
from llm_experts.families.shared.answers import number_in
from llm_experts.training.sequences.choices import Choices
from llm_experts.training.sequences.lanes import SequenceLanes

NEW_TOKENS = 12
"""Longest answer to the question for a number."""
SHOWN = "Here is a question of the kind {label} ({about}), not to be answered now:\n\n<<<\n{prompt}\n>>>\n\n"
NUMBER = SHOWN + "How many of 100 such questions would you answer correctly? Say one number and nothing else. Number:"
ABLE = SHOWN + "Can you answer such questions correctly? Say yes or no. Answer:"
NO_STATEMENT = re.compile(r"from 0 to(?: 100)?|^\s*\d+[.)]\s", re.M)
"""Numbers that state nothing: the range that was asked for, and marks of a list."""


@dataclass(frozen=True)
class Opinion:
    """What a model said of one domain.

    Attributes
    ----------
    expected : float or None
        The share of right answers that it expects; None where no number from 0 to 100 could be read.
    text : str
        Its answer to the question for a number.
    yes : float or None
        Probability of "yes" against "no"; None where it was not asked.
    """

    expected: float | None = None
    text: str = ""
    yes: float | None = None


@dataclass(frozen=True)
class OpinionScore:
    """Opinions against the measured shares.

    Attributes
    ----------
    asked, read : int
        Domains, and those of which a number could be read.
    brier : float or None
        Mean over domains of the Brier score of the stated share as the probability of each item's being right:
        (stated - share)² + share (1 - share). None without a number; a model that states the shares has the least.
    error : float or None
        Mean of |stated - share|.
    tau, p : float or None
        Kendall's τ-b of stated and measured shares over the domains and its two-sided p-value; None where either is
        the same for all domains, or fewer than two were read.
    yes_brier, yes_error, yes_tau, yes_p : float or None
        The same of the probability of "yes".
    """

    asked: int
    read: int
    brier: float | None = None
    error: float | None = None
    tau: float | None = None
    p: float | None = None
    yes_brier: float | None = None
    yes_error: float | None = None
    yes_tau: float | None = None
    yes_p: float | None = None

    def as_dict(self) -> dict[str, Any]:
        """As plain JSON."""
        return finite_dict(asdict(self))

    @classmethod
    def from_dict(cls, told: Mapping[str, Any]) -> OpinionScore:
        """The inverse of :meth:`as_dict`."""
        return cls(**told)


def ask_opinions(
    base: Base, domains: Sequence[Domain], lanes: SequenceLanes, theta: Tensor, *, seed: int = 0
) -> list[Opinion]:
    """A model's opinion of each domain, after a look at one item of it; greedy, so the same again.

    Parameters
    ----------
    base : Base
    domains : sequence of Domain
    lanes, theta : SequenceLanes of one lane and [1, P]
        The model that is asked.
    seed : int
        Of the items that are shown.
    """
    numbers, able = (_questions(domains, asked, seed) for asked in (NUMBER, ABLE))
    prompts = [prompt_ids(example, base)[-(base.context - NEW_TOKENS) :] for example in numbers]
    (said,) = lanes.sample(theta, prompts, max_new_tokens=NEW_TOKENS, stop=all_stops(numbers, base))
    odds = Choices.of(base, able, [("yes", "no")] * len(able)).margins(lanes, theta)[0]
    return [
        Opinion(share_in(answer.text), answer.text, yes)
        for answer, yes in zip(said, odds.sigmoid().tolist(), strict=True)
    ]


def share_in(text: str) -> float | None:
    """The share that an answer states by a number from 0 to 100; None where there is none."""
    number = number_in(NO_STATEMENT.sub("", text).replace("%", " "))
    return None if number is None or not 0 <= number <= 100 else float(number / 100)


def score_opinions(opinions: Sequence[Opinion], shares: Sequence[float]) -> OpinionScore:
    """Score opinions against the measured shares, domain by domain.

    Raises
    ------
    ValueError
        If they are not as many.
    """
    stated = [(opinion.expected, share) for opinion, share in zip(opinions, shares, strict=True)]
    inclined = [(opinion.yes, share) for opinion, share in zip(opinions, shares, strict=True)]
    return OpinionScore(
        sum(opinion != Opinion() for opinion in opinions), sum(number is not None for number, _ in stated),
        *_scores(stated), *_scores(inclined),
    )  # fmt: skip


def _scores(pairs: Sequence[tuple[float | None, float]]) -> tuple[float | None, ...]:
    """Brier score, mean error, τ and its p-value of (stated, measured) pairs."""
    told = [(said, share) for said, share in pairs if said is not None]
    if not told:
        return None, None, None, None
    brier = math.fsum((said - share) ** 2 + share * (1 - share) for said, share in told) / len(told)
    error = math.fsum(abs(said - share) for said, share in told) / len(told)
    said, shares = zip(*told, strict=True)
    if len(set(said)) < 2 or len(set(shares)) < 2:
        return brier, error, None, None
    found = kendalltau(said, shares)
    return brier, error, float(found.statistic), float(found.pvalue)


def _questions(domains: Sequence[Domain], asked: str, seed: int) -> list[Example]:
    """A question about each domain, with one item that is neither measured nor learnt from."""
    made = []
    for domain in domains:
        (shown,) = domain.items("watching", 1, seed)
        prompt = shown.prompt if isinstance(shown.prompt, str) else shown.prompt[-1].content
        judge = domain.judge
        made.append(
            Example(f"opinion-{domain.name}", asked.format(label=judge.label, about=judge.about, prompt=prompt))
        )
    return made
