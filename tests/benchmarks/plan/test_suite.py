"""Suites: names, overrides, errors."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from benchmarks.methods.baselines import baseline_names
from benchmarks.methods.registry import graph_methods, method_id, pool_networks, tabular_methods
from benchmarks.plan.suite import Suite, SuiteError, load_settings, load_suite, suite_names
from tasks.load import load_raw
from tasks.registry import names, resolve
from tasks.split import make_split


def test_default_suite_is_the_promised_one() -> None:
    suite = load_suite("default")
    assert len(suite.tasks) >= 15 and len(sources(suite)) >= 9
    assert (suite.protocol, suite.space, suite.splits, suite.seeds) == ("large_test", "wide", 3, 1)
    assert suite.llm is not None and suite.llm.tasks == suite.graph_tasks == ("german",) and "german" in suite.tasks
    asked = {
        "mixture", "family_mixture", "role_mixture", "best_single", "utility", "result", "procedural", "constant",
        "logistic_regression", "lightgbm", "lightgbm_bag", "reweighing", "reweighed_bag", "oxonfair",
        "exponentiated_gradient", "threshold_optimizer", "error_parity", "graph_gate_dense", "nifty",
        "fairgnn", "edits",
    }  # fmt: skip
    assert asked <= set(suite.methods)


def sources(suite: Suite) -> set[str]:
    return {resolve(task).card.origin for task in suite.tasks}


def test_no_source_of_the_default_suite_is_among_the_data_held_back() -> None:
    default, held_back = load_suite("default", text=False), load_suite("heldout")
    assert len(held_back.tasks) >= 8 and not sources(default) & sources(held_back)
    graph = set(graph_methods()) | {"gcn", "nifty", "fairgnn", "edits"}
    assert set(held_back.methods) == set(default.methods) - graph
    alike = (
        "protocol",
        "splits",
        "seeds",
        "trials",
        "batch",
        "space",
        "folds",
        "families",
        "fair_trials",
        "bag_folds",
        "budget",
    )
    assert all(getattr(default, name) == getattr(held_back, name) for name in alike)


@pytest.mark.data
@pytest.mark.parametrize("name", ["default", "heldout", "quick"])
def test_every_group_has_training_rows_of_both_classes(name: str) -> None:
    """With fewer, a gap between groups is noise, and which method is fairer is not for these tasks to say."""
    for task in load_suite(name).tasks:
        card, attributes = resolve(task)
        raw = load_raw(card, attributes)
        train = make_split(raw, "large_test").train.numpy()
        cells = np.bincount(2 * raw.groups[train] + raw.labels[train], minlength=2 * len(raw.group_names))
        assert cells.min() >= 20, f"{task}: {cells.tolist()}"


def test_no_source_weighs_more_than_twice_another_in_the_default_suite() -> None:
    counts = Counter(resolve(task).card.origin for task in load_suite("default").tasks)
    assert max(counts.values()) <= 2


def test_full_suite_has_every_card_and_every_method() -> None:
    suite = load_suite("full")
    assert {task.split(":")[0] for task in suite.tasks} == set(names())
    assert set(suite.methods) == {*tabular_methods(), *graph_methods(), *baseline_names()}
    assert (suite.splits, suite.seeds) == (10, 3)


def test_text_experts_can_be_left_out() -> None:
    assert load_suite("default", text=False).llm is None
    assert load_suite("text").llm is not None


def test_a_method_of_ones_own_goes_by_the_name_of_its_function_and_once_only() -> None:
    suite = Suite(name="t", tasks=("scm",), methods=("utility", "a/model.py:make"))
    assert [method_id(method) for method in suite.methods] == ["utility", "model.make"]
    with pytest.raises(ValueError, match=r"model\.make is named twice"):
        Suite(name="t", tasks=("scm",), methods=("a/model.py:make", "b/model.py:make"))


def test_quick_suite_is_the_promised_one() -> None:
    suite = load_suite("quick")
    assert len(suite.tasks) >= 4 and len(sources(suite)) == len(suite.tasks)
    assert (suite.protocol, suite.splits, suite.trials) == ("large_test", 1, 6)
    assert "cannot decide" in suite.description
    assert set(suite.methods) < set(load_suite("default").methods)


@pytest.mark.parametrize("name", suite_names())
def test_every_suite_that_ships_loads_and_is_named_after_its_file(name: str) -> None:
    assert load_suite(name).name == name


def test_a_family_may_be_held_with_one_role() -> None:
    suite = Suite(name="t", tasks=("scm",), families=("mlp", "ple_mlp:utility"))
    assert pool_networks("library", (), suite.families) == (
        ("utility", "mlp"), ("result", "mlp"), ("procedural", "mlp"), ("utility", "ple_mlp"),
    )  # fmt: skip
    with pytest.raises(ValueError, match="has no role 'fair' in mixtures; its roles are utility, result, procedural"):
        Suite(name="t", tasks=("scm",), families=("mlp:fair",))
    with pytest.raises(ValueError, match="there is no family 'trees'"):
        Suite(name="t", tasks=("scm",), families=("trees:utility",))


def test_override_changes_value_and_hash() -> None:
    assert load_suite("quick", seed=1).hash != load_suite("quick").hash
    assert load_suite("quick", seed=None).hash == load_suite("quick").hash


def test_unknown_suite_names_the_closest() -> None:
    with pytest.raises(SuiteError, match="Did you mean 'default'"):
        load_suite("defualt")


def test_unknown_field_is_named(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text('name = "mine"\ntasks = ["scm"]\ntrails = 3\n')
    with pytest.raises(SuiteError, match="trails"):
        load_suite(str(path))


def test_broken_toml_is_an_error_with_its_place(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text("name = \n")
    with pytest.raises(SuiteError, match="not valid TOML"):
        load_suite(str(path))


def test_a_kind_of_graph_expert_that_is_none_is_refused_by_name() -> None:
    with pytest.raises(SuiteError, match=r"graph_kinds\.0: Input should be 'gcn', 'gin' or 'sage'"):
        load_settings("a test", {"name": "t", "tasks": ("scm",), "graph_kinds": ("gat",)})
