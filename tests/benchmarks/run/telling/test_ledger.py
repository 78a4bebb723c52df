"""What a part of a job took: for all seeds together, and for each seed by itself."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks.run.telling import ledger as module
from benchmarks.run.telling.ledger import Ledger


class Watch:
    """A clock that goes on when it is told to."""

    now = 100.0

    def perf_counter(self) -> float:
        """The time."""
        return self.now


@pytest.fixture
def watch(monkeypatch: pytest.MonkeyPatch) -> Watch:
    found = Watch()
    monkeypatch.setattr(module, "time", found)
    return found


def test_a_method_of_one_seed_does_not_cost_what_other_seeds_took(watch: Watch, tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "timing.json")
    with ledger.clock("tune mlp"):
        watch.now += 50
    with ledger.clock("repeat mlp", shared_by=2):  # two further seeds, lanes of one program
        watch.now += 6
    for seed, seconds in enumerate((4, 5, 7)):
        with ledger.of_seed(seed).clock("gate dense"):
            watch.now += seconds
    parts = [("tune mlp", "gate dense"), ("repeat mlp", "gate dense"), ("repeat mlp", "gate dense")]
    assert [ledger.of_seed(seed).total(own) for seed, own in enumerate(parts)] == [54, 8, 10]
    assert ledger.seconds["gate dense"] == 16  # of all seeds: what planning a run goes by


def test_a_part_that_is_made_on_the_way_is_counted_once(watch: Watch, tmp_path: Path) -> None:
    own = Ledger(tmp_path / "timing.json").of_seed(0)
    with own.clock("method bank"):
        watch.now += 1
        with own.clock("gate text dense"):
            watch.now += 10
        watch.now += 2
    assert own.total(("gate text dense", "method bank")) == 13
    assert own.total(("method bank",)) == 3
    assert own.ledger.seconds["method bank"] == 13


def test_clocks_go_on_after_an_interruption_and_after_an_error(watch: Watch, tmp_path: Path) -> None:
    path = tmp_path / "timing.json"
    with Ledger(path).of_seed(1).clock("method x"):
        watch.now += 2
    again = Ledger(path).of_seed(1)
    with again.clock("method x"):
        with pytest.raises(RuntimeError), again.clock("gate y"):
            raise RuntimeError
        watch.now += 3
    assert again.total(("method x", "gate y")) == 5
    assert json.loads(path.read_text()) == again.ledger.seconds
