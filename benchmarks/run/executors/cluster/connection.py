"""A connection to a Ray cluster, or a cluster of this machine's own for one run."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from benchmarks.run.executors.cluster.error import ClusterError

LOCAL = "local"
STORE_BYTES = 100 << 20
"""Object store of an own cluster (100 MiB): results lie in files, and only their names travel."""

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
def connected(address: str, workers: int) -> Iterator[Any]:
    """Ray, connected to a cluster; a connection that exists already is used, and left open.

    Parameters
    ----------
    address : str
        ``auto``, ``HOST:PORT``, or ``local``: a cluster of this machine alone that ends with the run.
    workers : int
        Cores of a cluster of its own.

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
    try:
        ray.init(
            address=address, log_to_driver=False, logging_level=logging.ERROR, configure_logging=False,
            **(own if address == LOCAL else {}),
        )  # fmt: skip
    except Exception as error:  # Ray raises bare ones, such as for a node that does not start in time
        raise ClusterError(_why(address, str(error).splitlines()[0])) from error
    try:
        yield ray
    finally:
        ray.shutdown()


def _why(address: str, reason: str) -> str:
    if "AF_UNIX" in reason:
        return (
            f"Ray's sockets lie in the temporary folder, whose name is too long for them ({reason}). Set RAY_TMPDIR to "
            "a folder with a short name, such as RAY_TMPDIR=/tmp."
        )
    return (
        f"There is no Ray cluster to be reached at {address!r} ({reason}). Start one with 'ray start --head', give "
        "--address HOST:PORT of its head, or --address local for one on this machine."
    )
