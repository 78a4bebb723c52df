"""A Ray cluster of several nodes on this machine: what measures a second node, or kills nodes, runs on it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from benchmarks.run.executors.cluster.connection import STORE_BYTES, ray_module, until_started

NODES_SECONDS = 120
"""How long all nodes together may take until the cluster knows them."""


@contextmanager
def own_nodes(nodes: int, tell: Callable[[str], None] = print, **each: Any) -> Iterator[Any]:
    """Ray, connected to a head without cores and nodes of one core each, until the body ends.

    Parameters
    ----------
    nodes : int
    tell : callable
        Called with a line for people when a node starts slowly.
    **each
        What the nodes have besides, in the words of ``ray.cluster_utils.Cluster.add_node``.

    Yields
    ------
    ray.cluster_utils.Cluster
    """
    ray = ray_module()
    from ray.cluster_utils import Cluster

    head = {"num_cpus": 0, "object_store_memory": STORE_BYTES, "include_dashboard": False}
    made: Any = until_started(lambda: Cluster(initialize_head=True, head_node_args=head), tell)
    try:
        for _ in range(nodes):
            add_node(made, tell, **each)
        ray.init(address=made.address, log_to_driver=False, configure_logging=False)
        made.wait_for_nodes(timeout=NODES_SECONDS)
        yield made
    finally:
        ray.shutdown()
        made.shutdown()


def add_node(made: Any, tell: Callable[[str], None] = print, **has: Any) -> None:
    """Let a node of one core come; ``has``: what it has besides, or instead."""
    given = {"num_cpus": 1, "object_store_memory": STORE_BYTES, "wait": False} | has
    until_started(lambda: made.add_node(**given), tell)
