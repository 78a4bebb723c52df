"""What checks of items share: the model that is asked, what was accepted before, and what must not be touched."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Literal

from llm_experts.data.error import DataError
from llm_experts.data.example import Example
from llm_experts.data.overlap import Learnt
from llm_experts.data.repeats import Repeats

if TYPE_CHECKING:
    from torch import Tensor

    from llm_experts.bases.base import Base
    from llm_experts.training.sequences.lanes import SequenceLanes

Verdicts = Literal["judge", "report"]
"""Whether a model's finding rejects an item, or is only told."""


@dataclass(frozen=True, kw_only=True)
class CheckOptions:
    """How strict checks are.

    Attributes
    ----------
    difficulty, alignment : {"judge", "report"}
        What the two checks that ask a model do with what they find.
    samples : int
        Answers that are drawn of an item whose answers cannot be listed.
    shortest, longest : int
        Characters of a prompt.
    near : float
        Likeness of words from which two items may be the same question (:class:`llm_experts.data.repeats.Repeats`).
    n, overlap : int, float
        An item outside the generated families leaks where so large a share of its n-grams of words is protected.
    """

    difficulty: Verdicts = "judge"
    alignment: Verdicts = "judge"
    samples: int = 8
    shortest: int = 8
    longest: int = 8000
    near: float = 0.85
    n: int = 13
    overlap: float = 0.8


@dataclass(frozen=True, eq=False)
class Protected:
    """A set that no item may repeat, such as that of an examination.

    Attributes
    ----------
    name : str
    questions : Repeats
    words : Learnt
    """

    name: str
    questions: Repeats
    words: Learnt


class Context:
    """What checks share.

    Parameters
    ----------
    base : Base, optional
        Only checks without a model can be asked where it is missing.
    lanes, theta : SequenceLanes and [K, P], optional
        Whose lane ``lane`` judges; None: the base without adapters.
    lane : int
    accepted : iterable of Example
        Items that were taken before.
    protected : mapping
        Sets that must not be touched, by name.
    seed : int
        Of wrong answers and of drawn ones.
    options : CheckOptions, optional

    Attributes
    ----------
    seen : Repeats
        Of what was accepted.
    protected : tuple of Protected
    """

    def __init__(
        self,
        base: Base | None = None,
        lanes: SequenceLanes | None = None,
        theta: Tensor | None = None,
        *,
        lane: int = 0,
        accepted: Iterable[Example] = (),
        protected: Mapping[str, Sequence[Example]] | None = None,
        seed: int = 0,
        options: CheckOptions | None = None,
    ) -> None:
        if (lanes is None) != (theta is None):
            raise ValueError("lanes and their weights are given together, or neither")
        self.base, self.seed, self.options = base, seed, options or CheckOptions()
        self._given = None if lanes is None or theta is None else (lanes, theta, lane)
        self.seen = Repeats(accepted, near=self.options.near)
        self.protected = tuple(
            Protected(name, Repeats(examples, near=self.options.near), Learnt(examples, n=self.options.n))
            for name, examples in (protected or {}).items()
        )

    def accept(self, example: Example) -> None:
        """Take an item: later ones may not repeat it."""
        self.seen.add(example)

    @property
    def model(self) -> Base:
        """The base.

        Raises
        ------
        DataError
            If there is none.
        """
        if self.base is None:
            raise DataError(
                "Checks of difficulty and alignment ask a model, and none is given. Name one (--base nano), or leave "
                "these checks out."
            )
        return self.base

    @cached_property
    def judging(self) -> tuple[SequenceLanes, Tensor]:
        """The judging model as one lane and its weights [1, P]."""
        import torch

        from llm_experts.training.sequences.lanes import SequenceLanes

        if self._given is not None:
            lanes, theta, lane = self._given
            return lanes.select(torch.tensor([lane])), theta[lane : lane + 1].detach()
        untouched = SequenceLanes.bare(self.model)
        return untouched, untouched.start
