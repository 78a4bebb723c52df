"""Training of experts as they are asked for: those of one base share it, and what fits together trains together."""

from __future__ import annotations

import json
import shlex
import shutil
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from benchmarks.making.config import Config
from benchmarks.making.error import ConfigError
from benchmarks.making.material import Material, material_of
from benchmarks.making.methods import options_of, trainer
from benchmarks.making.settings import settings_of
from benchmarks.run.failure import explain
from benchmarks.saving.trained import FACTS
from foundation.files import write_text

if TYPE_CHECKING:
    from llm_experts.bases.base import Base
    from llm_experts.training.loop.assignment import Assignment, Fitted, Progress

Load = Callable[[str, str, str, str], "Base"]
"""``load(name, dtype, quantisation, device)``."""
State = Literal["trained", "was finished", "failed"]
FAILURE, CHECKPOINT = "failure.txt", "checkpoint"


@dataclass(frozen=True, eq=False)
class Ready:
    """A configuration whose data and options are good; nothing is loaded yet."""

    config: Config
    material: Material


@dataclass(frozen=True)
class Outcome:
    """What came of one expert.

    Attributes
    ----------
    name : str
    state : {"trained", "was finished", "failed"}
    why : str
        What went wrong, or why it ended early.
    folder : Path, optional
        None where it failed.
    score, seconds : float, optional
    best_step, parameters : int, optional
    notes : tuple of str
    items : str
        Options of ``fairmoe llm validate`` that name validation items of its kind; empty where none are known.
    """

    name: str
    state: State
    why: str = ""
    folder: Path | None = None
    score: float | None = None
    best_step: int | None = None
    parameters: int | None = None
    seconds: float | None = None
    notes: tuple[str, ...] = ()
    items: str = ""


def make(
    configs: Sequence[Config],
    output: Path,
    *,
    load: Load,
    progress: Callable[[Progress], None] | None = None,
    stop: Callable[[], bool] | None = None,
    one_must: bool = False,
) -> list[Outcome]:
    """Train experts; each has a folder ``output/NAME``.

    Parameters
    ----------
    configs : sequence of Config
        With names that differ.
    output : Path
    load : callable
    progress, stop : callable, optional
        See :func:`llm_experts.training.loop.fit.fit`.
    one_must : bool
        Whether the first error is raised; otherwise the others go on, and it is told.

    Returns
    -------
    list of Outcome
        In the order of the configurations.
    """
    _check_names(configs)
    there = frozenset(config.called for config in configs if (output / config.called / FACTS).is_file())
    way = _Way(output, load, progress, stop, one_must, there)
    outcomes: dict[str, Outcome] = {}
    by_base: dict[tuple[str, ...], list[Ready]] = {}
    for config in configs:
        try:
            found = ready(config)
        except Exception as error:
            if one_must:
                raise
            outcomes[config.called] = failed(config.called, error, output)
        else:
            by_base.setdefault((*config.base_key, config.engine), []).append(found)
    for members in by_base.values():
        for outcome in _of_base(members, way):
            outcomes[outcome.name] = outcome
    return [outcomes[config.called] for config in configs]


def ready(config: Config) -> Ready:
    """Check what can be checked before anything is loaded: method, options, kind, combination, data.

    Raises
    ------
    ConfigError, AdapterError, DataError
        What cannot be had, and what to write instead.
    """
    from llm_experts.adapters.registry import kind_named
    from llm_experts.training.loop.combinations import Combination, refusal

    record = trainer(config.method)
    kind = kind_named(config.kind)
    config = config.model_copy(update={"options": options_of(record, config.options)})
    refused = refusal(
        Combination(
            method=record.name, kind=kind.name, dtype=config.dtype, quantisation=config.quantisation,
            device=config.device, optimiser=config.optimiser or "adamw", engine=config.engine, start=config.start or 0,
            packing=bool(config.packing), weight_decay=config.weight_decay or 0.0,
            adapter_options=config.adapter_options,
        )
    )  # fmt: skip
    if refused:
        raise ConfigError(refused)
    return Ready(config, material_of(config))


def assignment_of(given: Ready, base: Base) -> Assignment:
    """What the training loop gets."""
    from llm_experts.training.loop.assignment import Assignment

    material = given.material
    settings = settings_of(given.config, base, len(material.train))
    return Assignment(
        given.config.called, material.train, material.validation, settings, material.judge, material.longest_answer,
        given.config.after,
    )  # fmt: skip


def changes(folder: Path, assignment: Assignment, base: Base) -> list[str]:
    """What differs between the expert in a folder and the one that is asked for; empty if there is none, or nothing."""
    from llm_experts.data.fingerprint import hash_examples
    from llm_experts.training.loop.earlier import earlier_hash
    from llm_experts.training.loop.writing import base_facts

    try:
        facts = json.loads((folder / FACTS).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return []
    except ValueError as error:
        raise ConfigError(
            f"{folder / FACTS} is no JSON ({error}); move the folder away, or give another name."
        ) from None
    now = json.loads(json.dumps(assignment.settings.as_json()))
    found = _differences(facts["settings"], now)
    earlier = None if assignment.after is None else earlier_hash(assignment.after)
    found += _differences(
        {
            "dtype": facts["base"].get("dtype"),
            "quantisation": facts["base"]["quantisation"],
            "checker": facts["judged"],
            "after": facts.get("after"),
        },
        {
            "dtype": base_facts(base)["dtype"],
            "quantisation": base.quantisation,
            "checker": assignment.judge is not None,
            "after": earlier,
        },
    )
    if facts["base"]["hash"] != base.hash:
        found.append(f"base {facts['base']['id']} with hash {facts['base']['hash'][:12]}, now {base.hash[:12]}")
    for part, items in (("train", assignment.train), ("validation", assignment.validation)):
        if facts["data"][part] != hash_examples(items):
            found.append(f"other {part} items")
    return found


def failed(name: str, error: Exception, output: Path) -> Outcome:
    """An expert that could not be trained; a fault that no user can mend leaves its traceback in its folder."""
    told = explain(error)
    if told is None:
        place = output / name / FAILURE
        write_text(place, "".join(traceback.format_exception(error)))
        told = f"{type(error).__name__}: {error} (traceback: {place})"
    return Outcome(name, "failed", told)


@dataclass(frozen=True)
class _Way:
    """How :func:`make` was asked to go about it, and the names that had a finished expert before."""

    output: Path
    load: Load
    progress: Callable[[Progress], None] | None
    stop: Callable[[], bool] | None
    one_must: bool
    there: frozenset[str]


def _of_base(members: Sequence[Ready], way: _Way) -> list[Outcome]:
    """Outcomes of experts of one base and engine."""
    try:
        base = way.load(*members[0].config.base_key)
    except Exception as error:
        if way.one_must:
            raise
        return [failed(member.config.called, error, way.output) for member in members]
    try:
        return _fitted(members, base, way)
    except Exception as error:
        if way.one_must or _is_stop(error):
            raise
        if len(members) == 1:
            return [failed(members[0].config.called, error, way.output)]
    found = []  # one of them has spoilt it for all: each by itself
    for member in members:
        try:
            found += _fitted([member], base, way)
        except Exception as error:
            if _is_stop(error):
                raise
            found.append(failed(member.config.called, error, way.output))
    return found


def _fitted(members: Sequence[Ready], base: Base, way: _Way) -> list[Outcome]:
    assignments = [assignment_of(member, base) for member in members]
    notes: dict[str, tuple[str, ...]] = {}
    moved: dict[Path, Path] = {}
    for assignment in assignments:
        folder = way.output / assignment.name
        if told := changes(folder, assignment, base):
            kept = moved[folder] = _kept(folder)
            notes[assignment.name] = (f"trained before, with {'; '.join(told)}. That expert is kept: {kept}",)
    with _put_back(moved):
        found = _engine(members[0].config)(base, assignments, folder=way.output, progress=way.progress, stop=way.stop)
    return [
        _outcome(
            fitted, fitted.name in way.there and fitted.name not in notes,
            (*member.material.notes, *notes.get(fitted.name, ())), validation_items(member),
        )
        for member, fitted in zip(members, found, strict=True)
    ]  # fmt: skip


def _engine(config: Config) -> Callable[..., list[Fitted]]:
    if config.engine == "fairmoe":
        from llm_experts.training.loop.fit import fit

        return fit
    if config.use_unsloth:
        import importlib

        importlib.import_module("unsloth")  # it changes TRL, which must not be there yet
    from llm_experts.training.loop.trl_engine import fit_by_trl

    return lambda base, given, *, folder, progress, stop: fit_by_trl(base, given, folder=folder)  # noqa: ARG005


def validation_items(given: Ready) -> str:
    """Options that name items like those that chose the checkpoint: of its family, else of its validation file."""
    family, config = given.material.family, given.config
    if family is not None:
        level = "" if config.family is None or config.difficulty is None else f" --difficulty {config.difficulty:g}"
        return f"--family {shlex.quote(family)}{level}"
    return "" if config.validation is None else f"--data {shlex.quote(str(config.validation))}"


def _outcome(fitted: Fitted, was_there: bool, notes: tuple[str, ...], items: str) -> Outcome:
    return Outcome(
        fitted.name, "was finished" if was_there else "trained", fitted.stopped, fitted.folder, fitted.score,
        fitted.best_step, fitted.parameters, fitted.seconds, (*notes, *fitted.notes), items,
    )  # fmt: skip


def _kept(folder: Path) -> Path:
    """Move the folder of an expert of other settings or data aside."""
    for number in count(1):
        place = folder.with_name(f"{folder.name}.before-{number}")
        if not place.exists():
            break
    return folder.rename(place)


@contextmanager
def _put_back(moved: Mapping[Path, Path]) -> Iterator[None]:
    """Where training fails before it begins, what was moved aside for it comes back."""
    try:
        yield
    except Exception:
        for folder, kept in moved.items():
            if not (folder / FACTS).exists() and not any((folder / CHECKPOINT).glob("*")):
                shutil.rmtree(folder, ignore_errors=True)
                kept.rename(folder)
        raise


def _differences(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    names = [*before, *(name for name in now if name not in before)]
    return [f"{name} {before.get(name)}, now {now.get(name)}" for name in names if before.get(name) != now.get(name)]


def _is_stop(error: Exception) -> bool:
    from llm_experts.training.loop.group import TrainingStopped

    return isinstance(error, TrainingStopped)


def _check_names(configs: Sequence[Config]) -> None:
    names = [config.called for config in configs]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ConfigError(f"Two experts are called {twice[0]!r}, and each has a folder of its name; give them names.")
