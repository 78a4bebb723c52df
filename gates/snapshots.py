"""Whole-system snapshots of joint fine-tuning: the best of several runs is kept, if it beats the system as it was.

One rule for mixtures of networks and of adapters; what is trained, and how, are theirs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Generic, Protocol, TypeVar


class Patient(Protocol):
    """A configuration of a run."""

    @property
    def patience(self) -> int:
        """Checkpoints in a row that do not improve the run's best, after which it stops."""
        ...


System = TypeVar("System")
Config = TypeVar("Config", bound=Patient)
Score = TypeVar("Score")


@dataclass(frozen=True, eq=False)
class Snapshots(Generic[System, Config, Score]):
    """What some runs gave.

    Attributes
    ----------
    system
        The best snapshot, or the system as it was.
    config : or None
        Of the kept snapshot; None when the system stays as it was.
    before, score
        Scores of the system as it was, and of the one that is kept.
    history : list of (config, step, score)
        One record per checkpoint.
    """

    system: System
    config: Config | None
    before: Score
    score: Score
    history: list[tuple[int, int, Score]] = field(default_factory=list)


def best_snapshot(
    system: System,
    configs: Sequence[Config],
    run: Callable[[Config], Iterator[tuple[int, System]]],
    *,
    judge: Callable[[System], Score],
    better: Callable[[Score, Score], bool],
) -> Snapshots[System, Config, Score]:
    """Run configurations one after another, each from the system handed in.

    Parameters
    ----------
    system
    configs : sequence
    run : callable
        (config) → (step, snapshot) at the checkpoints of its run.
    judge : callable
        Score of a whole system on validation rows.
    better : callable
        Whether the first score wins against the second; a tie keeps the second.
    """
    before = judge(system)
    best, chosen, after = system, None, before
    history: list[tuple[int, int, Score]] = []
    for index, config in enumerate(configs):
        run_best, waited = before, 0
        for step, snapshot in run(config):
            score = judge(snapshot)
            history.append((index, step, score))
            if better(score, after):
                best, chosen, after = snapshot, config, score
            run_best, waited = (score, 0) if better(score, run_best) else (run_best, waited + 1)
            if waited >= config.patience:
                break
    return Snapshots(best, chosen, before, after, history)
