"""TRL as another engine: the same folder from the same assignment."""

import builtins
import importlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from llm_experts.adapters.store import read_adapter
from llm_experts.training.loop import trl_engine
from llm_experts.training.loop.settings import SettingsError
from llm_experts.training.loop.trl_engine import fit_by_trl
from tests.llm_experts.conftest import make_tiny_base
from tests.llm_experts.training.loop.fixtures import assignment


@pytest.mark.slow
@pytest.mark.parametrize("method", ["sft", "dpo"])
def test_trl_trains_an_expert_of_the_same_form(method: str, tmp_path: Path) -> None:
    base, given = make_tiny_base(), assignment(method=method, steps=6, lr=3e-3)
    if method == "dpo":
        paired = [replace(example, rejected="no" if example.completion == "yes" else "yes") for example in given.train]
        given = replace(given, train=paired, validation=[*paired[:4]])
    (found,) = fit_by_trl(base, [given], folder=tmp_path)
    assert found.steps == 6 and found.score > found.history[0]["score"]
    assert read_adapter(tmp_path / "odd" / "adapter").kind == "lora"
    (again,) = fit_by_trl(base, [given], folder=tmp_path)
    assert again.score == found.score and again.notes == found.notes


def test_what_trl_cannot_do_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    base = make_tiny_base()
    with pytest.raises(SettingsError, match="does not have packing here"):
        fit_by_trl(base, [assignment(packing=True)], folder=tmp_path)
    with pytest.raises(SettingsError, match="not the base for ia3"):
        fit_by_trl(base, [assignment(kind="ia3", weight_decay=0.1)], folder=tmp_path)
    load = importlib.import_module

    def without(name: str, *rest: Any) -> Any:
        if name == "trl":
            raise builtins.ImportError("No module named 'trl'")
        return load(name, *rest)

    monkeypatch.setattr(trl_engine.importlib, "import_module", without)
    with pytest.raises(SettingsError, match="which is not installed"):
        fit_by_trl(base, [assignment()], folder=tmp_path)
