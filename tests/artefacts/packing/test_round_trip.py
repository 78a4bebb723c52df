"""From a saved model to a package, to a fresh profile, and to the same probabilities."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from artefacts.format.archive import open_package
from artefacts.format.error import PackageError
from artefacts.packing.pack import Packed, package
from artefacts.packing.told import Told
from artefacts.registry.error import RegistryError
from artefacts.registry.registry import Registry
from artefacts.trust.keys import generate, load, public_text
from artefacts.trust.signature import sign
from artefacts.trust.store import TrustStore
from benchmarks.methods.baselines import load_baseline
from benchmarks.models import load_expert, load_model, save_model
from benchmarks.models.promise import promise_of
from experts.expert import Expert
from experts.graph.expert import GraphExpert
from experts.graph.inputs import graph_inputs
from experts.graph.settings import GraphSettings
from moe.decision import Decided, Demand, fit_decision
from moe.library import library_mixture
from tasks.task import Task, TaskView
from tests.benchmarks.models import test_methods
from tests.benchmarks.models.conftest import assert_same, toy  # noqa: F401
from tests.benchmarks.models.test_graphs import german
from tests.benchmarks.models.test_mixtures import library, linear, members_of, network, problem, trees

Toy = tuple[Task, pd.DataFrame]
ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture
def trusting(_own_home: Path, tmp_path: Path) -> Callable[[Path], None]:
    """A fresh profile that trusts one key; signs with it."""
    generate(tmp_path / "key")
    key = load(tmp_path / "key")
    TrustStore(_own_home).add(public_text(key), "Ada")

    def signed(path: Path) -> None:
        sign(path, key)

    return signed


def bagged(view: TaskView) -> Expert:
    return load_baseline("lightgbm").fit(view, {"learning_rate": 0.1, "num_leaves": 8, "min_data_in_leaf": 10}, 7)


def mixed(view: TaskView) -> Expert:
    return library_mixture(library(view), "greedy", seed=0, floor=0.5).mixture


def decided(view: TaskView) -> Expert:
    members = members_of(view)
    found = fit_decision(problem(view, members), Demand("dp@1", 0.1))
    assert found is not None
    return Decided.of(members, found)


# What a decision is about, one member or several, is found on its rows: no kind is asked of it.
MAKERS: list[tuple[Callable[[TaskView], Expert], str]] = [
    (network, "network"), (trees, "trees"), (linear, "linear"), (bagged, "trees"), (mixed, "mixture"),
    (decided, ""),
]  # fmt: skip


def installed(path: Path) -> None:
    home = Path(os.environ["FAIRMOE_HOME"])
    Registry(home / "experts", TrustStore(home)).install([str(path)])


@pytest.mark.parametrize(("make", "kind"), MAKERS, ids=[make.__name__ for make, _ in MAKERS])
def test_installed_experts_say_what_the_saved_model_says(
    make: Callable[[TaskView], Expert],
    kind: str,
    toy: Toy,  # noqa: F811
    tmp_path: Path,
    trusting: Callable[[Path], None],
) -> None:
    task, raw = toy
    rows = raw.iloc[task.split.test.numpy()]
    save_model(make(task.view()), task.view(), tmp_path / "model", method="own", origin={"suite": "s", "seed": 3})
    wanted = load_model(tmp_path / "model").predict_proba(rows, unknown="missing")
    made = package(tmp_path / "model", tmp_path / "a.expert", Told(name="one"))
    assert (made.manifest.kind, made.new) == (kind or made.manifest.kind, True)
    trusting(made.path)
    assert_same(load_expert(made.path).predict_proba(rows, unknown="missing"), wanted)
    installed(made.path)
    shutil.rmtree(tmp_path / "model")
    made.path.unlink()
    model = load_expert("one")
    assert_same(model.predict_proba(rows, unknown="missing"), wanted)
    assert model.facts["package"] == {"name": "one", "version": "1.0.0", "trust": "trusted"}


def test_a_graph_expert(tmp_path: Path, trusting: Callable[[Path], None]) -> None:
    task, raw, edges = german()
    settings = GraphSettings("gcn", 2)
    expert = GraphExpert.of_lane(task.view(), "utility", settings, graph_inputs(task.view(), settings).initial(5, [3]))
    save_model(expert, task.view(), tmp_path / "model", method="gcn", origin={})
    wanted = load_model(tmp_path / "model").predict_proba(raw, edges, unknown="missing")
    made = package(tmp_path / "model", tmp_path / "a.expert", Told(name="graph"))
    assert made.manifest.kind == "graph"
    assert made.manifest.inputs is not None and made.manifest.inputs.needs_edges
    trusting(made.path)
    installed(made.path)
    assert_same(load_expert("graph").predict_proba(raw, edges, unknown="missing"), wanted)


@pytest.fixture(scope="module")
def saved(toy: Toy, tmp_path_factory: pytest.TempPathFactory) -> Path:  # noqa: F811
    """A model with what was measured of it."""
    task, _ = toy
    view, folder = task.view(), tmp_path_factory.mktemp("saved") / "model"
    expert = trees(view)
    origin = {"suite": "quick", "split": 0, "seed": 5, "command": "fairmoe bench quick", "variant": "plain"}
    save_model(expert, view, folder, method="trees", origin=origin)
    probability = torch.sigmoid(expert.logits(view, task.split.test).double())
    promise_of(task, probability, demand={"metric": "dp@1", "max_gap": 0.1}, note="Of its twin.").write(folder)
    (folder / "changed.csv").write_text("row,group,from,to\n4,M,0,1\n")
    (folder / "card.html").write_text("<p>card</p>")
    return folder


def test_the_manifest_tells_what_was_measured_and_which_rows_can_be_asked_about(saved: Path, tmp_path: Path) -> None:
    made = package(saved, tmp_path / "a.expert", Told(author="Ada", further={"routing": {"keywords": ["credit"]}}))
    manifest, promise = made.manifest, json.loads((saved / "promise.json").read_text())
    assert manifest.fairness is not None and manifest.inputs is not None
    assert set(manifest.fairness.metrics) == set(promise["metrics"])
    for name, value in promise["metrics"].items():
        told = manifest.fairness.metrics[name]
        assert (told.estimate, told.low, told.high, told.null_p95, told.status, told.reason) == tuple(
            value[key] for key in ("estimate", "low", "high", "null_p95", "status", "reason")
        )
    sizes = {name: (size.negative, size.positive) for name, size in manifest.fairness.groups.items()}
    assert sizes == {name: (size["negatives"], size["positives"]) for name, size in promise["groups"].items()}
    assert (manifest.fairness.suite, manifest.fairness.note) == ("quick", "Of its twin.")
    assert manifest.fairness.rows == promise["rows"]
    columns = {column.name: column for column in manifest.inputs.columns}
    assert set(columns) == set(load_model(saved).columns_needed)
    assert columns["hours"].kind == "numeric" and "nurse" in columns["job"].categories
    made_by = manifest.provenance
    assert (made_by.command, made_by.seed, made_by.method) == ("fairmoe bench quick", 5, "trees")
    assert (manifest.author, manifest.routing.keywords) == ("Ada", ("credit",))
    assert "trees.txt" in " ".join(manifest.files) and "changed.csv" not in manifest.files


def test_packing_imports_no_library_that_makes_or_runs_experts(saved: Path, tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from artefacts.packing.pack import package; "
        f"package(Path({str(saved)!r}), Path({str(tmp_path / 'a.expert')!r})); "
        "print(sorted({'torch', 'sklearn', 'pandas', 'lightgbm', 'numpy'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_same_model_gives_the_same_bytes_whenever_wherever_and_whoever_packs(saved: Path, tmp_path: Path) -> None:
    copy = tmp_path / "elsewhere" / "other"
    shutil.copytree(saved, copy)
    for number, path in enumerate(sorted(copy.rglob("*"))):
        path.chmod(0o755 if path.is_dir() else 0o600)
        os.utime(path, (10_000 * number, 10_000 * number))
    made = [package(saved, tmp_path / "a.expert"), package(copy, tmp_path / "b.expert")]
    assert made[0].path.read_bytes() == made[1].path.read_bytes()


ELSEWHERE = """
import datetime, os, sys, time
from pathlib import Path
moment = float(sys.argv[3])
class Day(datetime.datetime):
    now = utcnow = today = classmethod(lambda cls, tz=None: cls.fromtimestamp(moment, tz))
datetime.datetime, time.time, time.time_ns = Day, lambda: moment, lambda: int(moment * 1e9)
for name in ("gmtime", "localtime"):
    setattr(time, name, lambda seconds=None, real=getattr(time, name): real(moment if seconds is None else seconds))
from artefacts.packing.pack import package
folder = Path(sys.argv[2])
package(Path(sys.argv[1]), folder / "first.expert")  # everything is imported before the user changes
if os.geteuid() == 0:
    os.chown(folder, 65534, 65534)
    os.setgroups([]), os.setgid(65534), os.setuid(65534)
os.umask(int(sys.argv[4], 8))
package(Path(sys.argv[1]), folder / "second.expert")
print(os.geteuid(), time.strftime("%Y %Z", time.localtime()), oct(os.stat(folder / "second.expert").st_mode & 0o777))
"""
"""A clock that tells another time, another user (when root runs it), another umask."""


def test_the_same_bytes_on_another_day_by_another_user_with_other_settings(saved: Path, tmp_path: Path) -> None:
    expected = package(saved, tmp_path / "here.expert").path.read_bytes()
    cases = (
        ("0", "077", {"TZ": "Asia/Tokyo", "LC_ALL": "C", "PYTHONHASHSEED": "1", "USER": "eve"}),
        ("4102444800", "000", {"TZ": "America/New_York", "LC_ALL": "tr_TR.UTF-8", "PYTHONUTF8": "1", "HOME": "/"}),
    )
    told = set()
    with tempfile.TemporaryDirectory() as name:
        shared = Path(name)
        shared.chmod(0o755)
        shutil.copytree(saved, shared / "model")
        for path in (shared / "model", *(shared / "model").rglob("*")):
            path.chmod(0o755 if path.is_dir() else 0o644)
        for number, (moment, umask, settings) in enumerate(cases):
            folder = shared / str(number)
            folder.mkdir()
            arguments = [sys.executable, "-c", ELSEWHERE, str(shared / "model"), str(folder), moment, umask]
            place = {**os.environ, "PYTHONPATH": str(ROOT), **settings}
            done = subprocess.run(arguments, env=place, cwd=shared, capture_output=True, text=True, check=False)
            assert done.returncode == 0, done.stderr
            told.add(done.stdout)
            for file in ("first.expert", "second.expert"):
                assert (folder / file).read_bytes() == expected
    assert len(told) == 2 and {text.split()[1] for text in told} == {"1970", "2099"}


def test_a_package_that_is_there_keeps_its_signatures_and_its_content(
    saved: Path, tmp_path: Path, trusting: Callable[[Path], None]
) -> None:
    path = tmp_path / "a.expert"
    trusting(package(saved, path).path)
    before = path.read_bytes()
    again: Packed = package(saved, path)
    assert (again.new, path.read_bytes()) == (False, before)
    with pytest.raises(PackageError, match=r"other content.*\[exists\]"):
        package(saved, path, Told(version="1.0.1"))
    assert path.read_bytes() == before


def test_a_damaged_or_unsigned_package_is_not_read(
    saved: Path, tmp_path: Path, trusting: Callable[[Path], None]
) -> None:
    path = package(saved, tmp_path / "a.expert", Told(name="one")).path
    with pytest.raises(RegistryError, match=r"\[untrusted-unsigned\]"):
        load_expert(path)
    assert load_expert(path, allow_untrusted=True).facts["package"]["trust"] == "unsigned"
    trusting(path)
    data = bytearray(path.read_bytes())
    data[data.index(b"tree\nversion")] ^= 1
    (tmp_path / "b.expert").write_bytes(data)
    with pytest.raises(PackageError, match=r"\[hash\]"):
        load_expert(tmp_path / "b.expert", allow_untrusted=True)
    installed(path)
    tree = load_expert("one").folder
    (victim,) = tree.rglob("trees.txt")
    victim.chmod(0o644)
    victim.write_text(victim.read_text() + " ")
    with pytest.raises(RegistryError, match=r"\[installed-damaged\]"):
        load_expert("one")


def test_an_expert_that_was_revoked_after_it_was_installed_is_not_read(
    saved: Path, tmp_path: Path, trusting: Callable[[Path], None], _own_home: Path
) -> None:
    path = package(saved, tmp_path / "a.expert", Told(name="one")).path
    trusting(path)
    installed(path)
    TrustStore(_own_home).revoke("Ada", "key lost")
    with pytest.raises(RegistryError, match=r"key lost.*\[untrusted-revoked\]"):
        load_expert("one")
    assert load_expert("one", allow_untrusted=True).facts["package"]["trust"] == "revoked"


def test_what_is_not_safe_to_read_is_refused_by_name(toy: Toy, tmp_path: Path) -> None:  # noqa: F811
    task, _ = toy
    params = {"learning_rate": 0.1, "depth": 2, "l2_leaf_reg": 1.0, "random_strength": 1.0}
    expert = load_baseline("catboost").fit(task.view(), params, 0)
    save_model(expert, task.view(), tmp_path / "model", method="catboost", origin={})
    with pytest.raises(PackageError, match=r"CatBoost.*\[kind\]"):
        package(tmp_path / "model", tmp_path / "a.expert")
    assert not (tmp_path / "a.expert").exists()
    with pytest.raises(PackageError, match=r"neither a saved model.*\[no-model\]"):
        package(tmp_path, tmp_path / "a.expert")


def test_a_cell_of_a_run_says_how_its_model_is_made(tmp_path: Path) -> None:
    cell = tmp_path / "my run" / "jobs" / "job" / "cells" / "0a"
    cell.mkdir(parents=True)
    (cell / "cell.json").write_text('{"head": {"task": "german", "method": "gcn", "split": 2}}')
    words = f"fairmoe choose '{tmp_path}/my run' --task german --method gcn --split 2 --max-gap inf --output my_model"
    with pytest.raises(PackageError, match=re.escape(words)) as told:
        package(cell, tmp_path / "a.expert")
    assert f"fairmoe package '{cell}'" in str(told.value)


SAFE = [(name, params) for name, params in test_methods.BASELINES if name != "catboost"]


@pytest.mark.slow
@pytest.mark.parametrize(("method", "params"), SAFE, ids=[f"{name}-{place}" for place, (name, _) in enumerate(SAFE)])
def test_every_other_method_can_be_packed(
    method: str,
    params: dict[str, object],
    toy: Toy,  # noqa: F811
    tmp_path: Path,
) -> None:
    task, raw = toy
    save_model(load_baseline(method).fit(task.view(), params, 7), task.view(), tmp_path / "m", method=method, origin={})
    made = package(tmp_path / "m", tmp_path / "a.expert")
    with open_package(made.path) as opened:
        opened.extract(tmp_path / "tree")
    first, second = (load_model(tmp_path / name).predict_proba(raw, unknown="missing") for name in ("m", "tree"))
    assert np.array_equal(first, second)


def test_decisions_that_hold_for_any_gap_are_finite_in_their_file(toy: Toy, tmp_path: Path) -> None:  # noqa: F811
    """A limit of infinity, and numbers that nobody knows, are told in words."""
    task, _ = toy
    members = members_of(task.view())
    found = fit_decision(problem(task.view(), members), Demand("dp@1", float("inf")))
    assert found is not None
    save_model(Decided.of(members, found), task.view(), tmp_path / "m", method="own", origin={})
    package(tmp_path / "m", tmp_path / "a.expert")
    again = load_model(tmp_path / "m").expert.decision  # type: ignore[attr-defined]
    assert again.demand.limit == float("inf")
    assert np.isnan(again.procedural) == np.isnan(found.procedural)
