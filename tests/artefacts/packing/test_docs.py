"""What docs/packages.md says of the way back runs as it stands."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from artefacts.packing.pack import package
from artefacts.packing.told import Told
from benchmarks.cli import app
from benchmarks.models import load_model, save_model
from llm_experts.adapters.store import save_adapter
from llm_experts.bases.base import Base
from tasks.task import Task
from tests.benchmarks.models.conftest import assert_same, toy  # noqa: F401
from tests.benchmarks.models.test_mixtures import network
from tests.benchmarks.models.test_texts import base  # noqa: F401
from tests.examples import FOLDER
from tests.llm_experts.expert_fixtures import make_adapter

Toy = tuple[Task, pd.DataFrame]
BACK = (FOLDER.parent / "packages.md").read_text(encoding="utf-8").partition("**Back again.**")[2]
COMMANDS = re.search(r"```sh\n(.*?)```", BACK, flags=re.S)
ASKED = re.search(r"```python\n(.*?)```", BACK, flags=re.S)


def test_the_way_back_runs_as_written(toy: Toy, base: Base, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: F811
    monkeypatch.chdir(tmp_path)
    task, raw = toy
    save_model(network(task.view()), task.view(), Path("made"), method="mlp", origin={})
    package(Path("made"), Path("one.expert"), Told(name="german-one"))
    adapter = make_adapter("lora", 0, base=base)
    save_adapter(Path("text"), base, adapter.config, adapter.state)
    package(Path("text"), Path("german-text.expert"), Told(name="german-text"))
    assert COMMANDS is not None and ASKED is not None
    lines = ["fairmoe install one.expert --allow-untrusted", *COMMANDS[1].splitlines()]
    for line in lines:
        done = CliRunner().invoke(app, shlex.split(line, comments=True)[1:], env={"COLUMNS": "80"})
        assert done.exit_code == 0, (line, done.output, done.exception)
    assert len(lines) == 7
    found = {path.name for path in (Path("my_model"), Path("adapter"), Path("whole"), Path("plain"), Path("weights"))}
    assert found <= {path.name for path in tmp_path.iterdir()}
    raw.to_csv("rows.csv", index=False)
    told: dict[str, np.ndarray] = {}
    exec(ASKED[1], told)
    model = load_model(Path("my_model"))
    assert_same(told["probabilities"], model.predict_proba(raw, unknown="missing"))
    assert not told["unknown_cells"].any() and set(np.unique(told["decision"])) <= {0, 1}
