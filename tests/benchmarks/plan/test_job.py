"""Keys: whatever determines a number changes the key of what holds it, and nothing else does."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from benchmarks.plan import job as job_module
from benchmarks.plan.job import Job, plan
from benchmarks.plan.suite import Suite, SuiteError, load_settings
from tasks.registry import CARDS


def first(**changes: Any) -> Job:
    return next(plan(Suite(name="t", tasks=("scm",)).model_copy(update=changes), {"scm": "0" * 64}))


@pytest.mark.parametrize(
    "change",
    [
        {"protocol": "nifty"}, {"use_sensitive": ("drop",)}, {"seed": 1}, {"trials": 31}, {"batch": 3},
        {"space": "wide"}, {"epsilon": 0.03}, {"folds": 3}, {"budget": {"steps": 7}}, {"settings": "published"},
    ],
)  # fmt: skip
def test_each_setting_changes_the_key_of_job_and_cells(change: dict[str, Any]) -> None:
    assert first(**change).key != first().key
    assert first(**change).cell_key("constant", 0) != first().cell_key("constant", 0)


def test_data_split_and_code_change_the_key(monkeypatch: pytest.MonkeyPatch) -> None:
    job = first()
    assert replace(job, card_hash="1" * 64).key != job.key
    assert replace(job, split=1).key != job.key
    before = job.key
    monkeypatch.setattr(job_module, "computing_hash", lambda: "other code")
    assert job.key == before  # a running plan keeps its keys
    assert first().key != before


def test_name_of_the_suite_and_list_of_methods_do_not_change_the_experts() -> None:
    assert first(name="other").key == first().key
    assert first(methods=("utility", "mixture")).key == first(methods=("mixture",)).key


def test_the_code_of_a_baseline_changes_only_its_own_cells(monkeypatch: pytest.MonkeyPatch) -> None:
    before = {method: first().cell_key(method, 0) for method in first().methods}
    hashes = job_module.baseline_hash

    def edited(name: str) -> str:
        return "edited" if name == "constant" else hashes(name)

    monkeypatch.setattr(job_module, "baseline_hash", edited)
    after = {method: first().cell_key(method, 0) for method in first().methods}
    assert {method for method in before if before[method] != after[method]} == {"constant"}


def test_more_seeds_keep_what_was_computed_with_fewer() -> None:
    assert first(seeds=3).cell_key("utility", 0) == first().cell_key("utility", 0)
    assert first(seeds=3).cell_key("utility", 1) not in {first().cell_key("utility", 0)}


def test_adding_a_method_changes_no_other_cell() -> None:
    few, more = first(methods=("utility", "lightgbm")), first(methods=("utility", "lightgbm", "reweighing"))
    assert all(few.cell_key(method, 0) == more.cell_key(method, 0) for method in few.methods)


def test_graph_methods_run_where_there_are_edges() -> None:
    suite = Suite(name="t", tasks=("german", "scm"), splits=1, methods=("utility", "gcn_utility", "gcn"))
    found = {job.task: job.methods for job in plan(suite, dict.fromkeys(suite.tasks, "0" * 64))}
    assert found == {"german": ("utility", "gcn_utility", "gcn"), "scm": ("utility",)}


def test_what_a_graph_mixture_holds_changes_its_cells_alone() -> None:
    def job(**changes: Any) -> Job:
        methods = ("mixture", "graph_gate_dense", "gcn_utility")
        suite = Suite(name="t", tasks=("german",), splits=1, methods=methods, **changes)
        return next(plan(suite, {"german": "0" * 64}))

    plain, kinds, layers = job(), job(graph_kinds=("gcn", "sage")), job(graph_layers=2)
    changed = {name: [m for m in plain.methods if other.cell_key(m, 0) != plain.cell_key(m, 0)]
               for name, other in (("kinds", kinds), ("layers", layers))}  # fmt: skip
    assert changed == {"kinds": ["graph_gate_dense"], "layers": ["graph_gate_dense", "gcn_utility"]}


def test_cells_of_a_job_are_methods_times_seeds_with_keys_of_their_own() -> None:
    job = first(seeds=2)
    keys = {job.cell_key(*cell) for cell in job.cells()}
    assert len(keys) == len(job.cells()) == 2 * len(job.methods)
    assert job.seed_of(0) != job.seed_of(1)


def test_plan_is_tasks_times_axes_times_splits_of_what_is_available() -> None:
    suite = Suite(name="t", tasks=("german", "scm"), splits=2, use_sensitive=("keep", "drop"))
    jobs = list(plan(suite, {"scm": "0" * 64}))
    assert [job.name for job in jobs] == ["scm_split0", "scm_split1", "scm_drop_split0", "scm_drop_split1"]


def test_an_own_card_goes_by_its_name_wherever_it_lies(tmp_path: Path) -> None:
    keys = set()
    for folder in (tmp_path / "a", tmp_path / "b"):
        folder.mkdir()
        path = folder / "card.toml"
        path.write_bytes((CARDS / "german" / "card.toml").read_bytes())
        (job,) = plan(Suite(name="t", tasks=(str(path),), splits=1), {str(path): "0" * 64})
        assert job.name == "german_split0"
        keys.add((job.key, job.seed_of(0)))
    assert len(keys) == 1


def test_two_tasks_of_one_name_are_refused() -> None:
    with pytest.raises(SuiteError, match="called scm"):
        list(plan(Suite(name="t", tasks=("scm", "scm")), {"scm": "0" * 64}))


def test_the_published_split_is_a_single_one() -> None:
    assert len(list(plan(Suite(name="t", tasks=("german",), protocol="nifty"), {"german": "0" * 64}))) == 1


def test_more_metrics_change_cells_but_not_experts() -> None:
    assert first(cfa=True).key == first().key
    assert first(cfa=True).cell_key("constant", 0) != first().cell_key("constant", 0)


def test_an_unknown_method_is_named() -> None:
    with pytest.raises(SuiteError, match="no method mixtur;"):
        load_settings("a test", {"name": "t", "tasks": ("scm",), "methods": ("mixtur",)})
