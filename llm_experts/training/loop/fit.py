"""Experts from items: the one entrance to the training loop."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import fields
from pathlib import Path

from foundation.folder_lock import folder_lock
from foundation.hashing import hash_json
from llm_experts.bases.base import Base
from llm_experts.training.loop import checkpoint
from llm_experts.training.loop.assignment import Assignment, Fitted, Progress
from llm_experts.training.loop.earlier import earlier_key
from llm_experts.training.loop.group import Group, group_key
from llm_experts.training.loop.settings import OWN, Settings, SettingsError
from llm_experts.training.loop.writing import CHECKPOINT, note, read_expert, write_expert
from llm_experts.training.sequences.lower import LowerLayers

TOGETHER = 16
"""Most lanes of a group: what they share is saved already, and memory goes with their number."""


def fit(
    base: Base,
    assignments: Sequence[Assignment],
    *,
    folder: Path,
    progress: Callable[[Progress], None] | None = None,
    stop: Callable[[], bool] | None = None,
) -> list[Fitted]:
    """Train experts and write each one's folder.

    Those whose settings agree in all but :data:`llm_experts.training.loop.settings.OWN` train together as lanes over
    one pass of the base; items may differ. An expert that is there already, of the same base, items and settings, is
    not trained again, and one whose training was interrupted goes on from its checkpoint, with the same result as if it
    had not been.

    Parameters
    ----------
    base : Base
    assignments : sequence of Assignment
        Of different names.
    folder : Path
        Gets ``<name>/`` with ``adapter/`` (PEFT's format), ``expert.json``, ``history.csv``, ``training.log`` and,
        until the end, ``checkpoint/`` (in the folder of the first of those that train together).
    progress : callable, optional
        Called after every step.
    stop : callable, optional
        Asked before every step; true ends the training, with a checkpoint.

    Returns
    -------
    list of Fitted
        In the order of the assignments.

    Raises
    ------
    SettingsError, DataError, AdapterError, BaseError
        If settings, items or base do not fit together; nothing was trained.
    FolderLockError
        If another process writes to the folder of one of the experts.
    TrainingStopped
        If ``stop`` said so.
    """
    names = [assignment.name for assignment in assignments]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise SettingsError(f"Two experts are called {twice[0]!r}; give them names of their own.")
    found: dict[str, Fitted] = {}
    lowers: dict[int, LowerLayers] = {}
    with ExitStack() as stack:
        for name in names:
            stack.enter_context(folder_lock(folder / name, f"training of {name}"))
        for assignment in assignments:
            there = read_expert(folder / assignment.name, base, assignment)
            if there is not None:
                found[assignment.name] = there
        for members in groups(assignments):
            chosen = _to_train(base, members, found, folder)
            if not chosen:
                continue
            start = chosen[0].settings.start
            if start not in lowers:
                lowers[start] = LowerLayers(base, start)
            group = Group(base, chosen, [folder / member.name for member in chosen], lowers[start])
            for member, fitted in zip(chosen, group.run(progress, stop), strict=True):
                write_expert(base, member, fitted)
                note(fitted.folder, f"done: score {fitted.score:.6g} at step {fitted.best_step}")
                found[member.name] = fitted
            shutil.rmtree(folder / chosen[0].name / CHECKPOINT)
    return [found[name] for name in names]


def _to_train(
    base: Base, members: Sequence[Assignment], found: Mapping[str, Fitted], folder: Path
) -> Sequence[Assignment]:
    """The members that are not there yet; all of them, if a run of all ended while it was writing them."""
    absent = [member for member in members if member.name not in found]
    if not absent or len(absent) == len(members):
        return absent
    whole = checkpoint.load(folder / members[0].name / CHECKPOINT, group_key(base, members))
    return absent if whole is None else members


def groups(assignments: Sequence[Assignment]) -> list[list[Assignment]]:
    """Those that train together, in the order of the first of each."""
    found: dict[str, list[list[Assignment]]] = {}
    for assignment in assignments:
        goes_on = "" if assignment.after is None else earlier_key(assignment.after)
        runs = found.setdefault(shape_of(assignment.settings) + goes_on, [[]])
        if len(runs[-1]) == TOGETHER:
            runs.append([])
        runs[-1].append(assignment)
    return [run for runs in found.values() for run in runs]


def shape_of(settings: Settings) -> str:
    """What settings must have in common to train together."""
    shared = {field.name: getattr(settings, field.name) for field in fields(settings) if field.name not in OWN}
    return hash_json({name: dict(value) if hasattr(value, "items") else value for name, value in shared.items()})
