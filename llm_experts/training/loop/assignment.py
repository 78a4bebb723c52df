"""What one expert is to learn, and what came of it."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from torch import Tensor

from llm_experts.data.example import Example
from llm_experts.decoder.program import Adapter
from llm_experts.training.loop.settings import Settings, SettingsError
from llm_experts.training.sequences.lanes import SequenceLanes

Judge = Callable[[Example, str], float]
"""Score of an answer, higher is better: a family's check."""
NAMES = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


class Score(NamedTuple):
    """A checkpoint's score; a better one is larger.

    Attributes
    ----------
    value : float
        Mean of the judge's scores, or mean log-probability of a completion's token.
    logprob : float
        The latter, which decides where judges see no difference; NaN where items have no completion.
    """

    value: float
    logprob: float

    def better_than(self, other: Score) -> bool:
        """Whether it is better; nothing is better than a score that is undefined but a defined one."""
        if math.isnan(self.value) or self.value != other.value:
            return self.value > other.value or (math.isnan(other.value) and not math.isnan(self.value))
        return self.logprob > other.logprob


NEVER = Score(-math.inf, -math.inf)


class Verdict(NamedTuple):
    """What follows from the rows of a watched training.

    Attributes
    ----------
    sound : bool
        Whether the last row's checkpoint may be kept.
    stop : str
        Why training ends here; "" where it goes on.
    hold : float
        By how much what holds the expert at its base should grow, for methods that have such a weight; 1 keeps it.
    """

    sound: bool
    stop: str = ""
    hold: float = 1.0


class Watch(Protocol):
    """What looks at an expert while it trains, in place of the score on validation items.

    What it says follows from its arguments alone: a run that goes on after a kill asks it again.
    """

    @property
    def key(self) -> str:
        """What decides what it says; part of what an expert is known by."""
        ...

    def look(self, every: Sequence[Any], lanes: SequenceLanes, theta: Tensor) -> list[dict[str, float]]:
        """Figures of lanes in one pass; ``every`` are the watches of the lanes [K, P], of this one's class.

        Among them ``score``, which chooses the checkpoint, and ``logprob``, which decides between equal ones.
        """
        ...

    def verdict(self, history: Sequence[Mapping[str, Any]]) -> Verdict:
        """What follows from the rows so far, the first of which is that of the first weights."""
        ...


@dataclass(frozen=True)
class Assignment:
    """One expert to train.

    Attributes
    ----------
    name : str
        Its folder: letters, digits, dots, hyphens and underscores.
    train, validation : sequence of Example
        The validation items choose the checkpoint and end the training.
    settings : Settings
    judge : callable, optional
        ``judge(example, answer)``: score of an answer. None: the mean log-probability of the completions' tokens.
    longest_answer : int, optional
        Most tokens of an answer that is judged; None: those of the longest completion and a quarter more.
    after : Path, optional
        Folder of an earlier expert, of the same kind, rank and start, whose adapter is trained on; None: a fresh one.
    watch : Watch, optional
        Looks at it instead of the judge, and says which checkpoints may be kept and when to end.
    """

    name: str
    train: Sequence[Example]
    validation: Sequence[Example]
    settings: Settings
    judge: Judge | None = None
    longest_answer: int | None = None
    after: Path | None = None
    watch: Watch | None = None

    def __post_init__(self) -> None:
        if not NAMES.fullmatch(self.name):
            raise SettingsError(
                f"An expert cannot be called {self.name!r}: its name is that of a folder. Take letters, digits, dots, "
                "hyphens and underscores."
            )
        for what, given in (("train", self.train), ("validation", self.validation)):
            if not given:
                raise SettingsError(f"The expert {self.name} has no {what} items; give at least one.")


@dataclass(frozen=True, eq=False)
class Fitted:
    """A trained expert.

    Attributes
    ----------
    name : str
    adapter : Adapter
        At its best checkpoint.
    score : float
        There, on the validation items; -inf if no checkpoint was sound.
    best_step, steps : int
        Step of that checkpoint, and steps taken.
    history : list of dict
        One row per evaluation.
    stopped : str
        Why it ended before its last step; "" if it did not.
    folder : Path
    parameters : int
        Numbers that trained.
    seconds : float
        Wall time of the training, with those that it trained together with.
    notes : tuple of str
        What had to be given up, such as a batch that did not fit in memory.
    """

    name: str
    adapter: Adapter
    score: float
    best_step: int
    steps: int
    history: list[dict[str, Any]]
    stopped: str
    folder: Path
    parameters: int
    seconds: float
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Progress:
    """Where a run stands, for those who wait.

    Attributes
    ----------
    names : tuple of str
        The experts that train now.
    step, steps : int
        Optimiser steps done, and those of the longest of them.
    seconds_left : float or None
        Estimate from the steps so far; None before there is one.
    figures : mapping
        Expert to its loss (``loss``) and last score (``score``).
    """

    names: tuple[str, ...]
    step: int
    steps: int
    seconds_left: float | None
    figures: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
