"""Configurations in files: TOML or JSON, in our names or in those of other trainers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.making.config import Config, config_of
from benchmarks.making.error import ConfigError
from benchmarks.making.foreign import ACCUMULATION, ALIASES, BATCH, FOREIGN, UNNEEDED_BATCHES, translated
from foundation.refusals import did_you_mean
from foundation.tables import TableError, read_table

SUFFIXES = (".toml", ".json")
SECTIONS = (
    "training", "training_args", "trainer_args", "config", "lora", "lora_config", "peft", "peft_config",
    "adapter_config", "model_config", "quantization_config", "bnb_config", "dpo", "dpo_config",
)  # fmt: skip
"""Tables of other programs' files that only group settings."""
PATHS = ("data", "validation", "after")
OPTION_PATHS = ("teacher", "adapter", "data")
"""Options of methods that may name a place beside the configuration."""


@dataclass(frozen=True)
class Asked:
    """A configuration, and what is to be said about it.

    Attributes
    ----------
    config : Config
    notes : tuple of str
        Settings of other trainers that make no difference here, and why.
    """

    config: Config
    notes: tuple[str, ...] = ()


def asked(path: Path | None, given: Mapping[str, Any]) -> Asked:
    """What a file and a command ask for together; the command's word counts, and those that are None say nothing.

    Raises
    ------
    ConfigError
        If the file cannot be read, or a setting is unknown, refused or has a value that it may not have.
    """
    said = {name: value for name, value in given.items() if value is not None}
    values, notes = ({}, []) if path is None else read_values(path)
    if said.keys() & {"data", "family"}:
        values = {
            name: value for name, value in values.items() if name not in ("data", "family", "validation", "judge")
        }
    for table in ("options", "adapter_options"):
        if said.get(table) and isinstance(values.get(table), dict):
            said[table] = values[table] | said[table]
    where = "this command" if path is None else str(path)
    _check_names(said, where)
    return Asked(config_of({**({} if path is None else {"name": _stem(path)}), **values, **said}, where), tuple(notes))


def read_values(path: Path) -> tuple[dict[str, Any], list[str]]:
    """Settings of a file in our names, and notes; paths are relative to the file's folder.

    Raises
    ------
    ConfigError
        If the file cannot be read, or a setting is unknown or refused.
    """
    raw = _flat(_parsed(path), path)
    try:
        values, notes = translated(raw)
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from error
    _check_names(values, str(path))
    for name in PATHS:
        if isinstance(values.get(name), str):
            values[name] = str(path.parent / Path(values[name]).expanduser())
    options: dict[str, Any] = found if isinstance(found := values.get("options"), dict) else {}
    for name in OPTION_PATHS:
        if isinstance(options.get(name), str) and options[name] and (path.parent / options[name]).exists():
            options[name] = str(path.parent / options[name])
    if isinstance(base := values.get("base"), str) and (path.parent / base / "config.json").is_file():
        values["base"] = str(path.parent / base)
    return values, [f"{path.name}: {note}" for note in notes]


def config_files(folder: Path) -> list[Path]:
    """Files of configurations in a folder, by name.

    Raises
    ------
    ConfigError
        If the folder is absent or holds none.
    """
    if not folder.is_dir():
        raise ConfigError(f"There is no folder {folder}; give one with a .toml or .json file for every expert.")
    found = sorted(p for p in folder.iterdir() if p.suffix in SUFFIXES and p.is_file() and not p.name.startswith("."))
    if not found:
        raise ConfigError(
            f"{folder} holds no .toml or .json file; write one for every expert (docs/making_experts.md)."
        )
    return found


def _parsed(path: Path) -> dict[str, Any]:
    try:
        return read_table(path, SUFFIXES)
    except TableError as error:
        raise ConfigError(str(error)) from error


def _flat(values: Mapping[str, Any], path: Path) -> dict[str, Any]:
    """Settings without the tables that only group them."""
    found: dict[str, Any] = {}
    for name, value in values.items():
        inner = _flat(value, path) if name in SECTIONS and isinstance(value, Mapping) else {name: value}
        for key, item in inner.items():
            if key in found and found[key] != item:
                raise ConfigError(f"{path} gives {key} twice, as {str(found[key])[:60]!a} and {str(item)[:60]!a}.")
            found[key] = item
    return found


def _check_names(values: Mapping[str, Any], where: str) -> None:
    known = [*Config.model_fields, *FOREIGN, *ALIASES, BATCH, ACCUMULATION, *UNNEEDED_BATCHES]
    for name in values:
        if name not in Config.model_fields:
            hint = did_you_mean(str(name), known)
            raise ConfigError(
                f"{where}: there is no setting {str(name)[:80]!a}. {hint}Settings are "
                f"{', '.join(Config.model_fields)}; names of Transformers, PEFT and TRL are understood, too."
            )


def _stem(path: Path) -> str:
    return "".join(c if (c.isalnum() and c.isascii()) or c in "._-" else "-" for c in path.stem).lstrip("._-")[:100]
