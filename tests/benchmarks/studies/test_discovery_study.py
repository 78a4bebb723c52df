"""The study of a discovery's parts: tables by hand, and all of it on a tiny base, ended and gone on with."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks.discovering.settings import DiscoverySettings
from benchmarks.studies.discovery import (
    ARMS,
    WHOLE,
    Study,
    differences,
    file_of,
    main,
    read_arms,
    run_arms,
    table,
)
from benchmarks.studies.parts.examined_run import BASE, CONTENDERS, SINGLE, WINNER, ExaminedRun, best_alone
from foundation.files import write_json
from tests.benchmarks.discovering.tiny import SIZES
from tests.llm_experts.conftest import make_tiny_base

RUN = ExaminedRun(
    key="k",
    domains=("a", "b"),
    experts={"a": ("a",), "b": ("b",)},
    winner="mixture 1",
    single="a",
    accepted=True,
    right={"base": "1000", "winner": "1111", "uniform": "1100", "single": "1100"},
    lowest=dict.fromkeys(CONTENDERS, 0.5),
    alignment={"base": 0.75, "winner": 1.0, "uniform": None, "single": 0.5},
    drafts=30,
    items=20,
    seconds={"1_capability": 1.0, "2_plan": 2.5},
)
WORSE = replace(RUN, right={**RUN.right, "winner": "1110"}, accepted=False)


def test_a_run_comes_back_from_its_file(tmp_path: Path) -> None:
    path = file_of(tmp_path, WHOLE, 3)
    write_json(path, RUN.as_dict())
    found = read_arms(tmp_path, ARMS, [3])[WHOLE][0]
    assert (found.domains, found.right, found.values(WINNER).tolist()) == (RUN.domains, RUN.right, [1.0] * 4)


def test_only_seeds_that_all_arms_have_are_paired(tmp_path: Path) -> None:
    for arm, seeds in ((WHOLE, (0, 1, 2)), ("four", (0, 2))):
        for seed in seeds:
            write_json(file_of(tmp_path, arm, seed), replace(RUN, key=f"{arm}{seed}").as_dict())
    found = read_arms(tmp_path, ARMS, [0, 1, 2])
    assert {arm: [one.key for one in runs] for arm, runs in found.items()} == {
        WHOLE: ["whole0", "whole2"],
        "four": ["four0", "four2"],
    }
    assert read_arms(tmp_path / "empty", ARMS, [0]) == {}


def test_a_difference_is_paired_by_scenario_and_seed() -> None:
    found = differences([WORSE, RUN], [RUN, RUN], WINNER)
    assert found.mean == pytest.approx(-1 / 8)
    assert found.p == 1.0  # one scenario differs: either sign is as extreme
    same = differences([RUN, RUN], [RUN, RUN], SINGLE)
    assert (same.mean, same.low, same.high, same.p) == (0, 0, 0, 1)


def test_tables_tell_what_arms_came_to_and_how_they_differ() -> None:
    text = table({WHOLE: [RUN, RUN], "unguided": [WORSE, RUN]})
    assert "2 domains, 4 scenarios, 2 seeds; the base: 0.250 [" in text
    whole = next(line for line in text.splitlines() if line.startswith("| whole"))
    assert whole.startswith("| whole | 2/2 | 40 of 60 | 2 of 2 | 1.000 [1.000, 1.000] | 0.500 [")
    assert whole.endswith("| +0.50 (+0.50 … +0.50) | 1.000 (0.750) | 4 |")
    other = [line for line in text.splitlines() if line.startswith("| unguided")]
    assert "1 of 2" in other[0]
    assert other[1].startswith("| unguided | -0.125 [") and "(Holm 1)" in other[1]


def test_a_table_of_one_arm_compares_nothing() -> None:
    assert "less whole" not in table({WHOLE: [RUN]})


def test_the_best_expert_is_best_over_domains() -> None:
    shares = [{"experts": {"a": 0.9, "b": 0.5}}, {"experts": {"a": 0.2, "b": 0.7}}]
    assert best_alone(["a", "b"], shares) == "b"


def test_table_of_an_empty_folder_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["--output", str(tmp_path), "--table"])
    assert "holds no arm of these seeds yet" in capsys.readouterr().out


SMALL = {**SIZES, "domains": ("arithmetic", "dates", "strings"), "experts": None, "difficulty": "report",
         "steps": 2, "generations": 5, "scenarios": 34}  # fmt: skip
STEPS = ("1_capability", "2_plan", "3_data", "4_training", "5_search")


def inputs(folder: Path, arm: str) -> dict[str, str]:
    place = folder / "seed-0" / arm
    return {name: json.loads((place / name / "result.json").read_text())["inputs_hash"] for name in STEPS}


@pytest.mark.slow
def test_arms_share_what_their_change_leaves_alone_and_are_not_made_twice(tmp_path: Path) -> None:
    study = Study(make_tiny_base(), DiscoverySettings(**SMALL), 5, tmp_path)
    told: list[str] = []
    found = run_arms(study, ["unguided", "unchecked"], [0], told.append)
    assert list(found) == [WHOLE, "unguided", "unchecked"]
    assert len(told) == 3
    whole = inputs(tmp_path, WHOLE)
    same = {arm: [name for name, key in inputs(tmp_path, arm).items() if key == whole[name]] for arm in found}
    assert same == {WHOLE: list(STEPS), "unguided": list(STEPS[:4]), "unchecked": list(STEPS[:2])}
    one = found[WHOLE][0]
    assert all(len(one.right[name]) == 15 for name in CONTENDERS)
    assert found["unguided"][0].right[SINGLE] == one.right[SINGLE]
    assert one.lowest[BASE] == 0.0

    def written() -> list[int]:
        return [file_of(tmp_path, arm, 0).stat().st_mtime_ns for arm in found]

    before = written()
    again = run_arms(study, ["unguided", "unchecked"], [0], told.append)
    assert written() == before
    assert {arm: runs[0].right for arm, runs in again.items()} == {arm: runs[0].right for arm, runs in found.items()}
