"""Every method of the suite ``default``, graph methods and text experts among them, made again from a small run."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from rich.console import Console

from benchmarks.plan.suite import Suite, load_suite
from benchmarks.run.rebuild import open_cell, rebuild
from benchmarks.run.runner import run_suite
from benchmarks.tracking.mlflow_store import quiet as quiet_mlflow
from tests.benchmarks.conftest import TINY
from tests.benchmarks.run.rebuild.levels_again import check_levels
from tests.llm_experts.conftest import make_tiny_base

pytestmark = [pytest.mark.slow, pytest.mark.data]

TEXT = {
    "steps": 4, "eval_every": 2, "warm_up": 1, "batch_rows": 16, "rungs": (), "explained_rows": 40, "final_rows": 0,
}  # fmt: skip

DEFAULT = load_suite("default")


def small_default(base: Path) -> Suite:
    """The methods of ``default`` on one split of german, at the least effort."""
    assert DEFAULT.llm is not None
    llm = DEFAULT.llm.model_dump() | {
        "base": str(base), "trials": 2, "batch": 2, "kind_trials": 1, "bias_items": 0, "budget": TEXT,
    }  # fmt: skip
    small = {"tasks": ("german",), "protocol": "robust", "splits": 1, "trials": 2, "batch": 2, "fair_trials": 2}
    return Suite.model_validate(DEFAULT.model_dump() | small | {"budget": TINY, "llm": llm})


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory, quiet: Console, empty_store: Path) -> Path:
    """Its finished output."""
    folder = tmp_path_factory.mktemp("base") / "tiny"
    base = make_tiny_base(layers=2, hidden=32)
    base.model.save_pretrained(folder)
    base.tokenizer.save_pretrained(folder)
    patch = pytest.MonkeyPatch()
    home = tmp_path_factory.mktemp("store")
    shutil.copyfile(empty_store, home / "mlflow.db")
    patch.setenv("FAIRMOE_HOME", str(home))
    patch.delenv("MLFLOW_TRACKING_URI", raising=False)
    output = tmp_path_factory.mktemp("default") / "run"
    try:
        with quiet_mlflow():
            summary = run_suite(small_default(folder), output, workers=1, strict=True, console=quiet)
    finally:
        patch.undo()
    assert summary.ok, summary.failures
    return output


@pytest.mark.parametrize("method", [*DEFAULT.methods, *(DEFAULT.llm.methods if DEFAULT.llm else ())])
def test_every_method_says_what_is_stored_and_reaches_its_levels(run: Path, method: str) -> None:
    rebuilt = rebuild(open_cell(run, "german", 0, method))
    assert rebuilt.changes == [] and rebuilt.verify() <= 1e-6
    check_levels(run, rebuilt)
