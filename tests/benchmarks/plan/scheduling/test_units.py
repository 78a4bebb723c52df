"""What units cost adds up to what jobs cost; a plan of several jobs keeps who waits for whom."""

from __future__ import annotations

import pytest

from benchmarks.plan.scheduling.units import costed, plan_units
from benchmarks.plan.shard import suite_jobs
from benchmarks.plan.suite import Suite, load_suite
from benchmarks.plan.time_estimate import Clock
from benchmarks.run.units import units_of

SMALL = Suite.model_validate(
    {"name": "s", "tasks": ("scm",), "splits": 2, "seeds": 3, "methods": ("mixture", "utility", "lightgbm", "constant")}
)


@pytest.mark.parametrize("suite", [SMALL, load_suite("quick")])
def test_the_units_of_a_job_cost_what_the_job_costs(suite: Suite) -> None:
    clock, job = Clock(()), suite_jobs(suite)[0]
    for done in ({}, {"tune utility": 5.0}):
        units = costed(job, units_of(job, job.cells()), clock, done)
        whole = clock.job(job, job.cells(), done)
        for end in ("low", "likely", "high"):
            assert sum(getattr(unit.seconds, end) for unit in units) == pytest.approx(getattr(whole, end))


def test_units_stand_behind_those_that_they_wait_for() -> None:
    clock = Clock(())
    each = [costed(job, units_of(job, job.cells()), clock, {}) for job in suite_jobs(SMALL)]
    units = plan_units(each)
    assert len(units) == sum(map(len, each))
    for place, unit in enumerate(units):
        assert all(before < place and units[before].job == unit.job for before in unit.after)
    assert any(unit.after for unit in units[len(each[0]) :])
