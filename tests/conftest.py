"""Shared fixtures: where real data are, and a store of its own for every test run."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks.run.threads import limit_threads

limit_threads()  # before torch is imported: tiny programs are many times slower with more threads


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests marked ``data`` need the mirror; without it they are skipped, with the reason."""
    if os.environ.get("FAIRMOE_DATA_MIRROR"):
        return
    for item in items:
        if item.get_closest_marker("data"):
            item.add_marker(pytest.mark.skip(reason="FAIRMOE_DATA_MIRROR is not set"))


@pytest.fixture(autouse=True)
def _own_home(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """No test writes to the user's tracking store."""
    home = tmp_path_factory.mktemp("home")
    monkeypatch.setenv("FAIRMOE_HOME", str(home))
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    yield home
