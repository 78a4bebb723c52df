"""What a finished run has to choose from for one task: grounds and materials of its splits, read from its own files."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import torch
from torch import Tensor

from benchmarks.cells.seen import Seen
from benchmarks.choice.candidate import Cost
from benchmarks.choice.cross_fit.rows import choosing_rows
from benchmarks.choice.error import ChoiceError
from benchmarks.choice.material import Ground, Material
from benchmarks.choice.reasons import Told
from benchmarks.methods.own_method import is_own
from benchmarks.methods.registry import method_id
from benchmarks.plan.job import Job
from benchmarks.run.rebuild import CellHandle, open_cell
from foundation.refusals import did_you_mean
from metrics.evidence import Evidence
from reports.table import Tables, read_core
from tasks.load import load_task
from tasks.registry import task_name
from tasks.task import TaskView


@dataclass(frozen=True, eq=False)
class Cells:
    """The cells of a task that can be chosen from.

    Attributes
    ----------
    run : Path
    task : str
        As in the tables.
    use_sensitive : str
    splits : tuple of int
    methods : tuple of str
        Those with a finished cell of seed 0 on every split.
    incomplete : tuple of str
        Methods that lack some.
    told_group : frozenset of str
        Methods that must be told the group of a row.
    costs : mapping
        Method → cost, mean over splits.
    tables : Tables
        Of the run.
    """

    run: Path
    task: str
    use_sensitive: str
    splits: tuple[int, ...]
    methods: tuple[str, ...]
    incomplete: tuple[str, ...]
    told_group: frozenset[str]
    costs: dict[str, Cost]
    tables: Tables

    def check_split(self, split: int) -> None:
        """Refuse a split that the task does not have.

        Raises
        ------
        ChoiceError
            It names those that there are.
        """
        if split not in self.splits:
            have = ", ".join(map(str, self.splits))
            raise ChoiceError(f"{self.run} has no split {split} of {self.task}; it has {have}. Give one as --split.")

    def open(self, split: int, method: str) -> CellHandle:
        """A cell."""
        return open_cell(self.run, self.task, split, method, use_sensitive=self.use_sensitive, tables=self.tables)


def find_cells(run: Path, task: str, methods: Sequence[str] = (), use_sensitive: str | None = None) -> Cells:
    """The cells of a task.

    Parameters
    ----------
    run : Path
        Output folder of a bench run.
    task : str
        As in its tables, or the path of an own card.
    methods : sequence of str
        Only these; () all.
    use_sensitive : str, optional
        "keep" or "drop"; needed where the run has both.

    Raises
    ------
    ChoiceError
        If the run has no such task or method, or two variants of the task.
    reports.table.ReportError
        If the folder is no output of a bench run.
    """
    tables = read_core(run)
    known = tables.provenance[tables.provenance["seed"] == 0]
    title = task_name(task) if ".toml" in task else task
    _check(title, dict.fromkeys(known["task"]), f"{run} has no finished cells of the task", "--task")
    known = _variant(known[known["task"] == title], title, use_sensitive, run)
    asked = [method_id(name) if is_own(name) else name for name in methods]
    have = _in_order(tables, known["method"])
    for name in asked:
        _check(name, dict.fromkeys(have), f"{run} has no finished cell of the method", "--method")
    splits = tuple(sorted(set(known["split"])))
    wanted = [name for name in have if not asked or name in asked]
    count = known.groupby("method")["split"].nunique()
    whole = tuple(name for name in wanted if count[name] == len(splits))
    if not whole:
        raise ChoiceError(
            f"No method of {title} in {run} has a finished cell on all of its {len(splits)} splits, so methods cannot "
            "be compared on the same rows. Run the same bench command again: it computes what is missing."
        )
    told = frozenset(name for name in whole if name in tables.methods and tables.methods[name].sensitive_at_prediction)
    lacking = tuple(name for name in wanted if name not in whole)
    return Cells(run, title, str(known["use_sensitive"].iloc[0]), splits, whole, lacking, told, _costs(known), tables)


def _check(name: str, known: dict[str, None], what: str, option: str) -> None:
    if name not in known:
        hint = did_you_mean(name, known, most=3) or f"It has {', '.join(known) or 'none'}. "
        raise ChoiceError(f"{what} {name!r}. {hint}Give one of them as {option}.")


def _variant(known: pd.DataFrame, task: str, use_sensitive: str | None, run: Path) -> pd.DataFrame:
    kinds = sorted(set(known["use_sensitive"]))
    if use_sensitive is None and len(kinds) > 1:
        raise ChoiceError(
            f"{run} has {task} with its sensitive columns as features (keep) and without them (drop). Say which is "
            "meant: --use-sensitive keep or --use-sensitive drop."
        )
    if use_sensitive is not None and use_sensitive not in kinds:
        raise ChoiceError(f"{run} has {task} with --use-sensitive {' and '.join(kinds)} only, not {use_sensitive!r}.")
    return known if use_sensitive is None else known[known["use_sensitive"] == use_sensitive]


def _in_order(tables: Tables, names: pd.Series) -> list[str]:
    """Methods in the order of the run."""
    present = dict.fromkeys(names)
    return [*(name for name in tables.methods if name in present), *(n for n in present if n not in tables.methods)]


def _costs(known: pd.DataFrame) -> dict[str, Cost]:
    means = known.groupby("method")[["wall_s", "trainable_parameters"]].mean()
    return {str(name): Cost(float(row.iloc[0]), float(row.iloc[1])) for name, row in means.iterrows()}


def read_grounds(cells: Cells, seed: int) -> tuple[list[Ground], list[TaskView]]:
    """What the methods of every split share, and the tasks without the labels of their test rows."""
    views = [view_of(cells.open(split, cells.methods[0]).job) for split in cells.splits]
    return [_ground(view, seed) for view in views], views


def view_of(job: Job) -> TaskView:
    """The task of a job without the labels of its test rows."""
    task = load_task(
        job.task, protocol=job.protocol, split=job.split, seed=job.suite_seed, use_sensitive=job.use_sensitive
    )
    return task.view()


def _ground(view: TaskView, seed: int) -> Ground:
    split, rows = view.split, choosing_rows(view, seed)
    features = view.features[torch.cat((split.train, split.validation))]
    last = rows.last(len(split.validation))
    return Ground(rows, last, features, view.rows[split.validation], len(split.test))


def read_materials(
    cells: Cells, grounds: Sequence[Ground], *, reasons: bool, progress: Callable[[str], None] = lambda _: None
) -> list[list[Material]]:
    """What the methods say: per method one for every split.

    Parameters
    ----------
    cells : Cells
    grounds : sequence of Ground
    reasons : bool
        Whether stored reasons are read too.
    progress : callable

    Raises
    ------
    benchmarks.cells.seen.SeenError
        If a cell was computed by an earlier version, which did not keep what it takes to choose.
    """
    found = []
    for method in cells.methods:
        progress(method)
        pairs = zip(cells.splits, grounds, strict=True)
        found.append([_material(cells, cells.open(split, method), ground, reasons) for split, ground in pairs])
    return found


def _material(cells: Cells, handle: CellHandle, ground: Ground, reasons: bool) -> Material:
    seen, last = handle.seen(), ground.validation
    _check_rows(handle, seen, ground)
    evidence = stored_evidence(handle.predictions(), "validation") if reasons else None
    return Material(
        handle.method, seen.validation, Told(evidence, last.groups, last.n_groups, seen.own_bag),
        trained=seen.trained, trials=seen.trials, oof=telling_bag(seen), members=seen.members, roles=seen.roles,
        knows_group=handle.method in cells.told_group, cost=cells.costs[handle.method],
    )  # fmt: skip


def telling_bag(seen: Seen) -> Tensor | None:
    """Out-of-fold margins, unless every model on folds says the same of all its rows.

    Such margins differ between folds by chance alone. Thresholds that lie between them would seem to tell rows apart,
    and the bag would then give all rows of a group one answer.
    """
    if seen.oof is None or seen.fold is None:
        return seen.oof
    parts = [seen.oof[seen.fold == fold] for fold in torch.unique(seen.fold)]
    return seen.oof if any(bool((part != part[0]).any()) for part in parts) else None


def _check_rows(handle: CellHandle, seen: Seen, ground: Ground) -> None:
    wrong = len(seen.validation) != len(ground.ids)
    if wrong or (seen.oof is not None and len(seen.oof) != len(ground.rows.labels)):
        raise ChoiceError(
            f"The cell {handle.key} ({handle.method}) speaks of {len(seen.validation)} validation rows, but the task "
            f"has {len(ground.ids)} now: its data have changed. Run the same bench command again."
        )


def stored_evidence(predictions: pd.DataFrame, part: str) -> Evidence:
    """Probabilities and reasons of a part, as a cell stores them."""
    own = predictions[predictions["part"] == part]
    probability = _tensor(own["probability"])
    columns = [name for name in own if str(name).startswith("attribution.")]
    if not columns or "masked" not in own:
        return Evidence(probability)
    explained = torch.nonzero(torch.from_numpy(own["masked"].notna().to_numpy(copy=True))).flatten()
    attributions = torch.stack([_tensor(own[name])[explained] for name in columns], -1)
    return Evidence(probability, attributions, _tensor(own["masked"])[explained], explained=explained)


def _tensor(column: pd.Series) -> Tensor:
    return torch.from_numpy(column.to_numpy(dtype="float32", copy=True))
