"""Gates: paths into results, bounds by estimate and by interval, what is not measured, faults of files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from benchmarks.discovering.error import DiscoverError
from benchmarks.discovering.gates import Gate, gates_result, judge_gates, read_gates
from benchmarks.discovering.values import values_at

RESULTS: dict[str, Any] = {
    "2_plan": {"experts": [{"name": "a", "domains": ["x", "y"]}, {"name": "b", "domains": ["z"]}], "reason": "why"},
    "4_training": {
        "experts": [
            {"name": "a", "target": 0.5, "reached": 0.75, "curve": [{"zone": 0.6}, {"zone": 0.8}]},
            {"name": "b", "target": 0.5, "reached": 0.25, "curve": [{"zone": 0.7}]},
        ]
    },
    "6_examination": {
        "winner": "the mixture",
        "contenders": [
            {"label": "base", "values": {"accuracy": {"estimate": 0.25, "low": 0.2, "high": 0.3}}},
            {"label": "the mixture", "values": {"accuracy": {"estimate": 0.5, "low": 0.4, "high": 0.6}}},
        ],
        "paired": [
            {"label": "the mixture", "rival": "base", "difference": 0.25, "low": -0.125, "high": 0.5, "keeps": True},
            {"label": "the mixture", "rival": "dates", "difference": -0.5, "low": -0.75, "high": -0.25, "keeps": False},
        ],
        "accepted": True,
    },
    "7_preserve": {"tasks": []},
}


def gate(value: str, relation: Any, bound: Any, **more: Any) -> Gate:
    return Gate(id="g", label="l", stage="s", value=value, relation=relation, bound=bound, **more)


def outcome(one: Gate) -> tuple[Any, bool | None]:
    (found,) = judge_gates([one], RESULTS)
    return found.value, found.passed


def test_paths() -> None:
    assert values_at(RESULTS, "2_plan.experts.#") == [2]
    assert values_at(RESULTS, "2_plan.experts.*.domains.#") == [2, 1]
    assert values_at(RESULTS, "2_plan.reason.#") == [3]
    assert values_at(RESULTS, "4_training.experts.*.curve.*.zone") == [0.6, 0.8, 0.7]
    assert values_at(RESULTS, "4_training.experts[name=b].reached") == [0.25]
    chosen = "6_examination.contenders[label={6_examination.winner}].values.accuracy.estimate"
    assert values_at(RESULTS, chosen) == [0.5]
    assert values_at(RESULTS, "4_training.nothing.more") == [None]
    assert values_at(RESULTS, "4_training.experts[name=c].reached") == []


def test_the_worst_of_several_counts_unless_something_else_is_asked_for() -> None:
    path = "4_training.experts.*.reached"
    assert outcome(gate(path, ">=", 0.5)) == (0.25, False)
    assert outcome(gate(path, "<=", 0.5)) == (0.75, False)
    assert outcome(gate(path, ">=", 0.5, aggregate="mean")) == (0.5, True)
    assert outcome(gate(path, "<", 1.0, aggregate="sum")) == (1.0, False)
    assert outcome(gate(path, "within", [0.2, 0.3])) == (0.75, False)
    assert outcome(gate(path, "within", [0.2, 0.8])) == (0.75, True)


def test_one_value_less_another() -> None:
    one = gate("4_training.experts.*.reached", ">=", 0, minus="4_training.experts.*.target")
    assert outcome(one) == (-0.25, False)


def test_an_estimate_may_pass_where_its_interval_does_not() -> None:
    path = "6_examination.paired[rival=base]"
    assert outcome(gate(path, ">", 0.1)) == (0.25, True)
    assert outcome(gate(path, ">", 0, judge="interval")) == (-0.125, False)
    assert outcome(gate(path, "<=", 0.5, judge="interval")) == (0.5, True)
    assert outcome(gate("6_examination.paired[keeps=true]", ">", 0)) == (0.25, True)
    assert outcome(gate("6_examination.paired.*", ">", 0)) == (-0.5, False)


def test_words_and_truth() -> None:
    assert outcome(gate("6_examination.accepted", "==", True)) == (True, True)
    assert outcome(gate("6_examination.winner", "==", "base")) == ("the mixture", False)


@pytest.mark.parametrize(
    ("path", "why"),
    [
        ("7_preserve.tasks.*.preserved", "names nothing here"),
        ("7_preserve.memory", "1 of 1 were not measured"),
        ("9_nothing.value", "the step 9_nothing was not done"),
        ("6_examination.winner", "is no number"),
    ],
)
def test_what_is_not_there_is_not_measured_and_never_passed(path: str, why: str) -> None:
    (found,) = judge_gates([gate(path, ">=", 0)], RESULTS)
    assert found.passed is None
    assert why in found.reason


def test_an_estimate_without_an_interval_is_not_judged_by_one() -> None:
    (found,) = judge_gates([gate("4_training.experts.*.reached", ">=", 0, judge="interval")], {
        "4_training": {"experts": [{"reached": {"estimate": 0.5}}]}
    })  # fmt: skip
    assert (found.passed, found.reason) == (None, "1 of 1 have no bound of an interval")


def test_the_default_file_is_whole_and_counts_add_up() -> None:
    gates = read_gates(None)
    found = gates_result(judge_gates(gates, RESULTS))
    assert found["passed"] + found["failed"] + found["unmeasured"] == len(gates) == len(found["gates"])
    assert {"overall_gain", "tools_preserved", "bias_preserved", "dequantised"} <= {one["id"] for one in found["gates"]}
    unmeasured = [one for one in found["gates"] if one["passed"] is None]
    assert all(one["reason"] for one in unmeasured)


TABLE = '[[gate]]\nid = "a"\nlabel = "b"\nstage = "c"\nvalue = "1_capability.x"\nrelation = ">="\nbound = 1\n'


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            TABLE.replace("bound", "bounds"),
            "the field bound is missing; there is no field 'bounds' (did you",
        ),
        (TABLE.replace('">="', '"=>"'), "gate 1 (a): relation: "),
        (TABLE + TABLE, "2 gates with the id 'a'"),
        (TABLE.replace("bound = 1", "bound = [1, 2]"), "the relation within has two bounds"),
        ("[[gate]]\nid = 'a\n", "is no valid TOML: "),
        ("gates = 1\n", "holds 'gates'"),
        ("", "holds no [[gate]]"),
    ],
)
def test_faults_of_a_file_are_named(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "own.toml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(DiscoverError) as error:
        read_gates(path)
    assert said in str(error.value)
    assert str(path) in str(error.value)
