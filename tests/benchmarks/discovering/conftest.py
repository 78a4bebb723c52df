"""A whole discovery that tests of this room look at."""

import pytest

from benchmarks.discovering.run import Discovered
from tests.benchmarks.discovering.tiny import whole


@pytest.fixture(scope="session")
def first(tmp_path_factory: pytest.TempPathFactory) -> Discovered:
    """A whole discovery."""
    return whole(tmp_path_factory.mktemp("first") / "run")
