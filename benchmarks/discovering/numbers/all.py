"""All numbers of a discovery folder under the names of the registry."""

from __future__ import annotations

from collections.abc import Iterator

from benchmarks.discovering.numbers.capability import capability
from benchmarks.discovering.numbers.data import data
from benchmarks.discovering.numbers.examination import examination
from benchmarks.discovering.numbers.plan import plan
from benchmarks.discovering.numbers.point import Parts, Point
from benchmarks.discovering.numbers.search import search
from benchmarks.discovering.numbers.training import training
from benchmarks.discovering.numbers.verdicts import cost, gates, preserve
from reports.discovery.reading import Discovery

STAGES = (capability, plan, data, training, search, examination, preserve, gates, cost)


def points_of(found: Discovery) -> list[Point]:
    """Every number, in the order of the steps, each name and step once; steps that are not there have none."""
    return list(_once(found))


def _once(found: Discovery) -> Iterator[Point]:
    parts, seen = Parts(found), set()
    for stage in STAGES:
        for one in stage(found, parts):
            if (one.name, one.step) not in seen:  # a file may name a domain or an expert twice
                seen.add((one.name, one.step))
                yield one
