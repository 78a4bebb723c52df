"""Fixtures of this folder."""

from __future__ import annotations

import os

import pytest


@pytest.fixture
def mirror(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Real data, unpacked into a cache of the test session; skip where there are none."""
    if not os.environ.get("FAIRMOE_DATA_MIRROR"):
        pytest.skip("FAIRMOE_DATA_MIRROR names no folder with the published files")
    monkeypatch.setenv("FAIRMOE_CACHE", str(tmp_path_factory.getbasetemp() / "fairmoe-cache"))
