"""What differs between trainers: the loss of a micro-batch, and what they remember."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Literal

from torch import Tensor

from foundation.discovery import items, load
from llm_experts.bases.base import Base
from llm_experts.training.loop.assignment import Assignment
from llm_experts.training.loop.settings import Settings, SettingsError
from llm_experts.training.sequences.batch import Batch
from llm_experts.training.sequences.lanes import SequenceLanes

Need = Literal["completion", "pair", "prompt", "text"]
"""What an item must have: an answer, two of them, a prompt alone, or a text of which everything is learnt."""
ROOM, NAME = "llm_experts.training.methods", "METHOD"


@dataclass(frozen=True, eq=False)
class Run:
    """What a method gets to see before the first step.

    Attributes
    ----------
    base : Base
    lanes : SequenceLanes
        All lanes; their first weights are ``lanes.start``.
    assignments : sequence of Assignment
        By lane.
    settings : Settings
        Those that lanes have in common count.
    folders : sequence of Path
        Of the experts, by lane.
    """

    base: Base
    lanes: SequenceLanes
    assignments: Sequence[Assignment]
    settings: Settings
    folders: Sequence[Path] = ()


class Method:
    """One trainer, for all lanes of a run. Subclasses inherit what they do not need to say."""

    needs: Need

    def start(self, run: Run) -> None:
        """Prepare for the lanes of a run."""

    def loss(self, lanes: SequenceLanes, theta: Tensor, batch: Batch) -> tuple[Tensor, Mapping[str, Tensor]]:
        """Loss [K] of the running lanes on a micro-batch, and figures [K] to report.

        Both are the micro-batch's share: what is added up over the micro-batches of a step (``batch.tokens`` and
        ``batch.count`` are the whole step's) is the step's.
        """
        raise NotImplementedError

    def after_step(self, figures: Mapping[str, Tensor]) -> None:
        """Learn from a step's figures, by running lane."""

    def after_look(self, hold: Mapping[int, float]) -> None:
        """Hold running lanes at their base by so much more (above 1) or less, as those who watch them ask."""

    def stopped(self) -> Mapping[int, str]:
        """Running lanes that should end after the last step, and why."""
        return {}

    def examine(self, lane: int, lanes: SequenceLanes, theta: Tensor) -> tuple[float, float] | None:
        """Score of a checkpoint [1, P] of lane number ``lane`` on its validation items, where nobody judges answers.

        The second number decides between equal scores. None: the mean log-probability of the completions.
        """

    def select(self, lanes: Tensor) -> None:
        """Go on with some of the running lanes only."""

    def state(self) -> dict[str, Tensor]:
        """What it takes to go on exactly, beside the weights."""
        return {}

    def load(self, state: Mapping[str, Tensor]) -> None:
        """Go on from what :meth:`state` gave."""


@dataclass(frozen=True, kw_only=True)
class MethodRecord:
    """A trainer as commands and documentation know it.

    Attributes
    ----------
    name : str
        Word in commands and files; that of the file.
    label, about : str
        Name for people, and what it learns from in one line.
    needs : {"completion", "pair", "prompt", "text"}
    options : type
        A dataclass whose docstring says what each option is.
    make : callable
        ``make(options) -> Method``.
    sources : callable
        ``sources(options)``: sha256 of what options name and do not hold, such as a teacher's weights. An expert is
        made anew when one of them changes.
    """

    name: str
    label: str
    about: str
    needs: Need
    options: type
    make: Callable[[Any], Method]
    sources: Callable[[Any], Mapping[str, str]] = lambda _: {}

    def with_options(self, given: Mapping[str, Any]) -> Method:
        """The trainer with options.

        Raises
        ------
        SettingsError
            If it has no such option, or refuses a value.
        """
        return self.make(self.options_of(given))

    def options_of(self, given: Mapping[str, Any]) -> Any:
        """Options as the method has them; errors as of :meth:`with_options`."""
        known = [field.name for field in fields(self.options)]
        odd = sorted(given.keys() - set(known))
        if odd:
            has = f"it has {', '.join(known)}" if known else "it has none"
            raise SettingsError(f"The method {self.name} has no option {odd[0]!r}; {has}.")
        try:
            return self.options(**given)
        except TypeError as error:
            raise SettingsError(f"The options of the method {self.name} do not fit: {error}.") from error


def method_named(name: str) -> MethodRecord:
    """The trainer with this name, of the files of ``training/methods`` and of plug-in folders.

    Raises
    ------
    SettingsError
        If there is none.
    """
    known = items(ROOM, NAME)
    if name not in known:
        raise SettingsError(f"There is no training method {name!r}; methods are {', '.join(known)}.")
    found: MethodRecord = load(ROOM, NAME, name)
    return found
