"""From the recommendation to a folder that others can use: model, thresholds, promise, choice, who is decided apart."""

from __future__ import annotations

import logging
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from benchmarks.choice.asked import Asked
from benchmarks.choice.candidate import AS_IT_IS, Candidate, Tried
from benchmarks.choice.changed import GroupChange, changes_by_group, write_changed
from benchmarks.choice.cross_fit.held import Held
from benchmarks.choice.error import ChoiceError
from benchmarks.choice.models import chosen_again, model_of
from benchmarks.choice.reading import Cells, stored_evidence
from benchmarks.choice.record import FILE, asked_record, choice_record
from benchmarks.choice.rule import Recommendation
from benchmarks.choice.words import changed_words, limit_words, test_words
from benchmarks.models import save_model
from benchmarks.models.cards import write_cards
from benchmarks.models.promise import Promise, promise_of
from benchmarks.run.rebuild import CellHandle, Rebuilt, rebuild, silent
from benchmarks.run.telling.notify import Notify
from benchmarks.tracking.mlflow_store import run_ids
from experts.expert import Expert
from foundation.files import write_json
from tasks.task import TaskView

UTILITY = "utility@1"
STUDY = logging.getLogger("experts.tuning.study")

REFITTED = (
    "The saved model is the same configuration fitted again on all rows, test rows among them. No row is left that "
    "could say how good it is: the numbers are those of its twin, which has not seen the test rows."
)

AS_SCORED = (
    "The method as the benchmark has scored it: nothing was limited. Its numbers on the test rows stood in the tables "
    "of the run before it was saved; where it was picked for them, they flatter it."
)


@dataclass(frozen=True, eq=False)
class Delivered:
    """A saved model.

    Attributes
    ----------
    folder : Path
    label : str
        Column of the label in the task's files.
    promise : Promise
    said : tuple of str
        What is told of it after the choice.
    record : dict
        Content of ``choice.json``.
    """

    folder: Path
    label: str
    promise: Promise
    said: tuple[str, ...]
    record: dict[str, Any]


def default_folder(cells: Cells, best: Candidate, asked: Asked) -> Path:
    """``RUN/models/TASK/METHOD-WAY-METRIC-LIMIT``."""
    words = best.method, best.way, asked.metric.split("@")[0], f"{asked.limit:g}"
    return cells.run / "models" / _plain(cells.task) / "-".join(map(_plain, words))


def _plain(text: str) -> str:
    return re.sub(r"[^A-Za-z0-9_.]+", "-", text).strip(".-") or "x"


def check_free(folder: Path, *, force: bool) -> None:
    """Refuse a folder that exists, before anything is computed.

    Raises
    ------
    ChoiceError
        If it exists and is not to be replaced, or is no saved model.
    """
    if not folder.exists():
        return
    if not force:
        raise ChoiceError(f"{folder} exists already. Give another --output, or --force to replace it.")
    if not (folder / "model.json").is_file():
        raise ChoiceError(f"{folder} is no saved model, so --force does not replace it. Give another --output.")


def deliver(
    found: Recommendation,
    cells: Cells,
    split: int,
    folder: Path,
    said: tuple[str, ...],
    *,
    refit: bool = False,
    force: bool = False,
    allow_changed_code: bool = False,
    notify: Notify,
) -> Delivered:
    """Make the recommended model again, look at the test rows once, and save everything.

    Parameters
    ----------
    found : Recommendation
        With a recommended candidate.
    cells : Cells
    split : int
        Whose model is delivered.
    folder : Path
        Appears whole, or not at all.
    said : tuple of str
        What was told before.
    refit : bool
        Whether the same configuration, fitted on all rows, is saved instead of the one that was measured.
    force : bool
        Whether a saved model there is replaced.
    allow_changed_code : bool
        Whether code may have changed since the run: the model is taken if it says what the run has stored.
    notify : callable

    Raises
    ------
    ChoiceError
        If the folder exists.
    benchmarks.run.rebuild.RebuildError
        If the model cannot be made again.
    """
    best, asked = found.best, found.asked
    assert best is not None  # nothing recommended, nothing delivered
    check_free(folder, force=force)
    tried = best.tried[cells.splits.index(split)]
    rebuilt = rebuild(cells.open(split, best.method), allow_changed_code=allow_changed_code, notify=notify)
    with _said_already():
        rebuilt.verify()
        model = model_of(rebuilt, best, tried.held, asked)
    before = stored_evidence(cells.open(split, found.free.method).predictions(), "test").probability > 0.5
    seen = _looked_at(rebuilt, model, before, tried, asked, REFITTED if refit else "")
    told = (*changed_words(found.free.method, seen.changes), _tested(seen.promise, asked), *([REFITTED] * refit))
    record = choice_record(found, cells, split, (*said, *told), _after(seen, folder, asked))
    saved, view = (_refitted(rebuilt, best, tried.held, asked, notify)) if refit else (model, rebuilt.view)
    with _place(folder) as place:
        save_model(saved, view, place, method=best.method, origin=_origin(rebuilt, best, tried.held, asked))
        seen.promise.write(place)
        write_json(place / FILE, record)
        write_changed(rebuilt.view, before, seen.after, place)
        write_cards(place)
    return Delivered(folder, rebuilt.view.card.label.column, seen.promise, told, record)


@dataclass(frozen=True, eq=False)
class _Look:
    """The one look at the test rows: decisions [n_test] bool, who is decided differently, and the promise."""

    after: Tensor
    changes: list[GroupChange]
    promise: Promise


def _looked_at(rebuilt: Rebuilt, model: Expert, before: Tensor, tried: Tried, asked: Asked, note: str) -> _Look:
    probability = _on_test(rebuilt, model)
    promise = promise_of(
        rebuilt.task, probability, demand=_demand(asked), probability_kept=tried.kept.probability, note=note,
        seed=asked.seed,
    )  # fmt: skip
    after = probability > 0.5
    return _Look(after, changes_by_group(rebuilt.view, before, after), promise)


def _on_test(rebuilt: Rebuilt, model: Expert) -> Tensor:
    """[n_test] float64 probabilities."""
    return torch.sigmoid(model.logits(rebuilt.view, rebuilt.view.split.test).detach().to(torch.float64))


def deliver_as_it_is(
    handle: CellHandle, folder: Path, *, allow_changed_code: bool = False, notify: Notify = silent
) -> Promise:
    """Make the model of a cell again, look at the test rows, and save it with its promise: nothing is chosen.

    Parameters
    ----------
    handle : CellHandle
    folder : Path
        Appears whole, or not at all.
    allow_changed_code : bool
        As :func:`deliver`.
    notify : callable

    Raises
    ------
    ChoiceError
        If the folder exists.
    benchmarks.run.rebuild.RebuildError
        If the model cannot be made again, or does not say what the cell has stored.
    """
    check_free(folder, force=False)
    rebuilt = rebuild(handle, allow_changed_code=allow_changed_code, notify=notify)
    with _said_already():
        rebuilt.verify()
        model = rebuilt.expert()
    promise = promise_of(rebuilt.task, _on_test(rebuilt, model), note=AS_SCORED)
    with _place(folder) as place:
        save_model(model, rebuilt.view, place, method=handle.method, origin=_from_cell(handle, AS_IT_IS, None))
        promise.write(place)
        write_cards(place)
    return promise


@contextmanager
def _place(folder: Path) -> Iterator[Path]:
    """A place of the folder's own name, moved there when it is whole."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".choosing-", dir=folder.parent) as temporary:
        place = Path(temporary) / folder.name
        yield place
        if folder.exists():
            shutil.rmtree(folder)
        place.replace(folder)


def _refitted(measured: Rebuilt, best: Candidate, held: Held, asked: Asked, notify: Notify) -> tuple[Expert, TaskView]:
    """The same configuration on all rows, and the view that it was fitted on."""
    again = rebuild(measured.handle, refit=True, allow_changed_code=True, notify=notify)
    with _said_already():
        return model_of(again, best, chosen_again(again, best, held, asked), asked), again.view


@contextmanager
def _said_already() -> Iterator[None]:
    """What the run has said of its studies is not said again."""
    before = STUDY.level
    STUDY.setLevel(logging.ERROR)
    try:
        yield
    finally:
        STUDY.setLevel(before)


def _demand(asked: Asked) -> dict[str, Any] | None:
    """As a promise keeps it."""
    record = asked_record(asked)
    return {"metric": asked.metric, "max_gap": asked.limit, **record} if isinstance(record["limit"], float) else None


def _tested(promise: Promise, asked: Asked) -> str:
    values = promise.metrics
    return test_words(asked, values[asked.metric], values[UTILITY], promise.rows, promise.kept)


def _after(seen: _Look, folder: Path, asked: Asked) -> dict[str, Any]:
    promise = seen.promise
    values = {metric: asdict(promise.metrics[metric]) for metric in (asked.metric, UTILITY)}
    return {
        "test": {"rows": promise.rows, "kept": promise.kept, **values},
        "changed": [asdict(change) for change in seen.changes],
        "folder": str(folder),
    }


def _origin(rebuilt: Rebuilt, best: Candidate, held: Held, asked: Asked) -> dict[str, Any]:
    trial = None if held.fit is None else held.fit.trial
    return {**_from_cell(rebuilt.handle, best.way, trial), "chosen_for": limit_words(asked)}


def _from_cell(handle: CellHandle, way: str, trial: int | None) -> dict[str, Any]:
    return {
        "suite": handle.job.suite, "cell": handle.key, "split": handle.job.split, "variant": way, "trial": trial,
        "seed": 0, "command": handle.command, "mlflow_run": run_ids(handle.run).get(handle.key, ""),
    }  # fmt: skip
