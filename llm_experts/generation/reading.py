"""A spec from a file of TOML or JSON: every fault by its field, with what to write instead."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any, NoReturn, get_args

from foundation.refusals import did_you_mean
from foundation.tables import TableError, read_table
from llm_experts.data.error import DataError
from llm_experts.families.registry import family_named
from llm_experts.generation.limits import MOST_ITEMS, MOST_TOPICS
from llm_experts.generation.spec import DataSpec, Format, Topic

SUFFIXES = (".toml", ".json")
LONGEST_TEXT, MOST_REQUIREMENTS = 2_000, 50
"""Characters of a text and number of requirements at most: a provider that writes reads them with every request."""
EXAMPLE = '[[topics]]\nfamily = "arithmetic"'


def read_spec(path: Path) -> DataSpec:
    """The spec of a file.

    Raises
    ------
    DataError
        File, field and remedy of what is wrong first.
    """
    given = _parsed(path)
    _names(path, "", given, DataSpec)
    topics = given.get("topics")
    if not isinstance(topics, list) or not topics or not all(isinstance(topic, dict) for topic in topics):
        _refuse(path, "topics", "is no list of tables", f"Write at least one, such as: {' '.join(EXAMPLE.split())}")
    if len(topics) > MOST_TOPICS:
        _refuse(path, "topics", f"has {len(topics)} tables", f"Write at most {MOST_TOPICS}; make several sets of more")
    for place, topic in enumerate(topics):
        _topic(path, f"topics[{place}]", topic)
    _fields(path, "", given, {"expert": _name, "count": _count} | OPTIONAL)
    made = [{"name": str(topic["family"]).replace(":", "-").replace("@", "-"), **topic} for topic in topics]
    names = [topic["name"] for topic in made]
    if len(set(names)) < len(names):
        _refuse(path, "topics", "names a topic twice", 'Give each a name of its own: name = "easy sums"')
    return DataSpec.from_dict({**given, "topics": made})


def _parsed(path: Path) -> dict[str, Any]:
    try:
        return read_table(path, SUFFIXES)
    except TableError as error:
        raise DataError(f"{error} Specs are shown in docs/generating_items.md.") from error


def _topic(path: Path, where: str, topic: Mapping[str, Any]) -> None:
    _names(path, where, topic, Topic)
    _fields(path, f"{where}.", topic, {"family": _name, "name": _name, "about": _text, "difficulty": _share})
    try:
        family_named(topic["family"])
    except DataError as error:
        raise DataError(f"{path}, field {where}.family: {error}") from error


def _names(path: Path, where: str, given: Mapping[str, Any], record: type) -> None:
    known = [field.name for field in fields(record)]
    for name in given:
        if name not in known:
            hint = did_you_mean(str(name), known)
            _refuse(path, f"{where}.{name}" if where else str(name), "is unknown", f"{hint}Fields: {', '.join(known)}")


def _fields(path: Path, where: str, given: Mapping[str, Any], checks: Mapping[str, Callable[[Any], str]]) -> None:
    for name, check in checks.items():
        if name not in given:
            if name in ("expert", "count", "family"):
                _refuse(path, f"{where}{name}", "is missing", f"Write {_SAID[name]}")
        elif told := check(given[name]):
            _refuse(path, f"{where}{name}", f"is {told}", f"Write {_SAID.get(name, f'{name} = 0.5')}")


_SAID = {
    "expert": 'expert = "sums"', "count": "count = 300", "family": 'family = "arithmetic"', "name": 'name = "easy"',
    "success": "success = [0.6, 0.9]", "zone": "zone = [0.7, 0.8]", "format": 'format = "completion" or "chat"',
    "requirements": 'requirements = ["numbers below 100"]', "about": 'about = "sums of money"',
    "difficulty": "difficulty = 0.3, from 0 (easiest) to 1 (hardest)", "acceptance": "acceptance = 0.75",
}  # fmt: skip


def _name(value: Any) -> str:
    return _text(value) if isinstance(value, str) and value.strip() else "no text that says something"


def _text(value: Any) -> str:
    if not isinstance(value, str):
        return "no text"
    return "" if len(value) <= LONGEST_TEXT else f"a text of {len(value):,} characters, more than {LONGEST_TEXT:,}"


def _count(value: Any) -> str:
    if not isinstance(value, int) or isinstance(value, bool) or value <= 0:
        return "no whole number above 0"
    return "" if value <= MOST_ITEMS else f"more than {MOST_ITEMS:,}, as a set is held in memory"


def _share(value: Any) -> str:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return "" if number and 0 <= value <= 1 else "no number from 0 to 1"


def _range(value: Any) -> str:
    two = isinstance(value, list) and len(value) == 2 and not any(map(_share, value)) and value[0] <= value[1]
    return "" if two else "no pair of numbers from 0 to 1, the lower one first"


def _texts(value: Any) -> str:
    if not isinstance(value, list) or any(map(_name, value)):
        return f"no list of texts of at most {LONGEST_TEXT:,} characters"
    return "" if len(value) <= MOST_REQUIREMENTS else f"a list of more than {MOST_REQUIREMENTS}"


def _format(value: Any) -> str:
    return "" if value in get_args(Format) else "neither completion nor chat"


OPTIONAL: dict[str, Callable[[Any], str]] = {
    "success": _range, "zone": _range, "acceptance": _share, "format": _format, "requirements": _texts,
}  # fmt: skip
"""How fields are checked that a spec may leave out: what is wrong with a value, "" where nothing is."""


def _refuse(path: Path, field: str, what: str, remedy: str) -> NoReturn:
    raise DataError(f"{path}, field {field}: it {what}. {remedy}.")
