import pytest

from benchmarks.methods.baselines import BASELINES, load_baseline
from benchmarks.plan.suite import GRAPH_METHODS, LLM_METHODS, METHODS
from reports.names import BIAS, BIAS_SETS, BLOCKS, METHOD_NAMES, SECTIONS, expert_code, method_name, reads, section


def test_every_method_of_the_suites_has_a_name():
    assert set(METHOD_NAMES) >= {*METHODS, *GRAPH_METHODS, *BASELINES, *LLM_METHODS}


@pytest.mark.parametrize("method", list(BASELINES))
def test_baselines_are_called_as_they_call_themselves(method):
    assert method_name(method).label == load_baseline(method).label


def test_a_method_that_is_not_built_in_is_called_as_its_suite_says():
    info = {"label": "Mine", "about": "a rule", "kind": "own", "reads": "graph", "reference": "here", "family": "mine"}
    name = method_name("mine", info)
    assert (name.label, name.kind, name.reads, name.reference) == ("Mine", "own", "graph", "here")
    assert section("mine", "mine", name) == "own"
    assert method_name("lightgbm", info | {"kind": "baseline"}).label == "LightGBM"
    assert method_name("mine").label == "mine"


@pytest.mark.parametrize(
    ("method", "family", "wanted"),
    [
        ("mixture", "mixture", ("tabular", "tabular")),
        ("constant", "constant", ("tabular", "baselines")),
        ("graph_uniform", "mixture", ("graph", "graph")),
        ("gin_result_lambda0", "gin", ("graph", "graph")),
        ("fairgnn", "gcn", ("graph", "graph-baselines")),
        ("llm_result_lambda0", "llm", ("text", "text")),
        ("llm_dispatch", "mixture", ("text", "text")),
        ("llm_dora", "llm", ("text", "adapters")),
        ("llm_base", "llm", ("text", "adapters")),
        ("cross_uniform", "mixture", ("both", "both")),
        ("mine", "llm", ("text", "adapters")),
        ("mine", "gbdt", ("tabular", "baselines")),
    ],
)
def test_family_and_section(method, family, wanted):
    assert (reads(method, family), section(method, family)) == wanted
    assert wanted[1] in SECTIONS


def test_codes_of_experts_differ():
    experts = (
        "utility",
        "result",
        "procedural",
        "llm_utility",
        "llm_result",
        "llm_procedural",
        "base",
        "gcn_utility",
        "sage_result",
    )
    assert [expert_code(e) for e in experts] == ["U", "R", "P", "tU", "tR", "tP", "tB", "gU", "sR"]


def test_blocks_name_known_methods_once():
    pairs = [pair for block in BLOCKS for pair in block.pairs]
    assert len(pairs) == len(set(pairs))
    assert {m for pair in pairs for m in pair} <= set(METHOD_NAMES)
    assert all(block.mixture in ("", *(a for a, _ in block.pairs)) for block in BLOCKS)


def test_columns_of_bias_sets_stand_side_by_side():
    sets = [name for name, _ in BIAS]
    assert sorted(sets, key=list(BIAS_SETS).index) == sets
