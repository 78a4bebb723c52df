"""Options of a trainer: what there is, and what was given."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from benchmarks.making.error import ConfigError
from foundation.refusals import did_you_mean, faults_of

if TYPE_CHECKING:
    from llm_experts.training.loop.method import MethodRecord


def trainer(name: str) -> MethodRecord:
    """The trainer with this name.

    Raises
    ------
    ConfigError
        If there is none.
    """
    from llm_experts.training.loop.method import method_named

    known = trainer_names()
    if name not in known:
        hint = did_you_mean(name, known)
        raise ConfigError(
            f"There is no method {name[:80]!a}. {hint}Methods are {', '.join(known)}; 'fairmoe llm methods' tells "
            "what each is for."
        )
    return method_named(name)


def trainer_names() -> list[str]:
    """Names of the trainers that there are, those of plug-in folders too."""
    from foundation.discovery import items
    from llm_experts.training.loop.method import NAME, ROOM

    return list(items(ROOM, NAME))


def options_of(record: MethodRecord, given: Mapping[str, Any]) -> dict[str, Any]:
    """Options that were given, as values of their types; texts are read as what the option is.

    Raises
    ------
    ConfigError
        If the trainer has no such option, or it may not have this value.
    """
    from pydantic import TypeAdapter, ValidationError

    known = [field.name for field in dataclasses.fields(record.options)]
    for name in given:
        if name not in known:
            hint = did_you_mean(name, known)
            has = f"Its options are {', '.join(known)}" if known else "It has no options"
            raise ConfigError(f"The method {record.name} has no option {name[:80]!a}. {hint}{has}.")
    try:
        found: Any = TypeAdapter(record.options).validate_python(dict(given))
    except ValidationError as error:
        raise ConfigError(f"An option of the method {record.name} cannot be used: {faults_of(error)}.") from error
    except ValueError as error:
        raise ConfigError(f"An option of the method {record.name} cannot be used: {error}.") from error
    return {name: getattr(found, name) for name in given}


def split_options(texts: list[str]) -> dict[str, Any]:
    """Options written as ``name=value``: a value is read as TOML, and else as a text.

    Raises
    ------
    ConfigError
        If one is not written so.
    """
    found: dict[str, Any] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals or not name.strip():
            raise ConfigError(f"{text[:80]!a} is no setting; write it as name=value, such as beta=0.1.")
        found[name.strip()] = _value(value.strip())
    return found


def _value(text: str) -> Any:
    import tomllib

    try:
        return tomllib.loads(f"x = {text}")["x"]
    except tomllib.TOMLDecodeError:
        return text


@dataclasses.dataclass(frozen=True)
class Option:
    """An option of a trainer for people: its name, what it is if nobody says, and what it means."""

    name: str
    default: str
    about: str


def option_rows(record: MethodRecord) -> list[Option]:
    """Options of a trainer, described by the attributes of its dataclass's docstring (numpydoc)."""
    told = _attributes(record.options.__doc__ or "")
    return [
        Option(field.name, _default(field), told.get(field.name, "")) for field in dataclasses.fields(record.options)
    ]


def _default(field: dataclasses.Field[Any]) -> str:
    if field.default is not dataclasses.MISSING:
        return str(field.default)
    return "…" if field.default_factory is dataclasses.MISSING else str(field.default_factory())


def _attributes(text: str) -> dict[str, str]:
    """Name -> description of the section ``Attributes`` (or ``Parameters``) of a numpydoc docstring."""
    import inspect

    lines = inspect.cleandoc(text).splitlines()
    found: dict[str, list[str]] = {}
    names: list[str] = []
    for before, line in zip(["", *lines], lines, strict=False):
        if set(line.strip()) == {"-"}:
            names = [] if before.strip() in ("Attributes", "Parameters") else ["-"]
        elif line and not line.startswith(" ") and names != ["-"] and " : " in line:
            names = [name.strip() for name in line.partition(" : ")[0].split(",")]
            found.update({name: [] for name in names})
        elif line.startswith(" ") and names and names != ["-"]:
            for name in names:
                found[name].append(line.strip())
    return {name: " ".join(words) for name, words in found.items()}
