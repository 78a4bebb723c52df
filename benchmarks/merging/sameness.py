"""What folders must have in common to be merged: the suite and its data, the code, the environment."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from benchmarks.merging.inputs import Input, MergeError
from foundation.words import listing

Fact = dict[str, Any]
"""``what`` differs, and ``values``: [value, folders that have it] of each."""


def check_suite(inputs: Sequence[Input]) -> None:
    """Refuse folders of different suites, or of different bytes of a task's data.

    Raises
    ------
    MergeError
        The text names the settings, or the tasks.
    """
    first = inputs[0]
    for other in inputs[1:]:
        if other.plan.suite_hash != first.plan.suite_hash:
            raise MergeError(
                f"{first.folder} and {other.folder} are not of the same suite: {_settings(first, other)}. Only shares "
                "of one suite can be merged; runs of different suites are laid side by side by 'fairmoe compare'."
            )
    for task, values in _by_task(inputs).items():
        if len(values) > 1:
            raise MergeError(
                f"The data of {task} are not the same everywhere: its card or its files differ between "
                f"{listing([_folders(folders) for folders in values.values()])}. Compute one of them again."
            )


def differences(inputs: Sequence[Input]) -> list[Fact]:
    """Facts of code and environment that are not the same in all folders; those of the environment by their names."""
    found = [*_code(inputs), *_environment(inputs)]
    return [
        {"what": what, "values": sorted([value, sorted(map(str, folders))] for value, folders in values.items())}
        for what, values in found
        if len(values) > 1
    ]


def check_differences(facts: Sequence[Fact]) -> None:
    """Refuse folders of different code or environments.

    Raises
    ------
    MergeError
        The text names every fact with the value in each folder.
    """
    if facts:
        told = "; ".join(
            f"{fact['what']} ({', '.join(f'{value} in {listing(folders)}' for value, folders in fact['values'])})"
            for fact in facts
        )
        raise MergeError(
            f"The folders were not computed alike: {told}. Numbers of methods could then differ for that alone. "
            "Compute the odd ones again with the same version, or merge them all the same with --allow-different: "
            "the pages then say so."
        )


def check_jobs(inputs: Sequence[Input]) -> None:
    """Refuse folders that hold the same job under different keys: only one of them could stay.

    Raises
    ------
    MergeError
        The text names the jobs.
    """
    known: dict[Any, tuple[Input, Any]] = {}
    for entry in inputs:
        for job in entry.plan.jobs:
            names = (job.folder, job.recorded_cells)
            other, before = known.setdefault(job.place, (entry, names))
            if before != names:
                raise MergeError(
                    f"{job.name} is in {other.folder} and in {entry.folder}, computed by different code: its cells "
                    "have other keys. Leave one of the two folders out."
                )


def _settings(first: Input, other: Input) -> str:
    a, b = first.plan.suite, other.plan.suite
    names = [name for name in dict.fromkeys([*a, *b]) if a.get(name) != b.get(name)]
    return "they differ in " + listing([f"{name} ({_short(a.get(name))} and {_short(b.get(name))})" for name in names])


def _short(value: Any) -> str:
    text = str(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def _by_task(inputs: Sequence[Input]) -> dict[str, dict[str, list[Input]]]:
    """Task → hash of its card, which holds those of its files → folders."""
    found: dict[str, dict[str, list[Input]]] = {}
    for entry in inputs:
        for title, card in {job.title: job.card_hash for job in entry.plan.jobs}.items():
            found.setdefault(title, {}).setdefault(card, []).append(entry)
    return found


def _folders(inputs: Sequence[Input]) -> str:
    return listing([str(entry.folder) for entry in inputs], most=3)


def _code(inputs: Sequence[Input]) -> Iterator[tuple[str, dict[str, list[str]]]]:
    yield "code", _values(inputs, lambda entry: {job.code[:12] for job in entry.plan.jobs})
    yield (
        "code or base of the text experts",
        _values(inputs, lambda entry: {job.llm_key[:12] for job in entry.plan.jobs if job.llm_key}),
    )
    methods = dict.fromkeys(name for entry in inputs for job in entry.plan.jobs for name, _ in job.baseline_code)
    for method in methods:
        yield (
            f"code of {method}",
            _values(inputs, lambda entry, m=method: {dict(job.baseline_code)[m][:12] for job in entry.plan.jobs}),
        )


def _environment(inputs: Sequence[Input]) -> Iterator[tuple[str, dict[str, list[str]]]]:
    """Libraries, the machine's type, and Python without its last number, which decides no cell."""
    for name in dict.fromkeys(name for entry in inputs for name in entry.plan.environment):
        yield (
            name,
            _values(inputs, lambda entry, n=name: {_decides(n, entry.plan.environment)} if entry.plan.jobs else set()),
        )


def _decides(name: str, environment: Mapping[str, str]) -> str:
    value = environment.get(name, "not installed")
    return ".".join(value.split(".")[:2]) if name == "python" else value


def _values(inputs: Sequence[Input], of: Any) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for entry in inputs:
        for value in sorted(of(entry)):
            found.setdefault(value, []).append(str(entry.folder))
    return found
