"""What a term of an objective is: something unfair about a batch's answers, times a weight that lanes choose.

All terms are by lane, [k]; a weight of 0 adds a gradient of exactly 0. Definitions are those of
:mod:`metrics.surrogates`, so that a gap means the same for every family.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple, Protocol

import torch
from torch import Tensor

from experts.expert import Role
from llm_experts.decoder.layout import Answers, TopInput
from llm_experts.training.objectives.text_batch import TextBatch

TINY = 1e-8
UtilityLoss = Literal["cross_entropy", "reward"]
Attribution = Literal["attention", "gradient"]


@dataclass(frozen=True)
class Options:
    """What the lanes of a call have in common.

    Attributes
    ----------
    utility_loss : str
        ``cross_entropy``, or ``reward``: the exact expected reward Σ_a p(a|x) r(a) with r = ±1, which is
        policy-gradient training without its sampling noise.
    kl : float
        ≥ 0, weight of KL(p ‖ p_base) beside the reward; in closed form for two answers.
    attribution : str
        What ``lambda_attention`` compares: ``attention`` of the answer tokens in the last layer, or |``gradient`` times
        activation| of the margin where texts enter the top, summed over a token's hidden units.
    adversary_width : int
        Hidden units of the adversary.
    """

    utility_loss: UtilityLoss = "cross_entropy"
    kl: float = 0.0
    attribution: Attribution = "attention"
    adversary_width: int = 16

    def __post_init__(self) -> None:
        if self.utility_loss not in ("cross_entropy", "reward") or self.attribution not in ("attention", "gradient"):
            raise ValueError(
                f"utility_loss is cross_entropy or reward and attribution is attention or gradient, not "
                f"{self.utility_loss!r} and {self.attribution!r}."
            )
        if not self.kl >= 0 or (self.kl > 0 and self.utility_loss != "reward"):
            raise ValueError(f"kl = {self.kl} must be ≥ 0 and has a meaning for utility_loss='reward' only.")


Run = Callable[[TopInput], Answers]
"""Answers [k, n, ...] of a chunk of lanes."""


class State(Protocol):
    """What a term learns beside the lanes, such as an adversary."""

    def step(self) -> None:
        """Learn from the last batch, once all chunks have gone backward."""
        ...

    def select(self, lanes: Tensor) -> None:
        """Go on with some lanes only."""
        ...


@dataclass(frozen=True)
class Setting:
    """What a term's state is made for.

    Attributes
    ----------
    options : Options
    pooled : int
        Width of the pooled hidden states.
    n_groups : int
    seeds : sequence of int
        One per lane.
    device : torch.device or None
    """

    options: Options
    pooled: int
    n_groups: int
    seeds: Sequence[int]
    device: torch.device | None = None


class Step(NamedTuple):
    """What a term sees of a step of a chunk of lanes.

    Attributes
    ----------
    answers : Answers
        [k, n, ...] to the texts ``given``.
    given : TopInput
    batch : TextBatch
    lanes : slice
        The chunk.
    run : callable
        Asks the lanes anything else.
    options : Options
    state : State or None
        What the term's ``state`` made.
    """

    answers: Answers
    given: TopInput
    batch: TextBatch
    lanes: slice
    run: Run
    options: Options
    state: State | None


@dataclass(frozen=True, kw_only=True)
class Term:
    """One term of the objectives, in a file of this room that defines it as ``TERM``.

    Attributes
    ----------
    name : str
        Of its weight: ``lambda_…``.
    roles : tuple of str
        Roles that have it.
    bounds : (float, float)
        Of the weight, drawn log-uniformly; divergences are an order smaller than gaps.
    tuned : bool
        Whether tuning chooses the weight; else it is there for those who ask.
    order : int
        Where it stands among the terms: sums are taken in this order.
    add : callable
        ``add(step, weight) -> [k]``: what it adds to the losses, for weights [k].
    state : callable or None
        ``state(setting)``: what it learns.
    needs_moved : bool
        Whether it compares rows with themselves in another group.
    adds_up : bool
        Whether it is a sum over rows by their weights, so that a batch may be taken in parts.
    differentiates : callable
        Whether it takes derivatives in the hidden states that enter the top, under some options.
    """

    name: str
    roles: tuple[Role, ...]
    bounds: tuple[float, float]
    add: Callable[[Step, Tensor], Tensor]
    order: int = 100
    tuned: bool = True
    state: Callable[[Setting], State] | None = None
    needs_moved: bool = False
    adds_up: bool = False
    differentiates: Callable[[Options], bool] = lambda _options: False
