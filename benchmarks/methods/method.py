"""What makes something a method: one record that suites, jobs, estimates, stages and pages read.

A record is data: reading all of them imports no model library.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from experts.families.registry import PLAIN
from experts.roles import Role
from foundation.numbers import GIB

Network = tuple[Role, str]
"""A tuned role and the family of its experts, such as ("utility", "mlp")."""

TABULAR, GRAPH, TEXT, CROSS = "tabular", "graph", "text", "cross"
"""Pools of experts that gates mix: tabular ones; these and the suite's graph experts; those that read text; both."""

FAMILIES, LIBRARY = "families", "library"
"""Pools of the suite's families: the chosen expert of every role; bagged configurations of every study."""


@dataclass(frozen=True, slots=True)
class Rate:
    """Seconds of a part of a job: ``fixed + slope · training rows / 10,000``, per trial where ``per_trial``."""

    fixed: float
    slope: float
    per_trial: bool = False

    def seconds(self, rows: float, trials: int) -> float:
        """Seconds at a number of training rows and trials."""
        return (self.fixed + self.slope * rows / 10_000) * (trials if self.per_trial else 1)


FREE = Rate(0.0, 0.0)


@dataclass(frozen=True, slots=True)
class Needs:
    """What a machine must have free while a method is computed; an executor of one machine does not look at it.

    Attributes
    ----------
    cores : float
    memory : int
        Bytes; 0: whatever there is.
    gpus : float
        Whole ones, or a share of one.
    custom : tuple of (name, amount)
        Resources that a cluster's nodes were started with.
    """

    cores: float = 1.0
    memory: int = 0
    gpus: float = 0.0
    custom: tuple[tuple[str, float], ...] = ()

    def both(self, other: Needs) -> Needs:
        """What satisfies both."""
        custom = dict(self.custom)
        for name, amount in other.custom:
            custom[name] = max(amount, custom.get(name, 0.0))
        return Needs(
            max(self.cores, other.cores), max(self.memory, other.memory), max(self.gpus, other.gpus),
            tuple(sorted(custom.items())),
        )  # fmt: skip


MODEST = Needs()
NEEDS_EXAMPLE = '{"cores": 2, "memory_gib": 4, "gpus": 0.5, "custom": {"licence": 1}}'


def needs_of(said: Any) -> Needs:
    """What a plug-in or a user's own file asks of a machine, in its words; what it leaves out is as for other methods.

    Parameters
    ----------
    said : mapping
        ``cores``, ``memory_gib`` (GiB), ``gpus`` (whole ones, or a share of one), ``custom`` (name → amount).

    Raises
    ------
    ValueError
        If something else is said, or an amount is none.
    """
    if not isinstance(said, Mapping):
        raise ValueError(f"they are {type(said).__name__}, not a mapping such as {NEEDS_EXAMPLE}")
    custom = said.get("custom", {})
    if unknown := [key for key in said if key not in ("cores", "memory_gib", "gpus", "custom")]:
        raise ValueError(f"{unknown[0]!r} is none of them; write them as {NEEDS_EXAMPLE}")
    if not isinstance(custom, Mapping) or not all(isinstance(name, str) for name in custom):
        raise ValueError(f"'custom' is no mapping of names to amounts; write them as {NEEDS_EXAMPLE}")
    plain = {"cores": 1.0, "memory_gib": 0.0, "gpus": 0.0} | {key: said[key] for key in said if key != "custom"}
    for name, amount in (*plain.items(), *custom.items()):
        if isinstance(amount, bool) or not isinstance(amount, int | float) or not 0 <= amount < math.inf:
            raise ValueError(f"{name!r} is {amount!r}, and not a number of at least 0")
    if plain["gpus"] > 1 and plain["gpus"] % 1:
        raise ValueError(f"a method takes a share of one GPU, such as 0.5, or whole ones, not {plain['gpus']:g}")
    return Needs(plain["cores"], round(plain["memory_gib"] * GIB), plain["gpus"], tuple(sorted(custom.items())))


@dataclass(frozen=True, slots=True, kw_only=True)
class Method:
    """A method: its words, what it needs, how it is made, what it costs.

    Attributes
    ----------
    id, label, about, kind, family, reads, colour, explainer, sensitive_at_prediction, scores_decisions, secondary, \
landmark, untrained, code, reference, compared, levels, ablation
        What pages say and draw: see :class:`reports.methods.MethodRow`, whose fields these are.
    recipe : str
        ``module:name`` of the :class:`benchmarks.run.stages.recipe.Recipe` that makes it; imported when it is made.
    text : bool
        Whether it belongs to the text half of a suite.
    edges : bool
        Whether it runs only where a task has edges.
    role : Role or None
        Role of the expert that it is, or whose twin it is.
    tuned : bool
        Whether it is a tuned network itself: its time is that of the network's own entry in the ledger.
    networks : tuple of (role, family)
        Tuned networks that it is or stands on, beside the members of its pool.
    pool : str
        "tabular", "graph", "text", "cross", "families" or "library": the experts that it mixes; "" for what is no
        mixture.
    gate : str
        Name of the gate that its weights come from.
    adapter : str
        Kind of its adapters; "" stands for that of the suite's three roles.
    members : tuple of str
        Further experts that it weighs, beside those of its pool.
    rate : Rate
        Time of its own entry in the ledger, where earlier jobs tell nothing.
    resources : Needs
        What a node of a cluster must have free for it.
    """

    id: str
    label: str
    about: str = ""
    kind: str = "baseline"
    family: str = ""
    reads: str = "tabular"
    colour: str = "ink"
    explainer: str = ""
    sensitive_at_prediction: bool = False
    scores_decisions: bool = False
    secondary: bool = False
    landmark: bool = False
    untrained: bool = False
    code: str = ""
    reference: str = ""
    compared: tuple[tuple[str, str], ...] = ()
    levels: tuple[tuple[str, str], ...] = ()
    ablation: tuple[tuple[int, str, str], ...] = ()
    recipe: str
    text: bool = False
    edges: bool = False
    role: Role | None = None
    tuned: bool = False
    networks: tuple[Network, ...] = ()
    pool: str = ""
    gate: str = ""
    adapter: str = ""
    members: tuple[str, ...] = ()
    rate: Rate = FREE
    resources: Needs = MODEST


def network_name(role: Role, family: str) -> str:
    """Name of a tuned network, which is also that of its method."""
    return role if family == PLAIN else f"{family}_{role}"
