import itertools

import pytest

from tests.postgres import running_server

NUMBERS = itertools.count()


@pytest.fixture(scope="package")
def postgres():
    yield from running_server()


@pytest.fixture
def database(postgres):
    """Address of an empty database."""
    return postgres.database(f"studies{next(NUMBERS)}")
