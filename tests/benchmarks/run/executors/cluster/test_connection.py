"""A cluster of this machine's own that Ray starts too slowly: tried again, and nothing is left of the first try."""

from __future__ import annotations

import importlib.util
import time
from collections.abc import Callable
from typing import Any

import psutil
import pytest

from benchmarks.run.executors.cluster.connection import LOCAL, TOO_SLOW, TRIES, connected, until_started
from benchmarks.run.executors.cluster.error import ClusterError
from benchmarks.run.failure import explain

pytestmark = pytest.mark.skipif(importlib.util.find_spec("ray") is None, reason="Ray (group cluster) is not installed")


def failing(times: int, error: Exception) -> Callable[[], str]:
    """What fails so often, and then starts."""
    left = [error] * times

    def start() -> str:
        if left:
            raise left.pop()
        return "started"

    return start


def test_what_starts_too_slowly_is_started_again_and_other_faults_are_told_at_once() -> None:
    told: list[str] = []
    slow = Exception(f"The current node {TOO_SLOW}. This could happen")
    assert until_started(failing(TRIES - 1, slow), told.append) == "started"
    assert len(told) == TRIES - 1 and "within Ray's 30 s" in told[0]
    with pytest.raises(Exception, match=TOO_SLOW):
        until_started(failing(TRIES, slow), told.append)
    told.clear()
    with pytest.raises(ValueError, match="another fault"):
        until_started(failing(1, ValueError("another fault")), told.append)
    assert told == []


def test_a_cluster_that_never_starts_in_time_is_one_paragraph(monkeypatch: pytest.MonkeyPatch) -> None:
    import ray

    def never(**_: Any) -> None:
        raise Exception(f"The current node {TOO_SLOW}. This could happen")

    monkeypatch.setattr(ray, "init", never)
    with pytest.raises(ClusterError, match=f"did not start within 30 s, {TRIES} times") as caught, connected(LOCAL, 1):
        pass
    assert explain(caught.value) is not None


class Hurried:
    """Python's clock as Ray's start of nodes reads it; it can be set forward."""

    ahead = 0.0

    def __getattr__(self, name: str) -> Any:
        return getattr(time, name)

    def monotonic(self) -> float:
        return time.monotonic() + self.ahead


@pytest.mark.slow
def test_a_real_cluster_starts_at_the_second_try_and_the_first_ones_processes_are_gone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    import ray
    from ray._private import node, services

    clock, real, seen = Hurried(), services.get_node, list[str]()

    def get_node(address: str, node_id: str) -> Any:
        seen.append(node_id)
        if node_id == seen[0]:  # the first node is not seen to come, and 30 s pass soon
            clock.ahead += 20.0
            raise RuntimeError("it is not there yet")
        return real(address, node_id)

    monkeypatch.setattr(node, "time", clock)
    monkeypatch.setattr(services, "get_node", get_node)
    told: list[str] = []
    with connected(LOCAL, 1, told.append):
        assert told and len(set(seen)) > 1
        raylets = [each for each in psutil.Process().children(recursive=True) if each.name() == "raylet"]
        assert len([each for each in raylets if each.status() != psutil.STATUS_ZOMBIE]) == 1
        assert ray.get(ray.remote(lambda: 7).remote()) == 7
