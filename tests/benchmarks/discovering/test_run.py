"""The run of steps: what is done is kept, what changed is done again, an end at any place loses nothing."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from benchmarks.discovering.context import Context
from benchmarks.discovering.error import BudgetEndedError, DiscoverError
from benchmarks.discovering.run import Asked, discover
from benchmarks.discovering.settings import DiscoverySettings
from benchmarks.discovering.state import result_hash, without_times
from benchmarks.discovering.step import Result, Step


def nothing() -> Any:
    raise AssertionError("no step of these tests needs a base")


def asked(folder: Path, **settings: Any) -> Asked:
    return Asked(
        settings=DiscoverySettings(**settings), folder=folder, load=nothing, identity={"id": "none", "hash": "0"}
    )


def counting(done: list[str], name: str, settings: tuple[str, ...], value: Callable[[Context], Any]) -> Step:
    """A step that notes that it was done."""

    def do(context: Context) -> Result:
        done.append(name)
        return {"value": value(context)}

    return Step(name=name, label=name, settings=settings, do=do, words=str)


def three(done: list[str]) -> list[Step]:
    return [
        counting(done, "1_one", ("items",), lambda context: context.settings.items),
        counting(done, "2_two", ("count",), lambda context: min(100, context.results["1_one"]["value"])),
        counting(done, "3_three", (), lambda context: context.results["2_two"]["value"] + 1),
    ]


def test_what_is_done_is_not_done_again(tmp_path: Path) -> None:
    done: list[str] = []
    first = discover(asked(tmp_path, items=30), steps=three(done))
    again = discover(asked(tmp_path, items=30), steps=three(done))
    assert done == ["1_one", "2_two", "3_three"]
    assert first.results == again.results
    assert first.results["3_three"]["value"] == 31
    record = json.loads((tmp_path / "discovery.json").read_text(encoding="utf-8"))
    assert [line["state"] for line in record["steps"]] == ["done"] * 3


def test_a_setting_of_a_later_step_leaves_earlier_ones_alone(tmp_path: Path) -> None:
    done: list[str] = []
    discover(asked(tmp_path), steps=three(done))
    done.clear()
    discover(asked(tmp_path, count=50), steps=three(done))
    assert done == ["2_two", "3_three"]


def test_a_setting_that_no_step_names_changes_nothing(tmp_path: Path) -> None:
    done: list[str] = []
    discover(asked(tmp_path), steps=three(done))
    discover(asked(tmp_path, author="Ada"), steps=three(done))
    assert len(done) == 3


def test_another_seed_or_base_does_all_again(tmp_path: Path) -> None:
    done: list[str] = []
    discover(asked(tmp_path), steps=three(done))
    discover(asked(tmp_path, seed=1), steps=three(done))
    discover(replace(asked(tmp_path, seed=1), identity={"id": "none", "hash": "1"}), steps=three(done))
    assert done == ["1_one", "2_two", "3_three"] * 3


def test_from_a_step_on(tmp_path: Path) -> None:
    done: list[str] = []
    for begin in ("", "2", "three", "2_two"):
        discover(replace(asked(tmp_path), again=begin), steps=three(done))
    assert done[3:] == ["2_two", "3_three", "3_three", "2_two", "3_three"]
    with pytest.raises(DiscoverError, match="There is no step 'four' to begin with; steps are 1_one, 2_two, 3_three"):
        discover(replace(asked(tmp_path), again="four"), steps=three(done))


def test_files_of_a_step_that_was_ended_are_kept_for_the_same_inputs_and_removed_for_others(tmp_path: Path) -> None:
    seen: list[bool] = []

    def do(context: Context) -> Result:
        journal = context.folder / "journal"
        seen.append(journal.exists())
        journal.touch()
        if len(seen) < 3:
            raise KeyboardInterrupt
        return {}

    step = Step(name="1_one", label="one", settings=("items",), do=do, words=str)
    for items in (10, 10, 20):
        try:
            discover(asked(tmp_path, items=items), steps=[step])
        except KeyboardInterrupt:
            continue
    assert seen == [False, True, False]


def test_the_end_of_the_budget_says_what_is_missing_and_loses_nothing(tmp_path: Path) -> None:
    done: list[str] = []
    first, second, third = three(done)

    def do(context: Context) -> Result:
        raise BudgetEndedError("The budget of 5 minutes is over.")

    with pytest.raises(BudgetEndedError) as error:
        discover(asked(tmp_path), steps=[first, replace(second, do=do), third])
    assert "missing: 2_two, 3_three" in str(error.value)
    assert str(tmp_path) in str(error.value)
    discover(asked(tmp_path), steps=[first, second, third])
    assert done == ["1_one", "2_two", "3_three"]


def test_times_are_no_part_of_what_is_compared() -> None:
    found = {"a": 1, "seconds": 3.0, "inner": [{"seconds": 1, "b": 2}, {"timed": True, "value": 1.5, "id": "x"}]}
    assert without_times(found) == {"a": 1, "inner": [{"b": 2}, {"timed": True, "id": "x"}]}
    assert result_hash(found) == result_hash({**found, "seconds": 4.0})


def test_a_damaged_result_is_named(tmp_path: Path) -> None:
    done: list[str] = []
    discover(asked(tmp_path), steps=three(done))
    path = tmp_path / "2_two" / "result.json"
    path.write_text(path.read_text(encoding="utf-8")[:10], encoding="utf-8")
    with pytest.raises(DiscoverError) as error:
        discover(asked(tmp_path), steps=three(done))
    assert str(path) in str(error.value)
    assert "Remove the folder" in str(error.value)


@pytest.mark.parametrize(
    "change",
    [
        lambda found: found.pop("value"),
        lambda found: found.update(value=float("nan")),
        lambda found: found.update(seconds="long"),
        lambda found: found.update(value=[found["value"]]),
    ],
)
def test_a_result_that_was_changed_by_hand_is_named(tmp_path: Path, change: Callable[[dict[str, Any]], object]) -> None:
    done: list[str] = []
    discover(asked(tmp_path), steps=three(done))
    path = tmp_path / "2_two" / "result.json"
    found = json.loads(path.read_text(encoding="utf-8"))
    change(found)
    path.write_text(json.dumps(found), encoding="utf-8")
    with pytest.raises(DiscoverError) as error:
        discover(asked(tmp_path), steps=three(done))
    assert f"{path} is not as it was written" in str(error.value)
    assert f"remove the folder {path.parent}" in str(error.value)
    assert done == ["1_one", "2_two", "3_three"]
    path.parent.joinpath("result.json").unlink()
    assert discover(asked(tmp_path), steps=three(done)).results["3_three"]["value"] == 101


def test_a_result_whose_writer_died_before_it_noted_the_hash_counts(tmp_path: Path) -> None:
    done: list[str] = []
    discover(asked(tmp_path), steps=three(done))
    path = tmp_path / "2_two" / "inputs.json"
    noted = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps({"inputs_hash": noted["inputs_hash"]}), encoding="utf-8")
    discover(asked(tmp_path), steps=three(done))
    assert len(done) == 3


@pytest.mark.parametrize("planned", [7, {"factor": 1.0}, {"sizes": [1]}, {"sizes": {"items": "many"}},
                                     {"sizes": {"items": -4}}, {"sizes": {}, "steps": 3},
                                     {"sizes": {}, "steps": {"1_one": {"items": "x"}}}, {"sizes": {}, "factor": "x"},
                                     {"sizes": {}, "rates": {"item": 1}}])  # fmt: skip
def test_a_damaged_record_is_named(tmp_path: Path, planned: Any) -> None:
    discover(asked(tmp_path), steps=three([]))
    path = tmp_path / "discovery.json"
    record = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps({**record, "planned": planned}), encoding="utf-8")
    with pytest.raises(DiscoverError) as error:
        discover(asked(tmp_path), steps=three([]))
    assert f"{path} is damaged" in str(error.value)


@pytest.mark.parametrize("again", ["", "2"])
def test_a_file_in_the_place_of_a_step_is_named(tmp_path: Path, again: str) -> None:
    place = tmp_path / "2_two"
    place.write_text("mine", encoding="utf-8")
    with pytest.raises(DiscoverError) as error:
        discover(replace(asked(tmp_path), again=again), steps=three([]))
    assert f"{place} is no folder" in str(error.value)
    assert place.read_text(encoding="utf-8") == "mine"


@pytest.mark.parametrize("text", ['{"trunc', "[1]"])
def test_for_a_damaged_record_nobody_is_told_to_remove_the_work(tmp_path: Path, text: str) -> None:
    done: list[str] = []
    discover(asked(tmp_path), steps=three(done))
    path = tmp_path / "discovery.json"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(DiscoverError) as error:
        discover(asked(tmp_path), steps=three(done))
    assert f"Remove the file {path}: the same command writes it again" in " ".join(str(error.value).split())
    assert f"the folder {tmp_path}" not in str(error.value)
    path.unlink()
    discover(asked(tmp_path), steps=three(done))
    assert len(done) == 3
