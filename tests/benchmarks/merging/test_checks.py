"""What is not the same, whole or complete is refused by its name, and nothing is written."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks.merging.inputs import MergeError
from benchmarks.plan.recorded import RunPlan, plan_of
from benchmarks.plan.shard import Shard, jobs_of_shard
from foundation.files import write_json
from tests.benchmarks.merging.made_folders import (
    PLACES,
    SUITE,
    jobs,
    make_cell,
    make_folder,
    merged,
    plan_without,
    tree,
)

FIRST = dict.fromkeys(PLACES[:4], 0.0)
SECOND = dict.fromkeys(PLACES[4:], 0.0)


def plan(which: slice, **changes: object) -> RunPlan:
    return replace(plan_of(SUITE, jobs()[which], []), **changes)  # type: ignore[arg-type]


def both(root: Path) -> list[Path]:
    return [make_folder(root / "a", FIRST), make_folder(root / "b", SECOND)]


def refused(folders: list[Path], output: Path, match: str, **options: bool) -> None:
    """The message, and that neither output nor folders are written."""
    before = [tree(folder) for folder in folders if folder.is_dir()]
    with pytest.raises(MergeError, match=match):
        merged(folders, output, **({"partial": False} | options))
    assert not output.exists()
    assert [tree(folder) for folder in folders if folder.is_dir()] == before


def test_two_halves_are_a_whole(tmp_path: Path) -> None:
    files = merged(both(tmp_path), tmp_path / "c", partial=False)
    assert sum(name.endswith("cell.json") for name in files) == len(PLACES)
    whole = make_folder(tmp_path / "whole", {**FIRST, **SECOND})
    assert (tmp_path / "c" / "plan.json").read_bytes() == (whole / "plan.json").read_bytes()


def test_other_settings_are_named(tmp_path: Path) -> None:
    a, b = both(tmp_path)
    other = SUITE.model_copy(update={"trials": 7})
    plan_of(other, jobs()[2:], []).save(b)
    refused([a, b], tmp_path / "c", r"not of the same suite: they differ in trials \(30 and 7\)", partial=True)


def test_other_data_are_named(tmp_path: Path) -> None:
    a, b = make_folder(tmp_path / "a", {(0, 0): 0.0}), make_folder(tmp_path / "b", {(1, 0): 0.0})
    plan(slice(1, 2), jobs=(replace(jobs()[1], card_hash="other"),)).save(b)
    refused([a, b], tmp_path / "c", "The data of scm are not the same everywhere", partial=True, allow_different=True)


def test_other_code_and_libraries_are_named_with_their_folders_and_can_be_allowed(tmp_path: Path) -> None:
    a, b = both(tmp_path)
    odd = plan_without(plan(slice(2, 4), jobs=tuple(replace(job, code="f" * 64) for job in jobs()[2:])), "torch")
    odd.save(b)
    refused([a, b], tmp_path / "c", rf"code \(.*{'f' * 12} in {b}.*torch \(0.0 in {b}.* in {a}\).*--allow-different")
    merged([a, b], tmp_path / "c", allow_different=True)


def test_the_last_number_of_python_decides_nothing(tmp_path: Path) -> None:
    a, b = both(tmp_path)
    here = plan(slice(2, 4))
    replace(here, environment={**here.environment, "python": f"{here.environment['python']}1"}).save(b)
    merged([a, b], tmp_path / "c")


def test_a_job_that_two_codes_have_computed_is_named_even_where_that_is_allowed(tmp_path: Path) -> None:
    a, b = make_folder(tmp_path / "a", FIRST), make_folder(tmp_path / "b", FIRST)
    plan(slice(0, 2), jobs=tuple(replace(job, recorded_key="e" * 64) for job in jobs()[:2])).save(b)
    refused([a, b], tmp_path / "c", f"{jobs()[0].name} is in {a} and in {b}", partial=True, allow_different=True)


def test_missing_shards_are_named(tmp_path: Path) -> None:
    held = [jobs().index(job) for job in jobs() if job.place in {j.place for j in jobs_of_shard(SUITE, Shard(1, 2))}]
    cells = {(job, cell): 0.0 for job in held for cell in range(2)}
    a = make_folder(tmp_path / "a", cells, shards=(Shard(1, 2),))
    refused([a], tmp_path / "c", r"Not all of made is here: shard 2 of 2 with 2 jobs .*--partial")
    merged([a], tmp_path / "c")


def test_missing_jobs_of_runs_without_shards_are_named(tmp_path: Path) -> None:
    a = make_folder(tmp_path / "a", FIRST)
    refused([a], tmp_path / "c", rf"2 jobs \({jobs()[2].name} and {jobs()[3].name}\) are in none of the folders")


def test_a_folder_that_there_is_not_is_said(tmp_path: Path) -> None:
    a, _ = both(tmp_path)
    refused([a, tmp_path / "nowhere"], tmp_path / "c", f"There is no folder {tmp_path / 'nowhere'}")


def test_unfinished_cells_are_named_and_their_folder(tmp_path: Path) -> None:
    a, b = both(tmp_path)
    (method, _) = jobs()[3].cells()[1]
    shutil.rmtree(jobs()[3].cell_folder(b / "jobs", method, 0))
    told = rf"1 cell of {b} is not finished: {jobs()[3].name} {method} \(seed 0\)"
    refused([a, b], tmp_path / "c", told)
    merged([a, b], tmp_path / "c")


def test_a_failed_cell_is_not_missing(tmp_path: Path) -> None:
    a, b = both(tmp_path)
    (method, _) = jobs()[3].cells()[1]
    shutil.rmtree(jobs()[3].cell_folder(b / "jobs", method, 0))
    failure = {"job": jobs()[3].name, "task": jobs()[3].title, "method": method, "seed": 0, "error": "ValueError: no"}
    write_json(b / "suite.json", {"failures": [failure]})
    merged([a, b], tmp_path / "c", partial=False)


@pytest.mark.parametrize("damage", ["cut", "gone"])
def test_damaged_cells_are_named(tmp_path: Path, damage: str) -> None:
    a, b = both(tmp_path)
    (method, _) = jobs()[2].cells()[0]
    path = jobs()[2].cell_folder(b / "jobs", method, 0) / "predictions.parquet"
    path.write_bytes(path.read_bytes()[:5]) if damage == "cut" else path.unlink()
    refused([a, b], tmp_path / "c", f"1 cell is damaged: {path.parent}", partial=True)


def test_cells_that_do_not_agree_are_named(tmp_path: Path) -> None:
    a, b = make_folder(tmp_path / "a", FIRST), make_folder(tmp_path / "b", SECOND)
    make_cell(b, jobs()[0], 1, 0.0, estimate=0.4)
    (method, _) = jobs()[0].cells()[1]
    told = (
        rf"1 cell was computed in several folders, with different results: {jobs()[0].name} {method} \(seed 0\) in {a}"
    )
    plan(slice(0, 4)).save(b)
    refused([a, b], tmp_path / "c", told, partial=True, allow_different=True)


def test_a_folder_twice_and_an_output_inside_are_refused(tmp_path: Path) -> None:
    a, b = both(tmp_path)
    (tmp_path / "link").symlink_to(a)
    refused([a, tmp_path / "link"], tmp_path / "c", "named twice")
    refused([a, b], a / "c", "lies in it")
    with pytest.raises(MergeError, match="holds it"):
        merged([a, b], tmp_path)


def test_an_output_that_holds_anything_else_is_spared(tmp_path: Path) -> None:
    a, b = both(tmp_path)
    (tmp_path / "c").mkdir()
    (tmp_path / "c" / "thesis.tex").write_text("all of it")
    with pytest.raises(MergeError, match="is there already and is no merge of this suite"):
        merged([a, b], tmp_path / "c")
    assert [path.name for path in (tmp_path / "c").iterdir()] == ["thesis.tex"]


def test_a_folder_without_a_plan_is_explained(tmp_path: Path) -> None:
    a, b = both(tmp_path)
    (b / "plan.json").write_text('{"format": "fairm')
    refused([a, b], tmp_path / "c", f"{b} has no plan.json that this version can read")


def test_receipts_stay_where_they_are_and_half_written_cells_too(tmp_path: Path) -> None:
    a, b = both(tmp_path)
    cell = jobs()[0].cell_folder(a / "jobs", jobs()[0].cells()[0][0], 0)
    (cell / "mlflow.json").write_text("{}")
    (cell.parent / ".half.1-2.tmp").mkdir()
    (cell.parents[1] / "under_way").mkdir()
    (cell.parents[1] / "under_way" / "constant_0").write_bytes(b"x")
    files = merged([a, b], tmp_path / "c")
    assert not [name for name in files if "mlflow" in name or "tmp" in name or "under_way" in name]


def test_a_merge_that_was_ended_goes_on(tmp_path: Path) -> None:
    a, b = both(tmp_path)
    whole = merged([a, b], tmp_path / "whole")
    half = tmp_path / "half"
    shutil.copytree(tmp_path / "whole", half)
    shutil.rmtree(half / "jobs" / jobs()[3].folder / "cells")
    (half / "jobs" / jobs()[2].folder / "timing.json").unlink()
    (half / "jobs" / jobs()[1].folder / "tune" / "journal.log").unlink()
    assert merged([a, b], half) == whole


def test_what_goes_on_in_a_merged_folder_writes_into_no_other(tmp_path: Path) -> None:
    a, b = both(tmp_path)
    before = tree(a)
    merged([a, b], tmp_path / "c")
    with (tmp_path / "c" / "jobs" / jobs()[0].folder / "tune" / "journal.log").open("a") as stream:
        stream.write("trial\n")
    assert tree(a) == before
