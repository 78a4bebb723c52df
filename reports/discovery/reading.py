"""Result files of a discovery, read with tolerance: a run may have ended anywhere, and any key may be absent.

What is not there, or is of another type than expected, is nan, "" or nothing; whoever shows it leaves it out. Text is
made printable and put on one line here, once; markup is escaped where it is written.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from foundation.escaping import one_line, printable

STEPS = {
    "1_capability": "capability", "2_plan": "plan", "3_data": "data", "4_training": "training", "5_search": "search",
    "6_examination": "examination", "7_preserve": "preserve", "8_gates": "gates",
}  # fmt: skip
"""Folders of the steps, in their order, and what they are called."""
TOP = "discovery.json"
LONGEST = 4000
"""Letters of a text that are read; a longer one is cut there."""
LARGEST = 1e100
"""Size of numbers that are read."""

Node = Mapping[str, Any]


@dataclass(frozen=True)
class Discovery:
    """What a discovery folder holds.

    Attributes
    ----------
    top : mapping
        ``discovery.json``; empty where there is none.
    steps : mapping
        Name of a step → its ``result.json``; only those that are there.
    unreadable : mapping
        File, relative to the folder → why it could not be read.
    """

    top: Node
    steps: Mapping[str, Node]
    unreadable: Mapping[str, str] = field(default_factory=dict)

    def step(self, name: str) -> Node:
        """Result of a step; empty where there is none."""
        return self.steps.get(name, {})

    @property
    def domains(self) -> list[str]:
        """Every domain that a step speaks of, in the order of the capability report."""
        names = [text(row, "name") for row in rows(self.step("capability"), "domains")]
        names += [text(row, "domain") for row in rows(self.step("examination"), "domains")]
        return [name for name in dict.fromkeys(names) if name]

    @property
    def experts(self) -> list[str]:
        """Every planned or trained expert, in the order of the plan."""
        names = [text(row, "name") for step in ("plan", "data", "training") for row in rows(self.step(step), "experts")]
        return [name for name in dict.fromkeys([*names, *texts(self.step("search"), "experts")]) if name]


@dataclass(frozen=True)
class Measured:
    """A number with its 95 % interval; unknown parts are nan."""

    estimate: float = math.nan
    low: float = math.nan
    high: float = math.nan
    p: float = math.nan
    p_holm: float = math.nan

    @property
    def known(self) -> bool:
        """Whether there is an estimate."""
        return not math.isnan(self.estimate)

    @property
    def sure(self) -> int:
        """1 where the whole interval is above 0, −1 where it is below, else 0."""
        return 1 if self.low > 0 else -1 if self.high < 0 else 0


def read_discovery(folder: Path) -> Discovery:
    """Everything that is there; a file that is no JSON object is named in ``unreadable``."""
    unreadable: dict[str, str] = {}
    top = _read(folder, TOP, unreadable)
    found = {name: _read(folder, f"{place}/result.json", unreadable) for place, name in STEPS.items()}
    return Discovery(top or {}, {name: result for name, result in found.items() if result is not None}, unreadable)


def _read(folder: Path, name: str, unreadable: dict[str, str]) -> Node | None:
    try:
        data = json.loads((folder / name).read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, ValueError, RecursionError) as error:
        unreadable[name] = clean(str(error))
        return None
    if isinstance(data, dict):
        return data
    unreadable[name] = f"it holds {type(data).__name__}, not an object"
    return None


def at(node: object, *path: str) -> Any:
    """What lies at a path of keys; None where it leads nowhere."""
    for key in path:
        node = node.get(key) if isinstance(node, Mapping) else None
    return node


def number(node: object, *path: str) -> float:
    """A finite number, or nan; a truth value is no number."""
    return finite(at(node, *path))


def finite(found: object) -> float:
    """The same of a value; one beyond :data:`LARGEST` was never measured, and its differences would overflow."""
    if isinstance(found, bool) or not isinstance(found, (int, float)):
        return math.nan
    try:
        value = float(found)
    except OverflowError:
        return math.nan
    return value if abs(value) <= LARGEST else math.nan


def text(node: object, *path: str) -> str:
    """A text on one line; numbers and truth values as text; "" for anything else."""
    found = at(node, *path)
    return clean(str(found)) if isinstance(found, (str, int, float)) else ""


def clean(words: str) -> str:
    """Text on one line whose control characters are shown, and no longer than ``LONGEST``."""
    return printable(one_line(words[:LONGEST]))


def truth(node: object, *path: str) -> bool | None:
    """A truth value; None where there is none."""
    found = at(node, *path)
    return found if isinstance(found, bool) else None


def rows(node: object, *path: str) -> list[Node]:
    """The objects of a list."""
    found = at(node, *path)
    return [row for row in found if isinstance(row, Mapping)] if _is_list(found) else []


def texts(node: object, *path: str) -> list[str]:
    """The texts of a list."""
    found = at(node, *path)
    return [clean(one) for one in found if isinstance(one, str)] if _is_list(found) else []


def numbers(node: object, *path: str) -> list[float]:
    """A list as numbers, nan for what is none."""
    found = at(node, *path)
    return [finite(one) for one in found] if _is_list(found) else []


def items(node: object, *path: str) -> Iterator[tuple[str, Any]]:
    """Names and values of an object, in its order."""
    found = at(node, *path)
    if isinstance(found, Mapping):
        yield from ((clean(str(name)), value) for name, value in found.items())


def measured(node: object, *path: str) -> Measured:
    """``{estimate, low, high, p, p_holm}``, or a bare number."""
    found = at(node, *path)
    if not isinstance(found, Mapping):
        return Measured(finite(found))
    return Measured(*(number(found, key) for key in ("estimate", "low", "high", "p", "p_holm")))


def paired_difference(row: Node) -> Measured:
    """A row of paired differences, whose estimate is called ``difference``."""
    return Measured(*(number(row, key) for key in ("difference", "low", "high", "p", "p_holm")))


def _is_list(found: object) -> bool:
    return isinstance(found, Sequence) and not isinstance(found, (str, bytes))
