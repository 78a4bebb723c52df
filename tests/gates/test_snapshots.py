"""The rule of joint fine-tuning, on systems that are numbers and score themselves."""

from __future__ import annotations

import operator
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from gates.snapshots import Snapshots, best_snapshot


@dataclass(frozen=True)
class Run:
    """A run that passes through these systems."""

    systems: tuple[float, ...]
    patience: int = 2


def best(start: float, *runs: Run) -> Snapshots[float, Run, float]:
    def run(config: Run) -> Iterator[tuple[int, float]]:
        yield from enumerate(config.systems, start=1)

    return best_snapshot(start, runs, run, judge=lambda system: -abs(system - 10), better=operator.gt)


def test_the_best_snapshot_of_all_runs_is_kept_with_its_config() -> None:
    first, second = Run((5.0, 8.0)), Run((7.0, 9.0, 8.0))
    found = best(4.0, first, second)
    assert (found.system, found.config, found.before, found.score) == (9.0, second, -6.0, -1.0)
    assert found.history == [(0, 1, -5.0), (0, 2, -2.0), (1, 1, -3.0), (1, 2, -1.0), (1, 3, -2.0)]


@pytest.mark.parametrize("systems", [(3.0, 2.0), (16.0, 4.0), ()])
def test_a_system_that_nothing_beats_stays_as_it_was(systems: tuple[float, ...]) -> None:
    found = best(4.0, Run(systems))  # 16 and 4 are as good, no better
    assert (found.system, found.config, found.before, found.score) == (4.0, None, -6.0, -6.0)


@pytest.mark.parametrize(("patience", "steps"), [(1, 2), (2, 5), (3, 9)])
def test_a_run_stops_after_so_many_checkpoints_that_do_not_improve_its_best(patience: int, steps: int) -> None:
    # checkpoints 1, 3 and 6 improve
    systems = (5.0, 5.0, 6.0, 6.0, 5.0, 7.0, 7.0, 7.0, 7.0, 7.0)
    assert len(best(4.0, Run(systems, patience)).history) == steps


def test_each_run_has_patience_of_its_own() -> None:
    """A later run that does not reach the best of an earlier one may still improve on the start."""
    found = best(4.0, Run((9.0,)), Run((5.0, 6.0, 7.0, 8.0), patience=1))
    assert [step for index, step, _ in found.history if index == 1] == [1, 2, 3, 4]
    assert found.system == 9.0


@pytest.mark.parametrize("patience", [1, 2, 3])
def test_a_run_that_never_improves_stops_after_its_patience(patience: int) -> None:
    assert len(best(4.0, Run((3.0, 2.0, 1.0, 0.0), patience)).history) == patience
