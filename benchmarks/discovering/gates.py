"""Gates: bounds on what a discovery measured, of a TOML file, judged passed, failed or not measured."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, cast

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError, field_validator, model_validator

from benchmarks.discovering.error import DiscoverError
from benchmarks.discovering.values import values_at
from foundation.refusals import faults_of
from foundation.tables import TableError, read_table

DEFAULT = Path(__file__).with_name("gates.toml")
Relation = Literal[">=", "<=", "==", ">", "<", "within"]
Judge = Literal["estimate", "interval"]
Aggregate = Literal["one", "min", "max", "mean", "sum", "last", "every"]
ESTIMATES = ("estimate", "difference")
"""Keys under which a value with an interval has its estimate."""


class Gate(BaseModel):
    """One gate.

    Attributes
    ----------
    id, label : str
    stage : str
        Under which heading it stands.
    value : str
        Path of :func:`benchmarks.discovering.values.values_at`.
    minus : str
        Path of as many values, or of one, which are taken away from them; "" none.
    aggregate : str
        What becomes of several values; ``every``: the worst for the relation; ``one``: there is one.
    relation, bound
        ``within`` has two bounds.
    judge : {"estimate", "interval"}
        ``interval``: the whole interval of the value must keep the bound.
    timed : bool
        The value follows from a clock, so that no comparison of two runs looks at it.
    note : str
        What must be known to read it, such as how a criterion was corrected.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: str = Field(min_length=1, max_length=80)
    label: str = Field(min_length=1, max_length=200)
    stage: str = Field(min_length=1, max_length=80)
    value: str = Field(min_length=1)
    minus: str = ""
    aggregate: Aggregate = "every"
    relation: Relation
    bound: bool | int | float | str | tuple[float, float]
    judge: Judge = "estimate"
    timed: bool = False
    note: str = ""

    @field_validator("bound", mode="before")
    @classmethod
    def _pair(cls, bound: Any) -> Any:
        return tuple(bound) if isinstance(bound, list) else bound

    @model_validator(mode="after")
    def _fits(self) -> Gate:
        pair = isinstance(self.bound, tuple)
        if pair != (self.relation == "within"):
            raise ValueError("the relation within has two bounds, [low, high], and every other one has one")
        if isinstance(self.bound, str) and self.relation != "==":
            raise ValueError("a bound in words goes with the relation ==")
        numbers = self.bound if isinstance(self.bound, tuple) else (self.bound,)
        if any(isinstance(number, float) and not math.isfinite(number) for number in numbers):
            raise ValueError("a bound is a finite number")
        return self


@dataclass(frozen=True)
class Judged:
    """What became of a gate; ``passed`` is None where it was not measured, and ``reason`` says why."""

    id: str
    label: str
    stage: str
    value: Any
    relation: str
    bound: Any
    passed: bool | None
    reason: str
    note: str = ""
    timed: bool = False


def read_gates(path: Path | None) -> tuple[Gate, ...]:
    """The gates of a file, ``[[gate]]`` after ``[[gate]]``; None: those of fairmoe.

    Raises
    ------
    DiscoverError
        Naming the file, the gate and the field, or the line of a fault in the TOML.
    """
    where = path or DEFAULT
    try:
        found = read_table(where)
    except TableError as error:
        raise DiscoverError(str(error)) from error
    if unknown := sorted(set(found) - {"gate"}):
        raise DiscoverError(f"{where} holds {unknown[0][:60]!a}; a file of gates holds [[gate]] tables alone.")
    tables = found.get("gate")
    if not isinstance(tables, list) or not tables:
        raise DiscoverError(f"{where} holds no [[gate]]; write one at least, with id, label, stage, value, ...")
    gates = tuple(_gate(table, number, where) for number, table in enumerate(tables, 1))
    ids = [gate.id for gate in gates]
    if twice := sorted({name for name in ids if ids.count(name) > 1}):
        raise DiscoverError(f"{where} has {ids.count(twice[0])} gates with the id {twice[0]!a}; ids are names.")
    return gates


def _gate(table: Any, number: int, where: Path) -> Gate:
    try:
        return TypeAdapter(Gate).validate_python(table)
    except ValidationError as error:
        called = f" ({table['id']})" if isinstance(table, dict) and table.get("id") else ""
        faults = faults_of(error, Gate.model_fields)
        raise DiscoverError(f"{where}: gate {number}{called}: {faults}.") from error


def judge_gates(gates: Sequence[Gate], results: Mapping[str, Any]) -> list[Judged]:
    """Every gate on the results of the steps, by their names."""
    return [_judged(gate, results) for gate in gates]


def gates_result(judged: Sequence[Judged]) -> dict[str, Any]:
    """The result of the step of gates."""
    return {
        "gates": [asdict(one) for one in judged],
        "passed": sum(one.passed is True for one in judged),
        "failed": sum(one.passed is False for one in judged),
        "unmeasured": sum(one.passed is None for one in judged),
    }


def _judged(gate: Gate, results: Mapping[str, Any]) -> Judged:
    bound = list(gate.bound) if isinstance(gate.bound, tuple) else gate.bound

    def said(value: Any, passed: bool | None, reason: str) -> Judged:
        return Judged(
            gate.id, gate.label, gate.stage, value, gate.relation, bound, passed, reason, gate.note, gate.timed
        )

    found = values_at(results, gate.value)
    absent = _absent(gate, results, found)
    if absent:
        return said(None, None, absent)
    numbers = [_number(one, gate) for one in found]
    if gate.minus:
        others = [_number(one, gate) for one in values_at(results, gate.minus)]
        others = others * len(numbers) if len(others) == 1 else others
        if len(others) != len(numbers) or any(one is None for one in others):
            return said(None, None, f"{gate.minus} has no value beside each of {gate.value}")
        numbers = [None if one is None else one - other for one, other in zip(numbers, others, strict=True)]
    if any(one is None for one in numbers):
        side = "bound of an interval" if gate.judge == "interval" else "value"
        return said(None, None, f"{sum(one is None for one in numbers)} of {len(numbers)} have no {side}")
    if gate.relation != "==" and not all(isinstance(one, (int, float)) for one in numbers):
        return said(None, None, f"{gate.value} is no number")
    value = _aggregated(numbers, gate)
    passed = _keeps(value, gate)
    shown = f"{value:.4g}" if isinstance(value, float) else str(value)
    return said(value, passed, "" if passed else f"{shown} is not {gate.relation} {bound}")


def _absent(gate: Gate, results: Mapping[str, Any], found: Sequence[Any]) -> str:
    """Why there is nothing to judge; "" where there is."""
    step = gate.value.partition(".")[0]
    if step not in results:
        return f"the step {step} was not done"
    if isinstance(results[step], Mapping) and (why := results[step].get("skipped")):
        return str(why)
    if not found:
        return f"{gate.value} names nothing here"
    none = sum(one is None for one in found)
    return f"{none} of {len(found)} were not measured" if none and gate.aggregate != "last" else ""


def _number(found: Any, gate: Gate) -> Any:
    """A value, or the side of its interval that the gate judges by."""
    if not isinstance(found, Mapping):
        return found
    if gate.judge == "interval" and gate.relation in (">=", ">"):
        return found.get("low")
    if gate.judge == "interval" and gate.relation in ("<=", "<"):
        return found.get("high")
    return next((found[key] for key in ESTIMATES if key in found), None)


def _aggregated(numbers: Sequence[Any], gate: Gate) -> Any:
    ways: dict[str, Callable[[Sequence[Any]], Any]] = {
        "min": min, "max": max, "sum": sum, "mean": lambda found: sum(found) / len(found),
        "last": lambda found: found[-1], "one": lambda found: found[0],
    }  # fmt: skip
    if gate.aggregate != "every":
        return ways[gate.aggregate](numbers)
    if gate.relation in (">=", ">"):
        return min(numbers)
    if gate.relation in ("<=", "<"):
        return max(numbers)
    return next((one for one in numbers if not _keeps(one, gate)), numbers[0])


def _keeps(value: Any, gate: Gate) -> bool:
    if gate.relation == "within":
        low, high = cast("tuple[float, float]", gate.bound)
        return bool(low <= value <= high)
    bound: Any = gate.bound
    return bool(
        {
            ">=": lambda: value >= bound, "<=": lambda: value <= bound, "==": lambda: value == bound,
            ">": lambda: value > bound, "<": lambda: value < bound,
        }[gate.relation]()
    )  # fmt: skip
