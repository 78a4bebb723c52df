"""A connection to a Ray cluster, or a cluster of this machine's own for one run."""

from __future__ import annotations

import logging
import os
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from benchmarks.run.executors.cluster.error import ClusterError

LOCAL = "local"
STORE_BYTES = 100 << 20
"""Object store of an own cluster (100 MiB): results lie in files, and only their names travel."""

TRIES = 5
"""How often a node of an own cluster is started that Ray gives up on."""
TOO_SLOW = "timed out during startup"
"""What Ray says of a node that did not start within its 30 seconds, as on a machine that is busy with other things."""
Started = TypeVar("Started")

QUIET = {
    "RAY_USAGE_STATS_ENABLED": "0", "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "1", "RAY_DEDUP_LOGS": "1",
    "RAY_worker_niceness": "0",
}  # fmt: skip
"""Environment of Ray: no reports to its makers; a worker that asked for no GPU sees none; workers of a cluster of its
own are as urgent as those of the local executor (Ray's are of niceness 15, and starve beside other programs)."""


def ray_module() -> Any:
    """Ray, imported now.

    Raises
    ------
    ClusterError
        If it is not installed.
    """
    for name, value in QUIET.items():
        os.environ.setdefault(name, value)
    try:
        import ray
    except ImportError as error:
        raise ClusterError(
            "The executor ray needs Ray, which is not installed here. Install it with 'pip install --group cluster' in "
            "the folder of fairmoe, or 'pip install ray', on every node; or leave out --executor."
        ) from error
    return ray


@contextmanager
def connected(address: str, workers: int, tell: Callable[[str], None] = lambda _: None) -> Iterator[Any]:
    """Ray, connected to a cluster; a connection that exists already is used, and left open.

    Parameters
    ----------
    address : str
        ``auto``, ``HOST:PORT``, or ``local``: a cluster of this machine alone that ends with the run.
    workers : int
        Cores of a cluster of its own.
    tell : callable, optional
        Called with a line for people when a cluster of its own starts slowly.

    Raises
    ------
    ClusterError
        If Ray is not installed, there is no cluster at the address, or the folder of its sockets has too long a name.
    """
    ray = ray_module()
    if ray.is_initialized():
        yield ray
        return
    own = {"num_cpus": workers, "object_store_memory": STORE_BYTES, "include_dashboard": False}

    def connect() -> None:
        ray.init(
            address=address, log_to_driver=False, logging_level=logging.ERROR, configure_logging=False,
            **(own if address == LOCAL else {}),
        )  # fmt: skip

    try:
        until_started(connect, tell)
    except Exception as error:  # Ray raises bare ones, such as for a node that does not start in time
        raise ClusterError(_why(address, str(error).splitlines()[0])) from error
    try:
        yield ray
    finally:
        ray.shutdown()


def until_started(start: Callable[[], Started], tell: Callable[[str], None]) -> Started:
    """What ``start`` returns, which starts a node of this machine and is called again when that took too long.

    Parameters
    ----------
    start : callable
        Raises what Ray raises.
    tell : callable
        Called with a line for people before each further try.
    """
    for number in range(1, TRIES):
        try:
            return start()
        except Exception as error:  # Ray raises a bare one
            if TOO_SLOW not in str(error):
                raise
            _end_half_started(error)
            tell(f"A node of Ray did not start within Ray's 30 s; trying again ({number} of {TRIES - 1}).")
    return start()


def _end_half_started(error: Exception) -> None:
    """End the processes of a node that Ray gave up on: they would come up later, beside those of the next try."""
    from ray._private.node import Node

    for frame, _ in traceback.walk_tb(error.__traceback__):  # nothing else holds the node
        node = frame.f_locals.get("self")
        if isinstance(node, Node):
            node.kill_all_processes(check_alive=False, allow_graceful=False)


def _why(address: str, reason: str) -> str:
    if TOO_SLOW in reason:
        return (
            f"Ray's node on this machine did not start within 30 s, {TRIES} times ({reason}). The machine may be too "
            "busy or its memory full: wait, or leave --executor out, and run the same command again."
        )
    if "AF_UNIX" in reason:
        return (
            f"Ray's sockets lie in the temporary folder, whose name is too long for them ({reason}). Set RAY_TMPDIR to "
            "a folder with a short name, such as RAY_TMPDIR=/tmp."
        )
    return (
        f"There is no Ray cluster to be reached at {address!r} ({reason}). Start one with 'ray start --head', give "
        "--address HOST:PORT of its head, or --address local for one on this machine."
    )
