"""From a saved model to predictions in somebody else's profile, by commands alone."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
from typer.testing import CliRunner, Result

from benchmarks.cli import app
from benchmarks.methods.baselines import load_baseline
from benchmarks.models import load_model, save_model
from tests.benchmarks.models.conftest import assert_same, load

ROOT = Path(__file__).parents[4]
Saved = tuple[Path, pd.DataFrame]


def fairmoe(*words: str | Path) -> Result:
    return CliRunner().invoke(app, [str(word) for word in words], env={"COLUMNS": "80"}, catch_exceptions=False)


def done(*words: str | Path) -> str:
    """What a command prints that ends well."""
    found = fairmoe(*words)
    assert found.exit_code == 0, found.output
    return found.output


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Saved:
    """Folder of a model without a card, and raw test rows."""
    task, raw = load(tmp_path_factory.mktemp("toy"))
    params = {"learning_rate": 0.1, "num_leaves": 8, "min_data_in_leaf": 10}
    folder = tmp_path_factory.mktemp("saved") / "model"
    expert = load_baseline("lightgbm").fit(task.view(), params, 0)
    save_model(expert, task.view(), folder, method="lightgbm", origin={})
    return folder, raw.iloc[task.split.test.numpy()].reset_index(drop=True)


def test_from_a_saved_model_to_predictions_in_a_fresh_profile(
    saved: Saved, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, rows = saved
    rows.to_csv(tmp_path / "rows.csv", index=False)
    monkeypatch.chdir(tmp_path)
    packed = done("package", folder, "--name", "own-trees", "--author", "Ada")
    assert "packed own-trees 1.0.0 (trees)" in packed
    assert "no promise.json" in packed
    assert "Next: fairmoe sign own-trees-1.0.0.expert" in packed
    done("keygen", "ada.key")
    done("sign", "own-trees-1.0.0.expert", "--key", "ada.key")
    done("trust", "add", "ada.key.pub", "--name", "Ada")
    assert "trusted" in done("verify", "own-trees-1.0.0.expert")
    assert "library_name: fairmoe" in done("card", "own-trees-1.0.0.expert")
    done("publish", "own-trees-1.0.0.expert", "--index", "index")

    monkeypatch.setenv("FAIRMOE_HOME", str(tmp_path / "stranger"))
    refused = CliRunner().invoke(app, ["predict", "own-trees-1.0.0.expert", "rows.csv"])
    assert "[untrusted-unknown]" in str(refused.exception)
    done("trust", "add", "ada.key.pub", "--name", "Ada")
    done("index", "add", "team", tmp_path / "index")
    done("install", "own-trees")
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "benchmarks", "predict", "--expert", "own-trees", "--input", "rows.csv"]
    told = subprocess.run(
        [*command, "--output", "a.csv", "--unknown", "missing"], capture_output=True, text=True, env=environment,
        check=False,
    )  # fmt: skip
    assert (told.returncode, "NOT TRUSTED" in told.stderr) == (0, False), told.stderr
    wanted = load_model(folder).predict_proba(rows, unknown="missing")[:, 1]
    assert_same(pd.read_csv("a.csv")["probability"].to_numpy(), wanted)
    done("predict", "own-trees-1.0.0.expert", "rows.csv", "--output", "b.csv", "--unknown", "missing")
    assert_same(pd.read_csv("b.csv")["probability"].to_numpy(), wanted)


def test_what_an_untrusted_package_says_is_marked(saved: Saved, tmp_path: Path) -> None:
    folder, rows = saved
    rows.to_csv(tmp_path / "rows.csv", index=False)
    done("package", folder, "--output", tmp_path / "a.expert")
    words = ("--allow-untrusted", "--unknown", "missing", "--output", tmp_path / "p.csv")
    told = fairmoe("predict", "--expert", tmp_path / "a.expert", tmp_path / "rows.csv", *words)
    assert (told.exit_code, "NOT TRUSTED: " in told.output) == (0, True)


def test_what_others_must_be_there_is_told(saved: Saved, tmp_path: Path) -> None:
    facts = tmp_path / "more.json"
    facts.write_text(json.dumps({"constraints": {"requires": {"one": "^1"}}, "capabilities": ["credit"]}))
    done("package", saved[0], "--requires", "two@^1.2", "--facts", facts, "--output", tmp_path / "a.expert")
    manifest = json.loads(done("inspect", tmp_path / "a.expert", "--json"))
    assert manifest["constraints"]["requires"] == {"one": "^1", "two": "^1.2"}
    assert manifest["capabilities"] == ["credit"]
    facts.write_text(json.dumps({"fairness": {"suite": "mine"}}))
    refused = CliRunner().invoke(app, ["package", str(saved[0]), "--facts", str(facts)])
    assert "'fairness' cannot be given" in str(refused.exception)


def test_a_package_becomes_the_saved_model_again(saved: Saved, tmp_path: Path) -> None:
    folder, rows = saved
    done("package", folder, "--output", tmp_path / "a.expert")
    assert "Next: fairmoe predict" in done("export", tmp_path / "a.expert", tmp_path / "model")
    done("package", tmp_path / "model", "--output", tmp_path / "b.expert")
    assert (tmp_path / "a.expert").read_bytes() == (tmp_path / "b.expert").read_bytes()
    found = load_model(tmp_path / "model").predict_proba(rows, unknown="missing")[:, 1]
    assert_same(found, load_model(folder).predict_proba(rows, unknown="missing")[:, 1])
    done("install", tmp_path / "a.expert", "--allow-untrusted")
    done("export", "toy-lightgbm", tmp_path / "again")
    for words in (("peft", "nothing that can be written"), ("gguf", "safetensors, merged, lora, onnx")):
        told = CliRunner().invoke(app, ["export", str(tmp_path / "a.expert"), str(tmp_path / "c"), "--to", words[0]])
        assert words[1] in str(told.exception)
    told = CliRunner().invoke(app, ["export", str(tmp_path / "a.expert"), str(tmp_path / "again")])
    assert "[exists]" in str(told.exception)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("m", "rows.csv", "--expert", "one"), "Give a model"),
        (("m",), "Give rows"),
        (("m", "rows.csv", "--input", "other.csv"), "Give rows"),
    ],
)
def test_model_and_rows_are_given_once(words: tuple[str, ...], message: str) -> None:
    told = fairmoe("predict", *words)
    assert (told.exit_code, message in told.output) == (2, True)
