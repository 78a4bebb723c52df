"""One server for the tests that only ask it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from serving.engine import ExpertEngine
from serving.http.settings import ApiKeys, ServerSettings
from tests.serving.http.serving_fixtures import KEY, Running, make_engine, running


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ExpertEngine]:
    made, _ = make_engine(tmp_path_factory.mktemp("experts"), max_tokens=200)
    with made:
        yield made


@pytest.fixture(scope="module")
def server(engine: ExpertEngine) -> Iterator[Running]:
    """With a key, and small limits."""
    settings = ServerSettings(
        keys=ApiKeys([KEY]), max_body_bytes=50_000, max_rows=100, max_new_tokens=150, max_choices=3, max_prompts=4,
        body_seconds=0.5,
    )  # fmt: skip
    with running(engine, settings) as started:
        yield started
