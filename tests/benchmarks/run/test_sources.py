"""suite.json says which tasks share a source, for intervals over tasks."""

from __future__ import annotations

import json
from pathlib import Path

from benchmarks.plan.job import plan
from benchmarks.plan.suite import Suite
from benchmarks.run.collect import RunSummary, collect
from tasks.registry import resolve
from tests.tasks.toys import own_card, toy_table


def test_related_tasks_name_the_same_source(tmp_path: Path) -> None:
    own_card(tmp_path, toy_table(40).to_csv(index=False))
    tasks = ("german", "german_credit:age", "adult:sex", "adult:race@1000", "scm", str(tmp_path / "card.toml"))
    suite = Suite(name="t", tasks=tasks, methods=("constant",), splits=2)
    jobs = list(plan(suite, {task: resolve(task).card.hash for task in tasks}))
    collect(suite, jobs, tmp_path / "out", RunSummary(tmp_path / "out", len(jobs), 0, []))
    told = json.loads((tmp_path / "out" / "suite.json").read_text(encoding="utf-8"))
    assert told["sources"] == {
        "german": "german", "german_credit:age": "german", "adult:sex": "adult", "adult:race@1000": "adult",
        "scm": "scm", "toy": "toy",
    }  # fmt: skip
