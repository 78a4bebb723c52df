"""Adapters of language models: with raw rows as saved models, and as bare folders of PEFT."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest
import torch

from artefacts.format.archive import open_package
from artefacts.format.error import PackageError
from artefacts.packing.pack import package
from artefacts.packing.told import Told
from benchmarks.models import ModelError, load_expert, load_model, save_model
from llm_experts.adapters.store import read_adapter, save_adapter
from llm_experts.bases.base import Base
from llm_experts.reading.expert import LLMExpert
from llm_experts.reading.reader import Reader
from tasks.task import TaskView
from tests.benchmarks.models.conftest import assert_same
from tests.benchmarks.models.test_texts import FEW, base, mixtures, people  # noqa: F401
from tests.llm_experts.expert_fixtures import make_adapter

People = tuple[TaskView, pd.DataFrame]


@pytest.mark.parametrize("kind", ["lora", "svf"])
def test_text_experts_come_back(kind: str, base: Base, people: People, tmp_path: Path) -> None:  # noqa: F811
    view, raw = people
    expert = LLMExpert("utility", Reader(base), make_adapter(kind, 0, base=base), temperature=1.5)
    save_model(expert, view, tmp_path / "model", method="llm_utility", origin={})
    made = package(tmp_path / "model", tmp_path / "a.expert", Told(name="text"))
    manifest = made.manifest
    assert manifest.kind == "adapter" and manifest.base is not None
    assert (manifest.base.sha256, manifest.adapters[0].type) == (base.hash, kind)
    wanted = load_model(tmp_path / "model").predict_proba(raw.iloc[:FEW], unknown="missing")
    found = load_expert(made.path, allow_untrusted=True)
    assert_same(found.predict_proba(raw.iloc[:FEW], unknown="missing"), wanted)


def test_mixtures_of_text_experts_come_back(base: Base, people: People, tmp_path: Path) -> None:  # noqa: F811
    view, raw = people
    for name in ("inside the layers", "across families"):
        save_model(mixtures(base, view)[name], view, tmp_path / name, method="mixture", origin={})
        made = package(tmp_path / name, tmp_path / f"{name}.expert")
        assert (made.manifest.kind, len(made.manifest.adapters)) == ("mixture", 2)
        wanted = load_model(tmp_path / name).predict_proba(raw.iloc[:FEW], unknown="missing")
        found = load_expert(made.path, allow_untrusted=True)
        assert_same(found.predict_proba(raw.iloc[:FEW], unknown="missing"), wanted)


def saved(base: Base, folder: Path) -> Path:  # noqa: F811
    adapter = make_adapter("lora", 0, base=base)
    save_adapter(folder, base, adapter.config, adapter.state)
    return folder


def test_a_bare_adapter(base: Base, tmp_path: Path) -> None:  # noqa: F811
    folder = saved(base, tmp_path / "My adapter")
    made = package(folder, tmp_path / "a.expert")
    assert (made.manifest.name, made.manifest.kind) == ("my-adapter", "adapter")
    (told,) = made.manifest.adapters
    config = json.loads((folder / "adapter_config.json").read_text())
    assert (told.rank, told.alpha, told.path) == (config["r"], config["lora_alpha"], "adapter_model.safetensors")
    with open_package(made.path) as opened:
        opened.extract(tmp_path / "tree")
    state = read_adapter(folder).state
    again = read_adapter(tmp_path / "tree").state
    assert state.keys() == again.keys() and all(torch.equal(state[key], again[key]) for key in state)
    with pytest.raises(ModelError, match="holds no saved model"):
        load_expert(made.path, allow_untrusted=True)


def test_an_adapter_of_another_program_needs_the_hash_of_its_base(base: Base, tmp_path: Path) -> None:  # noqa: F811
    folder = saved(base, tmp_path / "plain")
    with pytest.raises(PackageError, match=r"not on f+\. \[wrong-base\]"):
        package(folder, tmp_path / "a.expert", Told(base_hash="f" * 64))
    (folder / "fairmoe.json").unlink()
    with pytest.raises(PackageError, match=r"--base-hash.*\[wrong-base\]"):
        package(folder, tmp_path / "a.expert")
    made = package(folder, tmp_path / "a.expert", Told(base_hash="e" * 64))
    assert made.manifest.base is not None and made.manifest.base.sha256 == "e" * 64
    assert made.manifest.base.name == base.id
