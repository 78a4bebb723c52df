"""A discovery folder with every step."""

from __future__ import annotations

from pathlib import Path

import pytest

from reports.discovery.reading import Discovery, read_discovery
from tests.reports.discovery.sample import sample, write


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("discovery"), sample())


@pytest.fixture(scope="session")
def found(folder: Path) -> Discovery:
    return read_discovery(folder)
