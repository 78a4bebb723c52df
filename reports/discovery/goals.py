"""What a search was to reach and to keep: objectives and constraints, as sentences or as objects."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

from reports.discovery.reading import Node, at, clean, number, text

LOWER = ("latency_ms",)
"""Measures that are better when smaller, where a file does not say which way."""
_LIMIT = re.compile(r"^(.*?)\s*(<=|>=|<|>)\s*([-+0-9.eE]+)$")


@dataclass(frozen=True)
class Goal:
    """An objective (without a bound) or a constraint (with one).

    Attributes
    ----------
    measure : str
    relation : str
        ``maximise`` or ``minimise``; of a constraint ``<=`` or ``>=``.
    bound : float
    """

    measure: str
    relation: str
    bound: float = math.nan

    def words(self, more: str, less: str) -> str:
        """The measure with the sign of its better end."""
        better = less if self.relation == "minimise" else more
        return f"{measure_words(self.measure)}  (better {better})"


def measure_words(measure: str) -> str:
    """``accuracy:sql`` as ``accuracy, sql``; underscores as spaces."""
    return measure.replace("_", " ").replace(":", ", ")


def objectives(step: Node) -> list[Goal]:
    """Of a search, in order."""
    return [goal for one in _listed(step, "objectives") if (goal := _objective(one)) is not None]


def constraints(step: Node) -> list[Goal]:
    """Those that can be read."""
    return [goal for one in _listed(step, "constraints") if (goal := _constraint(one)) is not None]


def _listed(step: Node, key: str) -> list[object]:
    found = at(step, key)
    return found if isinstance(found, list) else []


def _objective(one: object) -> Goal | None:
    if isinstance(one, str):
        first, _, rest = clean(one).partition(" ")
        known = first in ("maximise", "minimise") and rest
        measure, relation = (rest, first) if known else (clean(one), "")
    else:
        measure = text(one, "metric") or text(one, "measure") or text(one, "id")
        told = at(one, "maximise")
        relation = ("maximise" if told else "minimise") if isinstance(told, bool) else ""
    if not measure:
        return None
    return Goal(measure, relation or ("minimise" if measure in LOWER else "maximise"))


def _constraint(one: object) -> Goal | None:
    if isinstance(one, str):
        found = _LIMIT.match(clean(one))
        measure, relation, shown = found.groups() if found else ("", "", "")
        try:
            bound = float(shown)
        except ValueError:
            return None
    else:
        measure = text(one, "metric") or text(one, "measure") or text(one, "id")
        relation, bound = text(one, "relation"), number(one, "bound")
    known = measure and relation in ("<=", ">=", "<", ">") and math.isfinite(bound)
    return Goal(measure, relation, bound) if known else None
