"""Shares of a suite: every job in one of them, of about the same cost, the same on every machine."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.plan.recorded import check_part, plan_of, read_plan
from benchmarks.plan.shard import Shard, ShardError, cut, job_costs, jobs_of_shard, suite_jobs
from benchmarks.plan.suite import Suite, load_suite

SUITE = Suite.model_validate(
    {"name": "small", "tasks": ("scm", "compas:race"), "splits": 3, "seeds": 2, "methods": ("constant", "utility")}
)


@pytest.mark.parametrize("count", [1, 2, 3, 4, 5, 6])
def test_every_job_is_in_one_shard(count: int) -> None:
    shares = [jobs_of_shard(SUITE, Shard(index + 1, count)) for index in range(count)]
    assert all(shares)
    places = [job.place for share in shares for job in share]
    assert sorted(places) == sorted(job.place for job in suite_jobs(SUITE))


def test_each_shard_keeps_the_order_of_the_suite() -> None:
    order = {job.place: index for index, job in enumerate(suite_jobs(SUITE))}
    for share in cut(suite_jobs(SUITE), 2):
        assert [order[job.place] for job in share] == sorted(order[job.place] for job in share)


def test_shares_cost_about_the_same() -> None:
    jobs = suite_jobs(load_suite("default", text=False))
    loads = [sum(job_costs(share)) for share in cut(jobs, 4)]
    assert max(loads) - min(loads) <= max(job_costs(jobs))  # the last job given to the dearest share made it so


def test_what_is_finished_changes_no_share(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = [job.place for job in jobs_of_shard(SUITE, Shard(2, 3))]
    monkeypatch.chdir(tmp_path)
    for job in suite_jobs(SUITE)[:2]:
        job.cell_folder(tmp_path / "results" / "small" / "jobs", "constant", 0).mkdir(parents=True)
    assert [job.place for job in jobs_of_shard(SUITE, Shard(2, 3))] == before


@pytest.mark.parametrize("text", ["0/3", "4/3", "3", "a/b", "1/0", "-1/3", "1/2/3", ""])
def test_a_share_that_there_is_not_is_refused(text: str) -> None:
    with pytest.raises(ShardError, match="the first being 1, such as --shard 3/20"):
        Shard.read(text)


def test_more_shards_than_jobs_are_refused_with_both_numbers() -> None:
    with pytest.raises(ShardError, match=r"small has 6 jobs .* cannot be cut into 20 shards.* --shard 3/6"):
        jobs_of_shard(SUITE, Shard(3, 20))
    one = SUITE.model_copy(update={"tasks": ("scm",), "splits": 1})
    with pytest.raises(ShardError, match=r"small has 1 job \(.* Give no --shard, or more --splits"):
        jobs_of_shard(one, Shard(1, 2))


def test_a_plan_is_read_as_it_was_written(tmp_path: Path) -> None:
    jobs = jobs_of_shard(SUITE, Shard(1, 2))
    plan = plan_of(SUITE, jobs, [{"task": "bail", "reason": "no network"}], Shard(1, 2))
    plan.save(tmp_path)
    again = read_plan(tmp_path)
    assert again == plan
    for job, read in zip(jobs, again.jobs, strict=True):
        assert (read.folder, read.cells(), read.place) == (job.folder, job.cells(), job.place)
        assert [read.cell_key(*cell) for cell in read.cells()] == [job.cell_key(*cell) for cell in job.cells()]


def test_a_folder_of_one_share_takes_no_other(tmp_path: Path) -> None:
    plan_of(SUITE, jobs_of_shard(SUITE, Shard(1, 2)), [], Shard(1, 2)).save(tmp_path)
    check_part(SUITE, tmp_path, Shard(1, 2))
    check_part(SUITE, tmp_path, None)  # the whole suite may go on from it
    with pytest.raises(ShardError, match="holds shard 1 of 2 of small; shard 2 of 2 of small would replace its tables"):
        check_part(SUITE, tmp_path, Shard(2, 2))
    with pytest.raises(ShardError, match="with other settings"):
        check_part(SUITE.model_copy(update={"seed": 1}), tmp_path, Shard(1, 2))
