"""Text experts through the whole harness, on a base so small that everything runs: cells, tables, bytes, resumption."""

from __future__ import annotations

import shutil
from pathlib import Path

import pandas as pd
import pytest
from rich.console import Console

from benchmarks.plan.job import Job, plan
from benchmarks.plan.suite import Suite
from benchmarks.run.runner import RunSummary, available_tasks, run_suite
from benchmarks.tracking.mlflow_store import quiet as quiet_mlflow
from tests.benchmarks.conftest import TINY
from tests.llm_experts.conftest import make_tiny_base

pytestmark = pytest.mark.slow

METHODS = (
    "llm_base", "llm_utility", "llm_result", "llm_procedural", "llm_gate_dense", "llm_bank", "llm_dispatch",
    "cross_gate_dense", "cross_static_simplex",
)  # fmt: skip
BUDGET = {
    "steps": 4, "eval_every": 2, "warm_up": 1, "batch_rows": 16, "rungs": (), "explained_rows": 40, "final_rows": 40,
}  # fmt: skip

Finished = tuple[Suite, Path, RunSummary]


def small_suite(base: Path) -> Suite:
    """One split of 500 rows, all stages at the least effort."""
    return Suite.model_validate(
        {
            "name": "tiny", "tasks": ("scm@500",), "splits": 1, "trials": 2, "batch": 2, "folds": 2, "budget": TINY,
            "methods": ("utility",),
            "llm": {
                "tasks": ("scm@500",), "base": str(base), "trials": 2, "batch": 2, "kind_trials": 1,
                "budget": BUDGET, "methods": METHODS,
            },
        }
    )  # fmt: skip


@pytest.fixture(scope="module")
def tiny_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random model as a folder, as ``--base`` takes it."""
    folder = tmp_path_factory.mktemp("base") / "tiny"
    base = make_tiny_base(layers=2, hidden=32)
    base.model.save_pretrained(folder)
    base.tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def ran(tiny_folder: Path, tmp_path_factory: pytest.TempPathFactory, quiet: Console, empty_store: Path) -> Finished:
    """The suite, its finished output, and how the run ended."""
    patch = pytest.MonkeyPatch()
    home = tmp_path_factory.mktemp("store")
    shutil.copyfile(empty_store, home / "mlflow.db")
    patch.setenv("FAIRMOE_HOME", str(home))
    patch.delenv("MLFLOW_TRACKING_URI", raising=False)
    suite, output = small_suite(tiny_folder), tmp_path_factory.mktemp("run") / "tiny"
    try:
        with quiet_mlflow():
            return suite, output, run_suite(suite, output, workers=1, strict=True, console=quiet)
    finally:
        patch.undo()


def the_job(suite: Suite) -> Job:
    (job,) = plan(suite, available_tasks(suite.all_tasks)[0])
    return job


def test_every_text_method_has_a_cell_with_metrics_of_both_parts(ran: Finished) -> None:
    suite, output, summary = ran
    assert summary.ok, "\n".join(f"{failure['method']}: {failure['error']}" for failure in summary.failures)
    table = pd.read_csv(output / "results.csv")
    assert set(table["method"]) == {"utility", *METHODS}
    assert table.groupby(["method", "part"])["metric"].nunique().min() >= 25
    assert not table["status"].eq("failed").any()
    job = the_job(suite)
    for method in METHODS:
        folder = job.cell_folder(output / "jobs", method, 0)
        assert (folder / "predictions.parquet").is_file()
        assert (folder / "expert" / "expert.json").is_file() == (method in METHODS[:4])


def test_routing_names_every_expert_once_per_group(ran: Finished) -> None:
    routing = pd.read_csv(ran[1] / "routing.csv")
    assert not routing.duplicated(["method", "part", "group", "expert"]).any()
    roles = ("utility", "result", "procedural")
    text = {f"llm_{role}" for role in roles}
    for method, expected in (
        ("llm_gate_dense", text), ("llm_bank", text), ("llm_dispatch", text | {"llm_base"}),
        ("cross_gate_dense", text | set(roles)), ("cross_static_simplex", text | set(roles)),
    ):  # fmt: skip
        own = routing[routing["method"] == method]
        assert set(own["expert"]) == expected, method
        assert (own.groupby("group")["weight"].sum() - 1).abs().max() < 1e-5


def test_costs_and_templates_of_text_experts_are_told(ran: Finished) -> None:
    provenance = pd.read_csv(ran[1] / "provenance.csv").set_index("method")
    assert (provenance.loc[list(METHODS), "tokens_per_s"] > 0).all()
    assert provenance.loc["llm_base", "adapter_kib"] == 0 and provenance.loc["llm_utility", "adapter_kib"] > 0
    assert pd.isna(provenance.loc["utility", "adapter_kib"])
    templates = pd.read_csv(ran[1] / "templates.csv")
    assert set(templates["template"]) == {"sentence", "list", "record"}
    assert set(templates["method"]) == set(METHODS[:4])


def test_pages_are_written(ran: Finished) -> None:
    assert {path.name for path in ran[2].pages} >= {"leaderboard.html", "leaderboard.md"}


def test_a_lost_cell_is_computed_again_alone_and_to_the_same_bytes(ran: Finished, quiet: Console) -> None:
    suite, output, _ = ran
    before = (output / "results.csv").read_bytes()
    job = the_job(suite)
    folders = {method: job.cell_folder(output / "jobs", method, 0) for method in ("utility", *METHODS)}
    times = {method: (folder / "predictions.parquet").stat().st_mtime_ns for method, folder in folders.items()}
    shutil.rmtree(folders["llm_bank"])
    summary = run_suite(suite, output, workers=1, strict=True, console=quiet)
    assert summary.ok and summary.computed == 1
    after = {method: (folder / "predictions.parquet").stat().st_mtime_ns for method, folder in folders.items()}
    assert {method for method in times if times[method] != after[method]} == {"llm_bank"}
    assert (output / "results.csv").read_bytes() == before
    assert run_suite(suite, output, workers=1, strict=True, console=quiet).computed == 0


def test_same_seed_same_bytes(ran: Finished, tmp_path: Path, quiet: Console) -> None:
    suite, output, _ = ran
    run_suite(suite, tmp_path / "again", workers=1, strict=True, console=quiet)
    for name in ("results.csv", "groups.csv", "routing.csv", "templates.csv"):
        assert (tmp_path / "again" / name).read_bytes() == (output / name).read_bytes(), name
