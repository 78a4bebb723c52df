"""All methods by name, in the order of the leaderboard; importing it takes milliseconds and no model library.

Gates, families of experts, kinds of adapters and baselines are found by their files (:mod:`foundation.discovery`), also
in plug-in folders: a new one is a method without a line here.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Any

from benchmarks.methods import text_experts, text_mixtures
from benchmarks.methods.baseline_methods import baseline_methods, method_of
from benchmarks.methods.experts import combined_of, experts_of, twins_of
from benchmarks.methods.families import families
from benchmarks.methods.gates import gated
from benchmarks.methods.method import CROSS, FAMILIES, GRAPH, LIBRARY, TABULAR, TEXT, Method, Network, network_name
from benchmarks.methods.mixture import MIXTURES
from benchmarks.methods.own_method import is_own, load_own, own_id
from experts.families.registry import PLAIN
from experts.roles import ROLES
from foundation.discovery import plugin_folders


def tabular_methods() -> tuple[str, ...]:
    """The tabular experts, their mixtures and what these must beat."""
    return tuple(_halves(plugin_folders())[TABULAR])


def graph_methods() -> tuple[str, ...]:
    """Graph experts and their mixtures with the tabular experts; only on tasks with edges."""
    return tuple(_halves(plugin_folders())[GRAPH])


def text_methods() -> tuple[str, ...]:
    """Methods that read rows as text, and mixtures of them with tabular experts."""
    return tuple(_halves(plugin_folders())[TEXT])


def all_methods() -> Mapping[str, Method]:
    """Records of all methods but those of the user's own."""
    return _all(plugin_folders())


def method_named(name: str) -> Method:
    """Record of a method that comes with fairmoe, of a plug-in, or of one's own (``path/to/file.py:factory``).

    Raises
    ------
    KeyError
        If there is none of this name.
    """
    return method_of(own_id(name), load_own(name)) if is_own(name) else all_methods()[name]


def method_id(method: str) -> str:
    """Name of a method in tables: an own one goes by the name of its function, wherever its file lies."""
    return own_id(method) if is_own(method) else method


def pool_networks(pool: str, graph_kinds: Iterable[str], families: Iterable[str] = (PLAIN,)) -> tuple[Network, ...]:
    """Tuned models among the members of a pool.

    Parameters
    ----------
    pool : str
    graph_kinds : iterable of str
        Graph experts that the suite's graph mixtures hold.
    families : iterable of str
        Families of the suite, or one role of a family ("ple_mlp:utility"): members of "families" and "library".
    """
    kinds = tuple(families) if pool in (FAMILIES, LIBRARY) else (PLAIN, *graph_kinds) if pool == GRAPH else (PLAIN,)
    return tuple(network for kind in kinds for network in _networks(kind))


def _networks(kind: str) -> tuple[Network, ...]:
    """All roles of a family, or the one that is named behind a colon."""
    family, _, only = kind.partition(":")
    return tuple((role, family) for role in ROLES if only in ("", role))


def members_of(
    method: Method, graph_kinds: Iterable[str], families: Iterable[str] = (PLAIN,), crossed: bool = False
) -> tuple[Method, ...]:
    """The experts that a mixture weighs, as methods; ``crossed``: those of both families hold graph experts, too."""
    if not method.pool:
        return ()
    found = all_methods()
    pool = GRAPH if method.pool == CROSS and crossed else method.pool
    networks = pool_networks(pool, graph_kinds, families) if pool != TEXT else ()
    text = text_experts.EXPERTS if method.pool in (TEXT, CROSS) else ()
    return (*(found[network_name(*n)] for n in networks), *text, *(found[name] for name in method.members))


def recipe_of(method: Method) -> Any:
    """The recipe that makes a method; its module is imported only now."""
    module, name = method.recipe.split(":")
    return getattr(importlib.import_module(module), name)


@cache
def _all(plugins: tuple[Path, ...]) -> Mapping[str, Method]:
    halves = _halves(plugins)
    return MappingProxyType(halves[TABULAR] | halves[GRAPH] | _by_name(baseline_methods()) | halves[TEXT])


@cache
def _halves(_plugins: tuple[Path, ...]) -> dict[str, dict[str, Method]]:
    known = list(families().values())
    plain, graph = [f for f in known if not f.needs_edges], [f for f in known if f.needs_edges]
    first = next(f for f in plain if f.name == PLAIN)
    others = [f for f in plain if f is not first]
    return {
        TABULAR: _by_name(
            (
                *MIXTURES,
                *gated(TABULAR),
                *experts_of(first),
                *twins_of(first),
                combined_of(first),
                *(method for family in others for method in (*experts_of(family), *twins_of(family))),
            )
        ),
        GRAPH: _by_name(
            (
                *gated(GRAPH),
                *(method for family in graph for method in experts_of(family)),
                *(method for family in graph for method in twins_of(family)),
            )
        ),
        TEXT: _by_name(
            (
                text_mixtures.FINE_TUNED,
                *gated(TEXT),
                text_mixtures.BANK,
                text_mixtures.SEARCHED,
                text_mixtures.DISPATCHED,
                *text_experts.EXPERTS,
                *text_experts.TWINS,
                *text_experts.adapter_kinds(),
                text_experts.BASE,
                *gated(CROSS),
            )
        ),
    }


def _by_name(methods: Iterable[Method]) -> dict[str, Method]:
    return {method.id: method for method in methods}
