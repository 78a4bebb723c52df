"""Which units a job has: a pure function of what is to be computed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set

from benchmarks.methods.method import (
    CROSS,
    FAMILIES,
    GRAPH,
    LIBRARY,
    MODEST,
    TABULAR,
    Method,
    Needs,
    Network,
    network_name,
)
from benchmarks.methods.registry import all_methods, method_named, pool_networks
from benchmarks.plan.job import FLOOR, SUMMARISED, Job
from benchmarks.run.units.unit import Unit

Cells = Sequence[tuple[str, int]]
Known = Mapping[str, Method]
"""Records of methods by name."""

GATES = "gates_0"
"""Mixtures of tuned networks, tabular and of graphs: they share out-of-fold outputs."""
SEEDS = "further_seeds"
"""Of all methods that stand on networks: a network's further seeds are lanes of one program, trained once."""


def units_of(job: Job, pending: Cells, text: Needs = MODEST) -> list[Unit]:
    """Units of a job, each behind those that it stands on.

    Methods that share what is dear and lies in memory alone (gates, lanes of further seeds) are one unit; what lies in
    the job's folder (studies, bags) is made by a unit of its own.

    Parameters
    ----------
    job : Job
    pending : sequence of (method, repetition)
        Cells that are to be computed.
    text : Needs
        What the text half asks for, beside what its methods say.
    """
    if not pending:
        return []
    known = _records(job, pending)
    networks = job.studies_of(method for method, _ in pending)
    units = [_tune(network) for network in networks]
    if set(SUMMARISED) <= set(networks):
        units.append(Unit("summary", "summary", tuple(map(_tuned, SUMMARISED))))
    bags = _bags(job, pending, known)
    units += [Unit("bag", _bag(*bag), (_tuned(bag[0]),), network=bag[0], repeat=bag[1]) for bag in bags]
    groups: dict[str, list[tuple[str, int]]] = {}
    alone = {name for name, _ in job.baseline_code}
    for method, repeat in pending:
        groups.setdefault(_group(alone, method, repeat, known), []).append((method, repeat))
    return units + [_cells(job, name, cells, set(groups), text, known) for name, cells in groups.items()]


def _records(job: Job, pending: Cells) -> Known:
    """Records of all methods by name, with the user's own among the pending ones: these, too, say what they need."""
    asked = {method for method, _ in pending}
    return {**all_methods(), **{name: method_named(path) for name, path in job.own if name in asked}}


def _tune(network: Network) -> Unit:
    role, family = network
    after = () if network == FLOOR else (_tuned(FLOOR),) if role == "utility" else (_tuned(("utility", family)),)
    return Unit("tune", _tuned(network), after, network=network)


def _tuned(network: Network) -> str:
    return f"tune_{network_name(*network)}"


def _bag(network: Network, repeat: int) -> str:
    return f"bag_{network_name(*network)}_{repeat}"


def _bags(job: Job, pending: Cells, known: Known) -> list[tuple[Network, int]]:
    """Bags that more than one unit may ask for, or that are dear: those of tuned networks and of pools of families."""
    found = dict[tuple[Network, int], None]()
    for name, repeat in pending:
        method = known[name]
        if method.tuned and not repeat:
            found[method.networks[0], 0] = None
        if method.pool in (FAMILIES, LIBRARY):
            found |= {(network, repeat): None for network in pool_networks(method.pool, (), job.families)}
    return list(found)


def _group(alone: Set[str], name: str, repeat: int, known: Known) -> str:
    """Name of the unit of a cell."""
    if name in alone:  # a baseline, or one's own
        return f"{name}_{repeat}"
    method = known[name]
    if method.text:
        return f"text_{repeat}"
    if repeat:
        return SEEDS
    return GATES if method.pool in (TABULAR, GRAPH) else f"{_shared(method)}_0"


def _shared(method: Method) -> str:
    """What a method shares with others."""
    return f"pool_{method.pool}" if method.pool else f"expert_{network_name(*method.networks[0])}"


def _cells(job: Job, name: str, cells: Cells, groups: Set[str], text: Needs, known: Known) -> Unit:
    methods = [method for method, _ in cells]
    after = [_tuned(network) for network in job.studies_of(methods)]
    after += [_bag(*bag) for bag in _bags(job, cells, known)]
    records = [known[method] for method in methods]
    first = [f"{method}_0" for method, repeat in cells if repeat]  # its chosen parameters are the first seed's
    after += [unit for unit in first if unit in groups and unit != name]
    if name != GATES and GATES in groups and any(record.pool in (TABULAR, GRAPH, CROSS) for record in records):
        after.append(GATES)  # whose out-of-fold outputs others read
    resources = MODEST
    for record in records:
        resources = resources.both(record.resources)
        if record.text:
            resources = resources.both(text)
    return Unit("cells", name, tuple(dict.fromkeys(after)), cells=tuple(cells), resources=resources)
