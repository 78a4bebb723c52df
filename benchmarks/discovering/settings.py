"""What a discovery is asked for: settings of all its steps, from a file and from a command."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from benchmarks.discovering.error import DiscoverError
from foundation.refusals import did_you_mean, fault_of
from foundation.tables import TableError, read_table

Words = tuple[str, ...]


class DiscoverySettings(BaseModel):
    """Settings of a discovery; each step's results depend on those that it names."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    base: str = Field("nano", min_length=1, description="nano, a Hugging Face id or a folder")
    revision: str | None = None
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = "auto"
    quantisation: Literal["none", "nf4", "int8", "ternary"] = "none"
    device: Literal["auto", "cpu", "cuda"] = "auto"
    seed: int = Field(0, ge=0)

    domains: Words = Field((), description="NAME or NAME@DIFFICULTY; empty: the ten default domains")
    items: int = Field(100, ge=2, description="items of each domain in the capability report")
    how: Literal["choice", "generate"] = Field("choice", description="choose among listed answers, or generate them")

    experts: int | None = Field(None, ge=3, le=10, description="how many experts; None: by measurement")
    evidence: Literal["gradients", "errors", "random"] = "gradients"
    probe_steps: int = Field(0, ge=0, description="steps of the probe that finds domains which no data helps; 0: none")

    provider: str = Field("template", description="template, model or openai")
    provider_options: dict[str, Any] = Field(default_factory=dict, description="its own, such as models and prices")
    checks: Words = Field(("all",), description="names of checks, or all, or none")
    difficulty: Literal["judge", "report"] = Field(
        "report", description="whether items that are too easy or too hard for the base are only told, or refused"
    )
    count: int = Field(300, ge=2, description="accepted items for each expert")
    dollars: float | None = Field(None, gt=0, description="US dollars that a provider may cost")

    kind: str = Field("lora", description="kind of adapter: lora, svf, ...")
    rank: int | None = Field(None, ge=1)
    start: int | None = Field(
        None,
        description="first layer that adapters change; negative: from the end; None: the last two of four or more",
    )
    steps: int | None = Field(None, ge=1, description="optimiser steps of each expert; None: by the number of items")
    lr: float | None = Field(None, gt=0, description="learning rate; None: twice that of the kind on the base")
    most_drift: float = Field(
        4.0, gt=0, description="nats a token that an expert may drift from the base; above, it has to be worth it"
    )
    probes: int = Field(
        96, ge=2, description="scenarios at most whose group terms are exchanged at every look, to see alignment"
    )
    watching: int = Field(40, ge=2, description="items of each domain that are looked at every epoch")

    guidance: bool = Field(True, description="narrow the box of weights round the front every ten generations")
    generations: int = Field(60, ge=3)
    population: int = Field(40, ge=4)
    rounds: int = Field(3, ge=1, description="how often the front is measured truly and the search goes on from there")
    candidates: int = Field(10, ge=2, description="members of the front that are measured each time")
    search_items: int = Field(40, ge=2, description="items of each domain that mixtures are searched on")
    advise: str | None = Field(None, description="base whose advice on plan and search is asked and logged")
    follow_advice: bool = Field(False, description="group domains as it advises, where that can be read")

    alignment_margin: float = Field(
        0.10, gt=0, lt=1, description="a mixture has to be shown to lose less of the base's alignment"
    )
    scenarios: int = Field(50, ge=2, description="scenarios of each domain in the final examination")
    preserve: Words = Field((), description="what must stay: families of tasks, tools, persona, bias; none: nothing")
    preserve_items: int = Field(60, ge=2)
    preserve_margin: float = Field(
        0.10, gt=0, lt=1, description="share of right answers, or nats a token, that a task that must stay may lose"
    )
    gates: str | None = Field(None, description="TOML file of gates; None: the success criteria that fairmoe has")

    requantize: Literal["none", "nf4", "int8", "ternary"] = Field(
        "none", description="round the base with the winner in its weights, and measure what that costs"
    )
    name: str = Field("", description="of the package: a-z, 0-9 and hyphens")
    author: str = "unnamed"


QUICK: dict[str, Any] = {
    "domains": ("arithmetic", "classification", "dates", "json_task", "lookup", "rows:compas:race", "sql", "strings"),
    "items": 40, "count": 64, "steps": 40, "watching": 30, "generations": 12, "population": 16, "rounds": 2,
    "candidates": 6, "probes": 32,
    "search_items": 30, "scenarios": 30, "preserve_items": 30,
}  # fmt: skip
"""Sizes with which a discovery on nano takes two to three minutes of one core; its intervals are wide."""


def settings_of(path: Path | None, given: Mapping[str, Any], quick: bool = False) -> DiscoverySettings:
    """What a file and a command ask for together; the command's word counts, and None says nothing.

    Parameters
    ----------
    path : Path or None
        A TOML file with settings by their names; hyphens are underscores.
    given : mapping
        Of the command.
    quick : bool
        Start from :data:`QUICK` instead of the defaults.

    Raises
    ------
    DiscoverError
        If the file cannot be read, or a setting is unknown or has a value that it may not have.
    """
    said = {name: value for name, value in given.items() if value is not None}
    read = {} if path is None else _read(path)
    return checked({**(QUICK if quick else {}), **read, **said}, dict.fromkeys(read.keys() - said.keys(), str(path)))


def checked(values: Mapping[str, Any], places: Mapping[str, str] | None = None) -> DiscoverySettings:
    """Settings from plain values.

    Parameters
    ----------
    values : mapping
    places : mapping of setting to str, optional
        Files that settings are from; of others the command is named in what is said of faults.

    Raises
    ------
    DiscoverError
        If a value is none that its setting may have.
    """
    try:
        return DiscoverySettings(**values)
    except ValidationError as error:
        by: dict[str, list[str]] = {}
        for found in error.errors(include_url=False):
            setting = str(found["loc"][0]) if found["loc"] else ""
            told = fault_of(dict(found), DiscoverySettings.model_fields)
            by.setdefault((places or {}).get(setting, "the command"), []).append(told)
        faults = "; ".join(f"of {where}: {'; '.join(them)}" for where, them in by.items())
        raise DiscoverError(f"Some settings are not ones that a discovery can have, {faults}.") from error


def _read(path: Path) -> dict[str, Any]:
    try:
        found = read_table(path)
    except TableError as error:
        raise DiscoverError(str(error)) from error
    named = {name.replace("-", "_"): value for name, value in found.items()}
    for name in named:
        _check_name(name, str(path))
    return {name: tuple(value) if isinstance(value, list) else value for name, value in named.items()}


def _check_name(name: str, where: str) -> None:
    known = list(DiscoverySettings.model_fields)
    if name in known:
        return
    hint = did_you_mean(name, known)
    raise DiscoverError(
        f"{where}: there is no setting {name[:80]!a}. {hint}Settings of a discovery are {', '.join(known)}."
    )
