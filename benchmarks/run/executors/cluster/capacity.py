"""Whether the nodes of a cluster can hold what units ask for; knows nothing of Ray but its names of resources."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from benchmarks.methods.method import Needs
from benchmarks.plan.spans import bytes_text
from foundation.words import listing, plural

Node = Mapping[str, float]
"""All that a node has: CPU, memory (bytes), GPU, and custom resources by their names."""
ROUNDING = 1e-6
"""By which amounts may differ."""
NAMED = 3
"""Units, and kinds of nodes, that a message names."""


def asked(needs: Needs) -> dict[str, float]:
    """What a unit asks for, by the names of a node's resources."""
    plain = {"CPU": needs.cores, "memory": float(needs.memory), "GPU": needs.gpus}
    return {name: amount for name, amount in {**plain, **dict(needs.custom)}.items() if amount}


def holds(node: Node, needs: Needs) -> bool:
    """Whether a node that does nothing else has all that is asked for."""
    return all(node.get(name, 0.0) + ROUNDING >= amount for name, amount in asked(needs).items())


def too_large(units: Iterable[tuple[str, Needs]], nodes: Sequence[Node]) -> dict[Needs, list[str]]:
    """What no node can hold → names of the units that ask for it.

    Parameters
    ----------
    units : iterable of (name, Needs)
    nodes : sequence of Node
    """
    by_needs: dict[Needs, list[str]] = {}
    for name, needs in units:
        by_needs.setdefault(needs, []).append(name)
    return {
        needs: names for needs, names in by_needs.items() if not any(holds(node, needs) for node in nodes)
    }  # fmt: skip


def lack(large: Mapping[Needs, Sequence[str]], nodes: Sequence[Node]) -> str:
    """Which units ask for what, and what nodes have, in a sentence."""
    needs, names = next(iter(large.items()))
    who = listing(names, most=NAMED)
    verb = "asks" if len(names) == 1 else "ask"
    kinds = Counter(_node_text(node) for node in nodes)
    there = listing([f"{plural(count, 'node')} with {kind}" for kind, count in kinds.most_common()], most=NAMED)
    return (
        f"{who} {verb} for {needs_text(needs)}, and no node of the cluster has that ({there or 'there are no nodes'})"
    )


def needs_text(needs: Needs) -> str:
    """``1 core, 0.5 GPU``; memory and custom resources where they are asked for."""
    return _node_text(asked(needs))


def _node_text(node: Node) -> str:
    words = [plural(node.get("CPU", 0.0), "core")]
    words += [f"{node['GPU']:g} GPU"] if node.get("GPU") else []
    words += [f"{bytes_text(int(node['memory']))} of memory"] if node.get("memory") else []
    custom = sorted(name for name in node if name not in ("CPU", "GPU", "memory", "object_store_memory"))
    return ", ".join([*words, *(f"{node[name]:g} {name}" for name in custom if not name.startswith("node:"))])
