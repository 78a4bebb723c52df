"""The language-model half of a suite: what it may say, whose keys it changes, and which cells it asks for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from benchmarks.methods.registry import tabular_methods, text_methods
from benchmarks.plan.job import Job, llm_hash, needs_edges, plan
from benchmarks.plan.suite import LLMSettings, Suite, SuiteError, load_settings, load_suite
from benchmarks.run.collect import asked_cells
from reports.table import RESULTS, Tables, missing_cells

METHODS, LLM_METHODS = tabular_methods(), text_methods()
CARDS = {"scm": "0" * 64, "german": "1" * 64, "compas:race": "2" * 64}


def suite(llm: dict[str, Any] | None = None, **changes: Any) -> Suite:
    """Two tabular tasks; text experts on one of them and on one of their own."""
    text = {"tasks": ("german", "compas:race"), "splits": 2, **(llm or {})}
    return Suite.model_validate({"name": "t", "tasks": ("scm", "german"), "splits": 3, "llm": text, **changes})


def jobs(chosen: Suite) -> dict[tuple[str, int], Job]:
    return {(job.task, job.split): job for job in plan(chosen, CARDS)}


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({"tasks": ("scm",), "protocol": "nifty", "llm": {"tasks": ("scm",)}}, "do not run under the protocol nifty"),
        ({"llm": {"tasks": ("scm",), "methods": ("llm_mixtur",)}}, "no method llm_mixtur;"),
        ({"llm": {"tasks": ("scm",), "methods": ("mixture",)}}, "no method mixture;"),
        ({"tasks": ("scm",), "methods": ("llm_mixture",)}, "no method llm_mixture;"),
        ({}, "tasks: name at least one"),
        ({"llm": {"tasks": ()}}, "llm.tasks"),
        ({"tasks": ("scm",), "llm": {}}, "llm.tasks"),
        ({"llm": {"tasks": ("scm",), "bass": "nano"}}, "llm.bass"),
        ({"llm": {"tasks": ("scm",), "quantisation": "int4"}}, "llm.quantisation"),
        ({"llm": {"tasks": ("scm",), "template": "poem"}}, "llm.template"),
        ({"llm": {"tasks": ("scm",), "trials": 0}}, "llm.trials"),
    ],
)
def test_what_contradicts_itself_is_refused_by_name(data: dict[str, Any], message: str) -> None:
    with pytest.raises(SuiteError, match=message):
        load_settings("a test", {"name": "t", **data})


def test_text_experts_alone_are_a_suite() -> None:
    chosen = Suite(name="t", llm=LLMSettings(tasks=("german",), splits=2))
    assert chosen.all_tasks == ("german",) and chosen.splits_of("german") == 2


def test_tasks_are_listed_once_and_have_the_splits_of_their_half() -> None:
    chosen = suite()
    assert chosen.all_tasks == ("scm", "german", "compas:race")
    assert [chosen.splits_of(task) for task in chosen.all_tasks] == [3, 3, 2]
    assert [chosen.llm_on(task) is not None for task in chosen.all_tasks] == [False, True, True]
    plain = Suite(name="t", tasks=("scm",), splits=4)
    assert plain.all_tasks == ("scm",) and plain.splits_of("scm") == 4 and plain.llm_on("scm") is None


def test_methods_of_the_halves_have_names_of_their_own() -> None:
    assert not set(METHODS) & set(LLM_METHODS)
    assert all(name.startswith(("llm_", "cross_")) for name in LLM_METHODS)


def test_jobs_have_text_cells_where_the_suite_says_so() -> None:
    found = jobs(suite())
    assert sorted(found) == sorted(
        [*((t, s) for t in ("scm", "german") for s in range(3)), ("compas:race", 0), ("compas:race", 1)]
    )
    tabular = set(suite().methods) - {m for m in suite().methods if needs_edges(m)}
    assert {method for method, _ in found["scm", 0].cells()} == tabular
    assert {method for method, _ in found["german", 1].cells()} == {*suite().methods, *LLM_METHODS}
    assert {method for method, _ in found["german", 2].cells()} == set(suite().methods)  # beyond the text splits
    keys = [job.cell_key(*cell) for job in found.values() for cell in job.cells()]
    assert len(set(keys)) == len(keys)


def test_an_llm_section_changes_no_tabular_key() -> None:
    before = jobs(Suite(name="t", tasks=("scm", "german"), splits=3))
    for llm in ({}, {"trials": 3}, {"base": "some/model"}, {"tasks": ("scm",)}):
        after = jobs(suite(llm))
        for place, job in before.items():
            assert after[place].key == job.key and after[place].folder == job.folder
            assert all(after[place].cell_key(method, 0) == job.cell_key(method, 0) for method in METHODS)


@pytest.mark.parametrize(
    "change",
    [
        {"base": "some/model"}, {"dtype": "bfloat16"}, {"quantisation": "nf4"}, {"template": "list"}, {"start": 0},
        {"kind": "dora"}, {"trials": 3}, {"batch": 3}, {"kind_trials": 3}, {"budget": {"steps": 7}},
        {"search": {"generations": 7}}, {"bias_items": 7}, {"device": "cuda"},
    ],
)  # fmt: skip
def test_each_llm_setting_changes_the_keys_of_text_cells(change: dict[str, Any]) -> None:
    one, other = jobs(suite())["german", 0], jobs(suite(change))["german", 0]
    assert all(one.cell_key(method, 0) != other.cell_key(method, 0) for method in LLM_METHODS)


@pytest.mark.parametrize(
    "change", [{"tasks": ("german",)}, {"splits": 9}, {"methods": ("llm_base",)}, {"dtype": "float32"}]
)
def test_where_how_many_and_what_is_meant_anyway_do_not_change_the_keys_of_text_cells(change: dict[str, Any]) -> None:
    one, other = jobs(suite())["german", 0], jobs(suite(change))["german", 0]
    assert one.cell_key("llm_base", 0) == other.cell_key("llm_base", 0)


def test_a_tabular_setting_changes_text_cells_too() -> None:
    """Mixtures of both families, folds and floors stand on the tabular half."""
    one, other = jobs(suite())["german", 0], jobs(suite(trials=7))["german", 0]
    assert one.cell_key("cross_gate_dense", 0) != other.cell_key("cross_gate_dense", 0)


def test_another_model_in_the_same_folder_has_another_key(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    settings = LLMSettings(tasks=("german",), base=str(tmp_path))
    before = llm_hash(settings)
    assert llm_hash(settings) == before
    (tmp_path / "config.json").write_text('{"hidden_size": 8}')
    assert llm_hash(settings) != before


def tables(chosen: Suite, have: list[tuple[str, int, str]]) -> Tables:
    """Tables with one row for each of some (task, split, method)."""
    rows = [
        {**dict.fromkeys(RESULTS.columns, ""), "task": task, "protocol": "robust", "use_sensitive": "keep",
         "split": split, "seed": 0, "method": method}
        for task, split, method in have
    ]  # fmt: skip
    frame = pd.DataFrame(rows, columns=list(RESULTS.columns))
    none = pd.DataFrame()
    asked = asked_cells(list(plan(chosen, CARDS)))
    return Tables(frame, none, none, none, chosen.model_dump(mode="json") | {"asked": asked})


def test_cells_that_are_missing_are_named_in_both_halves() -> None:
    chosen = suite(
        {"methods": ("llm_base", "cross_uniform"), "tasks": ("german", "compas:race")}, methods=("constant",)
    )
    everything = [(job.task, job.split, method) for job in plan(chosen, CARDS) for method, _ in job.cells()]
    assert len(everything) == 3 * 1 + (2 * 3 + 1) + 2 * 3
    assert missing_cells(tables(chosen, everything)) == []
    lost = [("german", 1, "llm_base"), ("compas:race", 1, "cross_uniform"), ("scm", 0, "constant")]
    found = missing_cells(tables(chosen, [cell for cell in everything if cell not in lost]))
    assert sorted(found) == sorted(f"{t} · {m} · split {s} · seed 0 · sensitive keep" for t, s, m in lost)


def test_single_settings_of_the_text_experts_are_overridden() -> None:
    before, after = load_suite("default"), load_suite("default", llm={"base": "some/model"})
    assert before.llm is not None and after.llm is not None
    assert after.llm == before.llm.model_copy(update={"base": "some/model"})
    assert after.hash != before.hash
    assert load_suite("default", llm={}).hash == before.hash
    with pytest.raises(SuiteError, match=r"llm\.trials"):
        load_suite("default", llm={"trials": 0})


def test_a_suite_without_text_experts_cannot_set_theirs() -> None:
    with pytest.raises(SuiteError, match="'quick' has no text experts, so base cannot be set"):
        load_suite("quick", llm={"base": "some/model"})
