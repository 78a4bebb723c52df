"""The way that README describes, by commands alone, for experts of six kinds on real rows.

Train, choose, pack, sign, verify, publish into an index in Git; then, in a profile that knows nothing: trust, install,
predict. The probabilities are those that the benchmark has stored.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from benchmarks.cli import app
from benchmarks.models import load_model
from tasks.fetch import fetch
from tasks.load import load_task
from tests.artefacts.registry.made import git
from tests.benchmarks.commands.llm.test_llm import saved_base

pytestmark = [pytest.mark.slow, pytest.mark.data]

SUITE = """
name = "walk"
version = 1
description = "One expert of each kind on one data set: small, to see the way of a package."
tasks = ["german"]
protocol = "robust"
splits = 1
seeds = 1
trials = 3
batch = 3
folds = 2
families = ["mlp", "gbdt"]
fair_trials = 1
bag_folds = 2
graph_kinds = ["gcn"]
methods = ["mixture", "utility", "lightgbm", "gcn"]

[budget]
steps = 200
warm_up = 40
"""
CHOSEN = {"mixture": "mixture", "utility": "network", "lightgbm": "trees", "gcn": "graph"}
TRAINED = ("lora", "svf")
READ = "german@80"
"""Of the same rows as many as a base that reads letter by letter is done with soon."""
AS_STORED = ("plain", "as it is")
"""Ways in which a model decides as the benchmark's method does; the others move its probabilities to their cuts."""


def done(*words: object) -> str:
    """What a command prints that ends well."""
    found = CliRunner().invoke(app, [str(word) for word in words], env={"COLUMNS": "80"}, catch_exceptions=False)
    assert found.exit_code == 0, found.output
    return found.output


@dataclass(frozen=True)
class Walked:
    """What came out of the way."""

    folder: Path
    models: dict[str, Path]
    installed: list[dict[str, str]]

    def probability(self, name: str) -> np.ndarray:
        """Of the test rows, by the installed expert."""
        found = pd.read_csv(self.folder / f"{name}.csv").set_index("row")["probability"]
        return (found if name in TRAINED else found.loc[rows_of_test()]).to_numpy()


def rows_of_test() -> list[int]:
    """Rows of the published file."""
    task = load_task("german")
    return task.rows[task.split.test].tolist()


def published() -> tuple[pd.DataFrame, Path]:
    """The published table, and the file of its edges."""
    paths = fetch(load_task("german").card, roles=("table", "edges"))
    (table,) = (path for name, path in paths.items() if name.endswith(".csv"))
    (edges,) = (path for name, path in paths.items() if "edges" in name)
    return pd.read_csv(table), edges


@pytest.fixture(scope="module")
def walked(tmp_path_factory: pytest.TempPathFactory) -> Walked:
    folder = tmp_path_factory.mktemp("walk")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("FAIRMOE_HOME", str(folder / "author"))
        models = _trained(folder)
        _published(models)
        patch.setenv("FAIRMOE_HOME", str(folder / "stranger"))
        return Walked(folder, models, _used(models, folder))


def _trained(folder: Path) -> dict[str, Path]:
    Path("walk.toml").write_text(SUITE)
    done("bench", "walk.toml", "--output", "run", "--jobs", 1)
    models = {}
    for method in CHOSEN:
        models[method] = folder / method
        done("choose", "run", "--task", "german", "--method", method, "--max-gap", "inf", "--output", method)
    base = str(saved_base(folder / "base"))
    shared = ("--task", READ, "--base", base, "--start", "-1", "--trials", 1, "--batch", 1, "--steps", 4)
    for kind in TRAINED:
        told = done("llm", "train", "--kind", kind, *shared, "--output", "texts")
        models[kind] = next((folder / "texts").glob(f"*/*_llm_{kind}_utility_model"))
        assert models[kind].name in "".join(told.split())
        done("llm", "evaluate", models[kind], "--task", READ, "--base", base, "--promise")
    return models


def _published(models: dict[str, Path]) -> None:
    done("keygen", "ada.key")
    done("trust", "add", "ada.key.pub", "--name", "Ada")
    Path("index").mkdir()
    git(Path("index"), "init", "-q")
    for name, model in models.items():
        package = f"{_name(name)}-1.0.0.expert"
        assert "nothing of its fairness" not in done("package", model, "--name", _name(name), "--author", "Ada")
        done("sign", package, "--key", "ada.key")
        assert "trusted" in done("verify", package)
        assert "committed" in done("publish", package, "--index", "index")


def _used(models: dict[str, Path], folder: Path) -> list[dict[str, str]]:
    done("trust", "add", "ada.key.pub", "--name", "Ada")
    done("index", "add", "team", f"git+file://{folder}/index")
    done("install", *map(_name, models))
    raw, edges = published()
    raw.to_csv("all.csv", index=False)
    raw.iloc[rows_of_test()].to_csv("test.csv", index=False)
    for name in models:
        more = ("--edges", edges) if name == "gcn" else ()
        rows = "test.csv" if name in TRAINED else "all.csv"
        asked = ("--expert", _name(name), "--input", rows, *more, "--unknown", "missing")
        done("predict", *asked, "--output", f"{name}.csv")
    return list(json.loads(done("list", "--json")))


def _name(method: str) -> str:
    return f"german-{method.replace('_', '-')}"


def test_experts_of_six_kinds_are_installed(walked: Walked) -> None:
    assert {one["name"] for one in walked.installed} == {_name(name) for name in walked.models}
    kinds = {name: json.loads(done("inspect", walked.folder / f"{_name(name)}-1.0.0.expert", "--json"))["kind"]
             for name in walked.models}  # fmt: skip
    assert kinds == {**CHOSEN, "lora": "adapter", "svf": "adapter"}


def test_a_graph_expert_asks_for_its_edges(walked: Walked, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FAIRMOE_HOME", str(walked.folder / "stranger"))
    rows = str(walked.folder / "all.csv")
    told = CliRunner().invoke(app, ["predict", "--expert", "german-gcn", "--input", rows])
    assert "give the file of pairs with --edges" in str(told.exception)


@pytest.mark.parametrize("name", [*CHOSEN, *TRAINED])
def test_an_installed_expert_says_what_the_saved_model_says(walked: Walked, name: str) -> None:
    raw, edges = published()
    model = load_model(walked.models[name])
    if name in TRAINED:
        rows = raw.iloc[rows_of_test()].reset_index(drop=True)
        wanted = model.predict_proba(rows, unknown="missing")[:, 1]
    else:
        wanted = model.predict_proba(raw, edges if model.needs_graph else None, unknown="missing")[rows_of_test(), 1]
    found = walked.probability(name)
    assert np.ptp(found) > 1e-4  # a constant would be no news
    assert np.abs(found - wanted).max() <= 1e-6


def decided(probability: np.ndarray) -> dict[str, list[list[int]]]:
    """Test rows of each group by label and decision."""
    task = load_task("german")
    test = task.split.test
    groups, labels, said = task.groups[test].numpy(), task.labels[test].numpy(), probability > 0.5
    return {
        name: [[int(((groups == group) & (labels == label) & (said == one)).sum()) for one in (0, 1)]
               for label in (0, 1)]
        for group, name in enumerate(task.group_names)
    }  # fmt: skip


@pytest.mark.parametrize("method", list(CHOSEN))
def test_an_installed_expert_says_what_the_benchmark_stored_or_promised(walked: Walked, method: str) -> None:
    choice = json.loads((walked.models[method] / "choice.json").read_text())
    if choice["recommended"]["way"] not in AS_STORED:
        promise = json.loads((walked.models[method] / "promise.json").read_text())
        assert decided(walked.probability(method)) == promise["table"]
        return
    stored = [pd.read_parquet(path) for path in sorted((walked.folder / "run" / "predictions").glob("*.parquet"))]
    tables = [table[table["part"] == "test"].set_index("row")["probability"] for table in stored]
    found = walked.probability(method)
    gaps = [np.abs(table.loc[rows_of_test()].to_numpy() - found).max() for table in tables]
    assert (len(gaps), min(gaps) <= 1e-6) == (len(CHOSEN), True)
    assert sum(gap <= 1e-6 for gap in gaps) == 1
