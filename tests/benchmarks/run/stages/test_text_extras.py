"""What a text cell can do without fails alone: no network for the bias sets costs the bias sets."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest
from rich.console import Console

from benchmarks.plan.suite import Suite
from benchmarks.run.runner import run_suite
from benchmarks.run.stages import text, text_tables
from benchmarks.tracking.mlflow_store import quiet as quiet_mlflow
from llm_experts.bias.sources import BiasError
from llm_experts.reading.expert import LLMExpert
from tests.benchmarks.conftest import TINY
from tests.llm_experts.conftest import make_tiny_base

save = LLMExpert.save
METHODS = ("llm_base", "llm_utility")


def suite(base: Path) -> Suite:
    budget = {
        "steps": 4,
        "eval_every": 2,
        "warm_up": 1,
        "batch_rows": 16,
        "rungs": (),
        "explained_rows": 40,
        "final_rows": 40,
    }
    llm = {
        "tasks": ("scm@500",), "base": str(base), "trials": 1, "batch": 1, "bias_items": 2, "methods": METHODS,
        "budget": budget,
    }  # fmt: skip
    settings = {"name": "tiny", "tasks": ("scm@500",), "splits": 1, "trials": 1, "batch": 1, "budget": TINY}
    return Suite.model_validate({**settings, "methods": ("constant",), "llm": llm})


def refuse(*_: object, **__: object) -> None:
    raise BiasError("bbq.jsonl cannot be had: no network\nat all")


def half_written(self: LLMExpert, folder: Path) -> None:
    if "cells" not in folder.parts:  # a stage of tuning, which is no extra
        save(self, folder)
        return
    (folder / "half").touch()
    raise ValueError("no room for weights")


def test_text_cells_are_there_without_their_extras(
    tmp_path: Path, quiet: Console, monkeypatch: pytest.MonkeyPatch
) -> None:
    base = make_tiny_base(layers=2, hidden=32)
    base.model.save_pretrained(tmp_path / "base")
    base.tokenizer.save_pretrained(tmp_path / "base")
    monkeypatch.setattr(text_tables, "score_bias", refuse)
    for name in ("template_spread", "calibration_errors", "trial_columns"):
        monkeypatch.setattr(text, name, refuse)
    monkeypatch.setattr(LLMExpert, "save", half_written)
    with quiet_mlflow():
        summary = run_suite(suite(tmp_path / "base"), tmp_path / "run", workers=1, strict=True, console=quiet)
    assert summary.ok, [failure["error"][-600:] for failure in summary.failures]
    lost = {(entry["method"], entry["step"]) for entry in summary.lost}
    steps = ("templates", "reading", "expert", "bias")
    assert lost == {(method, step) for method in METHODS for step in steps} | {("llm_utility", "trials")}
    reasons = {entry["reason"] for entry in summary.lost if entry["step"] == "bias"}
    assert reasons == {"BiasError: bbq.jsonl cannot be had: no network"}
    table = pd.read_csv(tmp_path / "run" / "results.csv").query("part == 'test' and metric == 'acc@1'")
    assert set(table["method"]) == {"constant", *METHODS} and table["estimate"].notna().all()
    assert not list((tmp_path / "run").glob("jobs/*/cells/*/expert"))
    page = (tmp_path / "run" / "leaderboard.html").read_text()
    assert "bias of scm@500 split 0: llm_base (seed 0), llm_utility (seed 0)" in page
    assert json.loads((tmp_path / "run" / "suite.json").read_text())["lost"] == summary.lost
