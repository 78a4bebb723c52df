"""Folders that are no saved model, or no longer one, are refused with what is wrong; reading needs little."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch

from benchmarks.methods.baselines import load_baseline
from benchmarks.models import ModelError, load_model, save_model
from benchmarks.run.failure import explain
from benchmarks.saving.kinds import MODELS, NETWORKS, PROPAGATIONS, READERS, named
from foundation.files import write_json
from gates.static_simplex import StaticSimplexGate
from moe.mixture import Mixture
from tasks.task import Task
from tests.benchmarks.models.conftest import assert_same
from tests.benchmarks.models.test_mixtures import network

ROOT = Path(__file__).resolve().parents[3]
Toy = tuple[Task, pd.DataFrame]


@pytest.fixture(scope="module")
def whole(toy: Toy, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A saved mixture of a network and boosted trees."""
    view, folder = toy[0].view(), tmp_path_factory.mktemp("whole") / "model"
    trees = load_baseline("lightgbm").fit(view, {"learning_rate": 0.1, "num_leaves": 4, "min_data_in_leaf": 10}, 0)
    mixture = Mixture((network(view), trees), StaticSimplexGate(torch.tensor([0.5, 0.5])))
    save_model(mixture, view, folder, method="mixture", origin={})
    return folder


def changed(path: Path, **facts: Any) -> None:
    write_json(path, {**json.loads(path.read_text()), **facts})


def into_itself(model: Path) -> None:
    (model / "expert" / "again").symlink_to(model / "expert")
    changed(model / "expert" / "expert.json", experts=["again", "again"])


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


TREES, WEIGHTS = "expert/expert_1_baseline", "expert/expert_0_utility/weights.safetensors"
DAMAGES: list[tuple[str, Callable[[Path], object], str]] = [
    ("no model", shutil.rmtree, r"There is no .*model\.json; a saved model is a folder with"),
    ("no encoder", lambda m: (m / "encoder.json").unlink(), r"There is no .*encoder\.json"),
    ("no expert", lambda m: shutil.rmtree(m / "expert"), r"There is no .*expert/expert\.json"),
    ("no weights", lambda m: (m / WEIGHTS).unlink(), "There is no .*weights"),
    ("half weights", lambda m: cut(m / WEIGHTS), r"weights\.safetensors is damaged"),
    ("half trees", lambda m: cut(m / TREES / "trees.txt"), "cannot be read: ValueError: the text of the trees is cut"),
    ("no gate", lambda m: (m / "expert/gate/gate.json").unlink(), r"expert cannot be read: FileNotFoundError"),
    ("half card", lambda m: cut(m / "card.json"), r"card\.json is damaged \(ValidationError"),
    ("no JSON", lambda m: (m / "model.json").write_text("{"), r"model\.json is damaged \(JSONDecodeError"),
    ("a list", lambda m: (m / "expert/expert.json").write_text("[]"), r"expert/expert\.json is no JSON object"),
    ("another JSON", lambda m: (m / "model.json").write_text("{}"), "describes no model of fairmoe"),
    ("the future", lambda m: changed(m / "model.json", format="fairmoe-model/7"), "'fairmoe-model/7'; this"),
    ("unknown kind", lambda m: changed(m / "expert/expert.json", kind="os:system"), "kind 'os:system', which"),
    ("no kind", lambda m: changed(m / "expert/expert.json", kind=["bag"]), r"of the kind \['bag'\], which"),
    ("unknown model", lambda m: changed(m / TREES / "expert.json", model="pickle"), "a model of the kind 'pickle'"),
    ("a way out", lambda m: changed(m / "expert/expert.json", experts=["../../else"]), "names a part '../../else'"),
    ("an absolute way", lambda m: changed(m / "expert/expert.json", experts=["/etc"]), "names a part '/etc'"),
    ("itself", into_itself, "within more than 8 others"),
]  # fmt: skip


@pytest.mark.parametrize(("damage", "said"), [d[1:] for d in DAMAGES], ids=[d[0] for d in DAMAGES])
def test_damaged_folders(whole: Path, tmp_path: Path, damage: Callable[[Path], object], said: str) -> None:
    folder = Path(shutil.copytree(whole, tmp_path / "model"))
    damage(folder)
    with pytest.raises(ModelError, match=said) as caught:
        load_model(folder)
    assert explain(caught.value)


def test_a_folder_of_something_else_is_not_replaced(toy: Toy, tmp_path: Path) -> None:
    view = toy[0].view()
    expert = load_baseline("constant").fit(view, {}, 0)
    (tmp_path / "thesis.txt").write_text("all of it")
    with pytest.raises(ModelError, match="exists and is no saved model"):
        save_model(expert, view, tmp_path, method="constant", origin={})
    (tmp_path / "empty").mkdir()
    for _ in range(2):  # an empty folder, then a saved model
        save_model(expert, view, tmp_path / "empty", method="constant", origin={})
    assert load_model(tmp_path / "empty").facts["method"] == "constant"
    assert (tmp_path / "thesis.txt").read_text() == "all of it"


def test_an_expert_that_nobody_can_read_is_not_saved(toy: Toy, tmp_path: Path) -> None:
    class Foreign:
        role, family, explainer = "baseline", "foreign", "none"

        def save(self, folder: Path) -> None:
            write_json(folder / "expert.json", {"family": "foreign"})

    with pytest.raises(ModelError, match=r"foreign.* cannot be saved: .* of the kind None"):
        save_model(Foreign(), toy[0].view(), tmp_path / "m", method="foreign", origin={})  # type: ignore[arg-type]
    assert not list(tmp_path.iterdir())


def test_every_kind_leads_to_code() -> None:
    for table in (MODELS, NETWORKS, PROPAGATIONS, READERS):
        for kind in table:
            assert callable(named(table, kind)), kind
    assert {named(MODELS, kind).kind for kind in MODELS} == set(MODELS)
    assert {named(PROPAGATIONS, kind).kind for kind in PROPAGATIONS} == set(PROPAGATIONS)


CODE = """
import sys
import pandas as pd
from benchmarks.models import load_model
model = load_model({folder!r})
said = model.predict_proba(pd.read_csv({rows!r}, keep_default_na=False, na_values=[""]), unknown="missing")[:, 1]
pd.Series(said).to_csv({out!r}, index=False)
print([name for name in ("optuna", "mlflow", "typer", "transformers", "peft", "fairlearn") if name in sys.modules])
"""


def test_a_fresh_process_says_the_same_and_imports_little(whole: Path, toy: Toy, tmp_path: Path) -> None:
    task, raw = toy
    raw.to_csv(tmp_path / "rows.csv", index=False)
    told = {"folder": str(whole), "rows": str(tmp_path / "rows.csv"), "out": str(tmp_path / "out.csv")}
    done = subprocess.run(
        [sys.executable, "-c", CODE.format(**told)], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "[]"
    found = pd.read_csv(tmp_path / "out.csv").iloc[:, 0].to_numpy()
    wanted = load_model(whole).predict_proba(raw, unknown="missing")[:, 1]
    assert_same(found, wanted)
    assert len(found) == len(task.rows)
