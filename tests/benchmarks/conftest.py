"""A tiny suite on the simulated task, and its finished output."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from rich.console import Console

from benchmarks.methods.registry import tabular_methods
from benchmarks.plan.suite import Suite
from benchmarks.run.runner import RunSummary, run_suite
from benchmarks.tracking.mlflow_store import quiet as quiet_mlflow
from tests.benchmarks.models.engine_fixtures import Shop, make_shop

TINY_METHODS = (*tabular_methods(), "constant", "logistic_regression", "lightgbm", "reweighing")
TINY = {"steps": 120, "eval_every": 40, "warm_up": 40, "rungs": ()}


def tiny_suite(**changes: object) -> Suite:
    """One small job: two methods of each kind at the smallest effort that still runs every stage."""
    settings: dict[str, object] = {
        "name": "tiny", "tasks": ("scm",), "splits": 1, "trials": 4, "batch": 2, "folds": 2, "budget": TINY,
        "methods": TINY_METHODS,
    }  # fmt: skip
    return Suite.model_validate(settings | changes)


@pytest.fixture(scope="session")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Shop:
    """Packages for an engine, and the tiny base that two of them stand on."""
    return make_shop(tmp_path_factory.mktemp("shop"))


@pytest.fixture(scope="session")
def quiet() -> Console:
    """A console that nobody reads."""
    return Console(quiet=True)


@pytest.fixture(scope="session")
def empty_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An MLflow database without runs: making its tables takes seconds, copying it does not."""
    path = tmp_path_factory.mktemp("empty") / "mlflow.db"
    with quiet_mlflow():
        import mlflow

        mlflow.MlflowClient(f"sqlite:///{path}").search_experiments()
    return path


@pytest.fixture(autouse=True)
def _store(_own_home: Path, empty_store: Path) -> None:
    shutil.copyfile(empty_store, _own_home / "mlflow.db")


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory, quiet: Console, empty_store: Path) -> tuple[Path, RunSummary]:
    """Output folder and summary of one tiny run, shared by the tests that only look at it."""
    patch = pytest.MonkeyPatch()
    home = tmp_path_factory.mktemp("store")
    shutil.copyfile(empty_store, home / "mlflow.db")
    patch.setenv("FAIRMOE_HOME", str(home))
    patch.delenv("MLFLOW_TRACKING_URI", raising=False)
    output = tmp_path_factory.mktemp("run") / "tiny"
    try:
        return output, run_suite(tiny_suite(), output, workers=1, strict=True, console=quiet)
    finally:
        patch.undo()
