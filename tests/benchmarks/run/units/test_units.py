"""Units of a job: which there are, and that any order of them ends in what one process computes."""

from __future__ import annotations

import json
import random
from collections.abc import Iterable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.methods.method import MODEST, Needs
from benchmarks.plan.job import FLOOR, Job, plan
from benchmarks.plan.suite import LLMSettings, Suite
from benchmarks.run.compute import run_job
from benchmarks.run.failure import explain
from benchmarks.run.units import Unit, close_job, run_unit, units_of
from foundation.discovery import PLUGINS, DiscoveryError
from foundation.hashing import hash_file

METHODS = (
    "mixture", "family_mixture", "role_mixture", "gate_dense", "uniform", "utility", "result", "result_lambda0",
    "gbdt_utility", "constant", "reweighing",
)  # fmt: skip


def job_of(methods: tuple[str, ...] = METHODS, seeds: int = 2, llm: bool = False) -> Job:
    suite = Suite(
        name="units", tasks=("scm@700",), splits=1, seeds=seeds, trials=2, batch=2, methods=methods,
        families=("mlp:utility", "mlp:result", "gbdt:utility"), folds=2, bag_folds=2,
        budget={"steps": 20, "eval_every": 20, "warm_up": 0, "rungs": []},
        llm=LLMSettings(tasks=("scm@700",)) if llm else None,
    )  # fmt: skip
    return next(plan(suite, {"scm@700": "0" * 64}))


JOB, WITH_TEXT = job_of(), job_of(llm=True)


@given(st.sets(st.sampled_from(WITH_TEXT.cells()), min_size=1))
@settings(deadline=None, max_examples=40)
def test_every_cell_is_in_one_unit_that_stands_behind_what_it_needs(cells: set[tuple[str, int]]) -> None:
    pending = [cell for cell in WITH_TEXT.cells() if cell in cells]
    units = units_of(WITH_TEXT, pending)
    assert sorted(cell for unit in units for cell in unit.cells) == sorted(pending)
    names = [unit.name for unit in units]
    assert len(set(names)) == len(names)
    for unit in units:  # listed behind what it needs, if only after seeds that are listed later
        assert set(unit.after) < set(names)
        if unit.cells:
            tuned = {other.network for other in units if other.kind == "tune" and other.name in unit.after}
            assert tuned >= {FLOOR, *WITH_TEXT.networks_of([method for method, _ in unit.cells])}
    assert len(list(in_order(units, random.Random(0)))) == len(units)  # no circles


def test_nothing_pending_is_no_unit() -> None:
    assert units_of(JOB, []) == []


def test_what_shares_memory_is_one_unit_and_baselines_are_alone() -> None:
    cells = {unit.name: {method for method, _ in unit.cells} for unit in units_of(JOB, JOB.cells()) if unit.cells}
    assert cells["gates_0"] == {"role_mixture", "gate_dense", "uniform"}
    assert cells["expert_result_0"] == {"result", "result_lambda0"}
    assert cells["constant_0"] == cells["constant_1"] == {"constant"}
    assert "mixture" in cells["further_seeds"] and "reweighing" not in cells["further_seeds"]


OWN = """
from sklearn.naive_bayes import GaussianNB


def make():
    return GaussianNB()


make.resources = {"cores": 2, "memory_gib": 1.5, "gpus": 0.5, "custom": {"licence": 1}}
"""
PLUGIN = """
from benchmarks.methods.baseline import Baseline


def fit(view, params, seed):
    raise NotImplementedError


METHOD = Baseline(label="Wide", about="", family="wide", reference="", fit=fit, resources={"cores": 3})
"""


def test_what_plug_ins_and_own_methods_ask_of_a_node_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "model.py").write_text(OWN)
    room = tmp_path / "plugins" / "benchmarks" / "methods" / "baselines"
    room.mkdir(parents=True)
    (room / "wide.py").write_text(PLUGIN)
    monkeypatch.setenv(PLUGINS, str(tmp_path / "plugins"))
    job = job_of(("utility", "constant", "wide", f"{tmp_path}/model.py:make"))
    needs = {unit.name: unit.resources for unit in units_of(job, job.cells())}
    assert needs["model.make_0"] == needs["model.make_1"] == Needs(2, 3 << 29, 0.5, (("licence", 1),))
    assert needs["wide_0"] == Needs(cores=3)
    assert {needs[name] for name in needs if name.startswith(("tune", "constant", "expert"))} == {MODEST}


def test_a_plug_in_that_asks_for_what_there_is_not_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    room = tmp_path / "benchmarks" / "methods" / "baselines"
    room.mkdir(parents=True)
    (room / "wide.py").write_text(PLUGIN.replace('"cores": 3', '"ram": 3'))
    monkeypatch.setenv(PLUGINS, str(tmp_path))
    with pytest.raises(DiscoveryError, match="the baseline 'wide' cannot be used: 'ram' is none of them") as caught:
        units_of(JOB, JOB.cells())
    assert explain(caught.value) is not None


def in_order(units: Iterable[Unit], draw: random.Random) -> Iterable[Unit]:
    """A random order that respects what units stand on."""
    left, done = list(units), set[str]()
    while left:
        unit = draw.choice([unit for unit in left if set(unit.after) <= done])
        left.remove(unit)
        done.add(unit.name)
        yield unit


def files(home: Path) -> dict[str, str]:
    """What is compared of a job: cells without their times, studies, chosen experts."""
    found = {}
    for path in sorted(home.rglob("*")):
        name = path.relative_to(home).as_posix()
        if path.is_dir() or name.split("/")[0] == "units" or path.name in ("timing.json", "journal.log", "notes.txt"):
            continue
        if path.name == "cell.json":
            cell = json.loads(path.read_text())
            for word in ("wall_s", "finished"):
                del cell["cost"][word]  # the two that tell time
            found[name] = json.dumps(cell, sort_keys=True)
        elif path.name == "files.json":  # hashes of the cell's files, and with them of its time
            digests = json.loads(path.read_text())
            found[name] = repr(sorted(item for item in digests.items() if item[0] != "cell.json"))
        else:
            found[name] = hash_file(path)
    return found


@pytest.mark.slow
def test_any_order_of_units_ends_in_the_bytes_of_one_process(tmp_path: Path) -> None:
    assert run_job(JOB, tmp_path / "one", lambda *_: None) == []
    for seed in (0, 1):
        folder = tmp_path / str(seed)
        for unit in in_order(units_of(JOB, JOB.cells()), random.Random(seed)):
            assert run_unit(JOB, unit, folder, lambda *_: None) == []
        close_job(JOB, folder)
        assert files(folder / JOB.folder) == files(tmp_path / "one" / JOB.folder)
    assert len(files(tmp_path / "one" / JOB.folder)) > len(JOB.cells())
    seconds = json.loads((tmp_path / "0" / JOB.folder / "timing.json").read_text())
    assert set(seconds) == set(json.loads((tmp_path / "one" / JOB.folder / "timing.json").read_text()))
