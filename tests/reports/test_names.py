import pytest

from benchmarks.suite import LLM_METHODS, METHODS
from reports.names import BIAS, BIAS_SETS, BLOCKS, METHOD_NAMES, SECTIONS, expert_code, reads, section


def test_every_method_of_the_suites_has_a_name():
    assert list(METHOD_NAMES) == [*METHODS, *LLM_METHODS]


@pytest.mark.parametrize(
    ("method", "family", "wanted"),
    [
        ("mixture", "mixture", ("tabular", "tabular")),
        ("constant", "constant", ("tabular", "tabular")),
        ("llm_result_lambda0", "llm", ("text", "text")),
        ("llm_dispatch", "mixture", ("text", "text")),
        ("llm_dora", "llm", ("text", "adapters")),
        ("llm_base", "llm", ("text", "adapters")),
        ("cross_uniform", "mixture", ("both", "both")),
        ("mine", "llm", ("text", "adapters")),
        ("mine", "gbdt", ("tabular", "tabular")),
    ],
)
def test_family_and_section(method, family, wanted):
    assert (reads(method, family), section(method, family)) == wanted
    assert wanted[1] in SECTIONS


def test_codes_of_experts_differ():
    experts = ("utility", "result", "procedural", "llm_utility", "llm_result", "llm_procedural", "base")
    assert [expert_code(e) for e in experts] == ["U", "R", "P", "tU", "tR", "tP", "tB"]


def test_blocks_name_known_methods_once():
    pairs = [pair for block in BLOCKS for pair in block.pairs]
    assert len(pairs) == len(set(pairs))
    assert {m for pair in pairs for m in pair} <= set(METHOD_NAMES)
    assert all(block.mixture in ("", *(a for a, _ in block.pairs)) for block in BLOCKS)


def test_columns_of_bias_sets_stand_side_by_side():
    sets = [name for name, _ in BIAS]
    assert sorted(sets, key=list(BIAS_SETS).index) == sets
