"""All methods by name: their order, what they need, and that reading them costs next to nothing."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import fields

import pytest

from benchmarks.methods.baselines import baseline_names, load_baseline
from benchmarks.methods.method import Method
from benchmarks.methods.registry import (
    all_methods,
    graph_methods,
    members_of,
    pool_networks,
    recipe_of,
    tabular_methods,
    text_methods,
)
from reports.methods import MethodRow

HEAVY = {"torch", "numpy", "pandas", "optuna", "sklearn", "lightgbm", "peft", "transformers", "mlflow"}

ROLES = ("utility", "result", "procedural")


def test_the_halves_of_the_leaderboard_are_in_their_order() -> None:
    assert tabular_methods() == (
        "mixture", "family_mixture", "role_mixture", "gate_dense", "gate_top2", "static_simplex", "uniform",
        "best_single", *ROLES, "result_lambda0", "procedural_lambda0", "combined_mlp",
        *(f"{family}_{end}" for family in ("gbdt", "linear", "ple_mlp")
          for end in (*ROLES, "result_lambda0", "procedural_lambda0")),
    )  # fmt: skip
    graph = ("gcn", "gin", "sage")
    assert graph_methods() == (
        "graph_gate_dense", "graph_static_simplex", "graph_uniform", "graph_best_single",
        *(f"{kind}_{role}" for kind in graph for role in ROLES),
        *(f"{kind}_{role}_lambda0" for kind in graph for role in ROLES[1:]),
    )  # fmt: skip
    assert text_methods() == (
        "llm_mixture", "llm_gate_dense", "llm_static_simplex", "llm_uniform", "llm_best_single", "llm_bank",
        "llm_svf_search", "llm_dispatch", *(f"llm_{role}" for role in ROLES), "llm_result_lambda0",
        "llm_procedural_lambda0", "llm_rslora", "llm_dora", "llm_lora_fa", "llm_ia3", "llm_svf", "llm_prefix",
        "llm_soft_prompt", "llm_base", "cross_gate_dense", "cross_static_simplex", "cross_uniform",
        "cross_best_single",
    )  # fmt: skip
    assert set(all_methods()) == {*tabular_methods(), *graph_methods(), *baseline_names(), *text_methods()}


def test_a_record_has_every_field_of_a_row_of_the_pages() -> None:
    assert {field.name for field in fields(MethodRow)} <= {field.name for field in fields(Method)}


def test_reading_the_records_imports_no_heavy_library() -> None:
    code = "import sys; from benchmarks.methods.registry import all_methods; all_methods(); "
    code += f"print({HEAVY} & {{*sys.modules}})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


@pytest.mark.parametrize("name", all_methods())
def test_every_method_has_words_and_a_recipe(name: str) -> None:
    method = all_methods()[name]
    assert method.label and method.about and not method.about.endswith(".")
    assert method.colour in {"blue", "sky", "green", "orange", "vermillion", "purple", "ink", "grey"}
    assert method.explainer and method.family
    assert callable(recipe_of(method).make)


def test_labels_tell_methods_apart() -> None:
    labels = [method.label for method in all_methods().values()]
    assert len(set(labels)) == len(labels)


def test_what_methods_are_compared_with_is_a_method() -> None:
    others = {other for method in all_methods().values() for _, other in method.compared}
    assert others <= set(all_methods())


@pytest.mark.parametrize("name", baseline_names())
def test_a_baseline_is_read_as_it_is(name: str) -> None:
    """What is read from the source is what an import gives."""
    read, loaded = all_methods()[name], load_baseline(name)
    words = ("label", "about", "family", "colour", "explainer", "levels", "compared")
    for word in (*words, "sensitive_at_prediction", "scores_decisions"):
        assert getattr(read, word) == getattr(loaded, word), word
    assert read.edges == loaded.graph and read.secondary == loaded.secondary and read.landmark == loaded.landmark
    assert (read.rate.fixed, read.rate.slope) == loaded.seconds


def test_members_are_those_of_the_pool() -> None:
    known = all_methods()
    text = tuple(f"llm_{role}" for role in ROLES)
    gcn = tuple(f"gcn_{role}" for role in ROLES)
    members = {name: tuple(m.id for m in members_of(known[name], ("gcn",), crossed=True)) for name in known}
    assert members["mixture"] == members["uniform"] == ROLES
    assert members["graph_gate_dense"] == (*ROLES, *gcn)
    assert members["llm_gate_dense"] == text and members["llm_dispatch"] == (*text, "llm_base")
    assert members["cross_gate_dense"] == (*ROLES, *gcn, *text)
    assert members["lightgbm"] == members["utility"] == ()
    assert all(member.code for name in known for member in members_of(known[name], ("gcn",)))
    assert pool_networks("graph", ("sage",))[3:] == tuple((role, "sage") for role in ROLES)


def test_the_steps_of_the_ablation_are_in_order_and_apart() -> None:
    steps = sorted((step, method.id) for method in all_methods().values() for step in method.ablation)
    assert [step[0] for step, _ in steps] == [1, 2, 3, 4]
    assert [method for _, method in steps] == ["role_mixture", "family_mixture", "mixture", "mixture"]
    assert [step[1] for step, _ in steps] == ["thresholds", "thresholds", "oof", "decision"]


def test_pools_of_families_hold_every_role_of_each() -> None:
    for pool in ("families", "library"):
        assert pool_networks(pool, ("gcn",), ("mlp", "gbdt")) == tuple((r, f) for f in ("mlp", "gbdt") for r in ROLES)
    members = members_of(all_methods()["mixture"], (), ("mlp", "gbdt"))
    assert [m.id for m in members] == [*ROLES, *(f"gbdt_{role}" for role in ROLES)]
