"""Rates are measured within a tenth of the budget: the clock is asked between parts, and what is missing is told."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from benchmarks.discovering.context import BaseOnDemand, Context
from benchmarks.discovering.deadline import Deadline
from benchmarks.discovering.error import BudgetEndedError
from benchmarks.discovering.run import discover
from benchmarks.discovering.sizing import calibrating
from benchmarks.discovering.sizing.calibrating import GUESSED, Looked, rates_of, spread
from benchmarks.discovering.sizing.sizes import Rates
from llm_experts.bases.base import Base
from tests.benchmarks.discovering.tiny import Noting, asked
from tests.llm_experts.conftest import make_tiny_base

DOMAINS = ("arithmetic", "dates", "json_task", "strings")


@dataclass
class Ticking:
    """A clock that is always the same time later when it is asked."""

    tick: float
    now: float = 0.0
    asked: list[float] = field(default_factory=list)

    def __call__(self) -> float:
        self.now += self.tick
        self.asked.append(self.now)
        return self.now


def context(tmp_path: Path, seconds: float | None, clock: Ticking, load: object = make_tiny_base) -> Context:
    given = asked(tmp_path, rank=2, domains=DOMAINS)
    return Context(
        root=tmp_path, folder=tmp_path, settings=given.settings, on_demand=BaseOnDemand(load),
        deadline=Deadline(seconds, clock),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("seconds", "domains", "guessed"),
    [
        pytest.param(None, 4, (), marks=pytest.mark.slow),  # no budget: all of them
        pytest.param(700.0, 2, (), marks=pytest.mark.slow),  # a tenth: 23 seconds for the first domain, twice that left
        (65.0, 1, ("trained", "draft")),  # a tenth, 6.5 seconds, ends while the first domain is looked at
    ],
)
def test_so_much_is_looked_at_as_a_tenth_allows(
    tmp_path: Path, seconds: float | None, domains: int, guessed: tuple[str, ...]
) -> None:
    found = rates_of(context(tmp_path, seconds, Ticking(1.0)))
    assert (found.domains, found.guessed) == (domains, guessed)
    assert found.rates.item == pytest.approx(1.0 / (8 * domains))
    for name in guessed:
        assert getattr(found.rates, name) == pytest.approx(GUESSED[name] * found.rates.item)


def test_a_base_that_takes_the_whole_budget_to_load_ends_it_before_anything_is_measured(tmp_path: Path) -> None:
    clock = Ticking(0.0)

    def slow() -> Base:
        clock.now += 300.0
        return make_tiny_base()

    with pytest.raises(BudgetEndedError, match="budget of 4 minutes"):
        rates_of(context(tmp_path, 240.0, clock, slow))
    assert len(clock.asked) == 2, "at the start and after loading"


def test_the_run_says_that_nothing_was_begun(tmp_path: Path) -> None:
    given = replace(asked(tmp_path / "run"), minutes=0.1, clock=Ticking(4.0))
    with pytest.raises(BudgetEndedError, match="nothing was begun"):
        discover(given, Noting())
    assert not (tmp_path / "run" / "1_capability").exists()


def test_what_could_not_be_measured_is_told() -> None:
    rates = Rates(0.1, 0.1, 0.1, 0.3, 0.4)
    assert Looked(rates, 4).told(4, 5.0) == Looked(rates, 1, ("draft",)).told(4, None) == ""
    assert "on 2 of 4 domains. Sizes" in Looked(rates, 2).told(4, 5.0)
    assert "rates of trained, draft: guessed" in Looked(rates, 1, ("trained", "draft")).told(4, 5.0)


@pytest.mark.parametrize(("count", "expected"), [(1, "a"), (2, "ac"), (3, "abc"), (4, "abcd")])
def test_domains_are_taken_evenly(count: int, expected: str) -> None:
    given: Sequence[str] = "abcd"
    assert "".join(spread(given, count)) == expected  # type: ignore[arg-type, type-var]


def test_every_rate_that_may_be_missing_is_a_rate() -> None:
    assert set(calibrating.GUESSED) < set(Rates.__dataclass_fields__)
