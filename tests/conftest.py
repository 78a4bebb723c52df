"""Shared fixtures: where real data are, and a store of its own for every test run."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from benchmarks.run.threads import limit_threads

limit_threads()  # before torch is imported: tiny programs are many times slower with more threads
settings.register_profile("any-machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("any-machine")  # no test fails because the machine is busy

NEEDED = {"data": "FAIRMOE_DATA_MIRROR", "real_base": "FAIRMOE_REAL_BASE", "big_table": "FAIRMOE_BIG_TABLE"}
"""Marks of tests that need a folder, and the variable that names it."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests that need a folder are skipped without it, with the reason."""
    for mark, variable in NEEDED.items():
        if os.environ.get(variable):
            continue
        for item in items:
            if item.get_closest_marker(mark):
                item.add_marker(pytest.mark.skip(reason=f"{variable} is not set"))


@pytest.fixture(scope="session")
def real_base_folder() -> Path:
    """Folder of a published language model, for tests marked ``real_base``."""
    return Path(os.environ["FAIRMOE_REAL_BASE"])


@pytest.fixture(autouse=True)
def _own_home(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """No test writes to the user's tracking store."""
    home = tmp_path_factory.mktemp("home")
    monkeypatch.setenv("FAIRMOE_HOME", str(home))
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    yield home
