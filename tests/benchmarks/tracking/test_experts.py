"""Experts in MLflow: one run each under fixed names, sent once; a store that is down loses nothing."""

from __future__ import annotations

import json
import socket
from pathlib import Path

import mlflow
import pytest

from benchmarks.cells.digests import RECEIPT
from benchmarks.saving.trained import read_made
from benchmarks.tracking.experts import EXPERIMENT, send_experts, unsent_experts
from benchmarks.tracking.mlflow_store import tracking_uri
from llm_experts.data.example import Example
from llm_experts.training.loop.assignment import Assignment
from llm_experts.training.loop.fit import fit
from llm_experts.training.loop.settings import Settings
from tests.llm_experts.conftest import make_tiny_base


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An output folder with two experts."""
    items = [Example(str(n), f"{n} + 1 =", f" {n + 1}") for n in range(8)]
    folder = tmp_path_factory.mktemp("experts")
    settings = [Settings(rank=2, steps=4, evaluate_every=2, seed=seed, adapter_options={"alpha": 8}) for seed in (0, 1)]
    given = [Assignment(f"adder-{one.seed}", items[:6], items[6:], one) for one in settings]
    fit(make_tiny_base(layers=2, hidden=32), given, folder=folder)
    return folder


@pytest.fixture
def experts(trained: Path) -> Path:
    for receipt in trained.glob(f"*/{RECEIPT}"):
        receipt.unlink()
    return trained


def test_a_run_for_each_under_the_fixed_names(experts: Path) -> None:
    assert send_experts(experts) == ""
    client = mlflow.MlflowClient(tracking_uri())
    found = client.get_experiment_by_name(EXPERIMENT)
    assert found is not None
    runs = {run.info.run_name: run for run in client.search_runs([found.experiment_id])}
    assert sorted(runs) == ["adder-0", "adder-1"] and {run.info.status for run in runs.values()} == {"FINISHED"}
    run, made = runs["adder-1"], read_made(experts / "adder-1")
    names = {"train/loss", "train/gradient", "train/lr", "train/epoch", "val/score", "val/logprob", "val/best_score"}
    names |= {"val/best_step", "usage/parameters", "usage/seconds", "usage/steps", "usage/bytes"}
    assert names <= set(run.data.metrics)
    points = client.get_metric_history(run.info.run_id, "val/score")
    assert [point.step for point in points] == [0, 2, 4]
    assert [point.value for point in points] == pytest.approx([row["score"] for row in made.history])
    assert run.data.params["rank"] == "2" and run.data.params["adapter_options.alpha"] == "8"
    tags = run.data.tags
    assert (tags["method"], tags["kind"], tags["seed"], tags["fairmoe.kind"]) == ("sft", "lora", "1", "expert")
    (data,) = run.inputs.dataset_inputs
    assert data.dataset.digest == made.data_sha256[:36] and json.loads(data.dataset.profile)["train"] == 6


def test_sending_again_adds_no_run_even_without_receipts(experts: Path) -> None:
    assert send_experts(experts) == "" and unsent_experts(experts) == []
    for receipt in experts.glob(f"*/{RECEIPT}"):
        receipt.unlink()
    assert send_experts(experts) == ""
    client = mlflow.MlflowClient(tracking_uri())
    found = client.get_experiment_by_name(EXPERIMENT)
    assert found is not None and len(client.search_runs([found.experiment_id])) == 2


def test_a_store_that_is_down_is_told_and_what_it_lacks_is_sent_later(
    experts: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{port}")
    told = send_experts(experts)
    assert "does not answer" in told and "fairmoe track experts" in told
    assert not list(experts.glob(f"*/{RECEIPT}"))
    monkeypatch.delenv("MLFLOW_TRACKING_URI")
    assert send_experts(experts) == "" and len(list(experts.glob(f"*/{RECEIPT}"))) == 2
