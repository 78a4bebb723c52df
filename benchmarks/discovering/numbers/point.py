"""A number under a registered name, and what stands for the parts of names in one run."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property

from benchmarks.discovering.names import METRICS, slug
from reports.discovery.reading import Discovery, Measured, items, rows, text


@dataclass(frozen=True)
class Point:
    """One number.

    Attributes
    ----------
    id : str
        Of the registry.
    name : str
        Its full name.
    expert : str
        Slot of the expert that it is of; "" for all others.
    value : float
        Finite.
    step : int
    """

    id: str
    name: str
    expert: str
    value: float
    step: int = 0


def point(id: str, value: float, step: float = 0, /, **parts: str) -> Iterator[Point]:
    """The point, if there is a number; ``id`` has to be registered.

    Raises
    ------
    KeyError
        If it is not.
    """
    metric = METRICS[id]
    if math.isfinite(value) and math.isfinite(step) and all(parts.values()):
        yield Point(id, id.format(**parts), parts.get("expert", ""), float(value), int(step) if metric.series else 0)


def spanned(id: str, one: Measured, **parts: str) -> Iterator[Point]:
    """Estimate, ends and, where the registry has them, p before and after Holm's adjustment."""
    for key in ("estimate", "low", "high", "p", "p_holm"):
        if f"{id}/{key}" in METRICS:
            yield from point(f"{id}/{key}", getattr(one, key), **parts)


def flag(value: object) -> float:
    """1 or 0 of a truth value; nan of anything else."""
    return float(value) if isinstance(value, bool) else math.nan


def known(values: Iterable[float]) -> list[float]:
    """Those that are numbers."""
    return [value for value in values if not math.isnan(value)]


def mean(values: Iterable[float]) -> float:
    """Mean of the known; nan of none."""
    found = known(values)
    return math.fsum(found) / len(found) if found else math.nan


def total(values: Iterable[float]) -> float:
    """Sum of the known; nan of none."""
    found = known(values)
    return math.fsum(found) if found else math.nan


def lowest(values: Iterable[float]) -> float:
    """Smallest of the known; nan of none."""
    return min(known(values), default=math.nan)


def highest(values: Iterable[float]) -> float:
    """Largest of the known; nan of none."""
    return max(known(values), default=math.nan)


@dataclass(frozen=True)
class Parts:
    """What stands for the parts of names in one run; names that a slug would make alike get a number."""

    found: Discovery

    @cached_property
    def experts(self) -> dict[str, str]:
        """Name of an expert → its slot."""
        return {name: f"expert_{k:02d}" for k, name in enumerate(self.found.experts, 1)}

    @cached_property
    def domains(self) -> dict[str, str]:
        """Name of a domain → its slug."""
        data = rows(self.found.step("data"), "experts")
        return _apart([*self.found.domains, *(text(t, "name") for row in data for t in rows(row, "topics"))])

    @cached_property
    def checks(self) -> dict[str, str]:
        """Name of a check → its slug."""
        return _apart(name for row in rows(self.found.step("data"), "experts") for name, _ in items(row, "checks"))

    @cached_property
    def measures(self) -> dict[str, str]:
        """Name of a measure that is not of one domain → its slug."""
        every = [*rows(self.found.step("search"), "candidates"), *rows(self.found.step("examination"), "contenders")]
        return _apart(name for row in every for name, _ in items(row, "values") if ":" not in name)

    @cached_property
    def tasks(self) -> dict[str, str]:
        """Name of a task that had to stay → its slug."""
        return _apart(text(row, "name") for row in rows(self.found.step("preserve"), "tasks"))

    @cached_property
    def gates(self) -> dict[str, str]:
        """Id of a gate → its slug."""
        return _apart(text(row, "id") for row in rows(self.found.step("gates"), "gates"))


def _apart(names: Iterable[str]) -> dict[str, str]:
    """Slugs that differ: the second of two that would be alike ends in ``-2``."""
    made: dict[str, str] = {}
    for name in dict.fromkeys(n for n in names if n):
        own, k = slug(name), 1
        while own in made.values():
            k += 1
            own = f"{slug(name)[:50]}-{k}"
        made[name] = own
    return made
