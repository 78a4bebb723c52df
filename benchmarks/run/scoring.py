"""Stage 4: the models of a job become finished cells: predictions and reasons, scored once, written whole."""

from __future__ import annotations

import datetime
import math
import traceback
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from benchmarks.cells.cell import JOB, Cell, Row, predictions_frame
from benchmarks.cells.digests import write_digests
from benchmarks.cells.seen import FILE as SEEN
from benchmarks.cells.seen import Seen
from benchmarks.methods.process_state import kept_state
from benchmarks.plan.environment import code_version, environment_hash
from benchmarks.plan.job import Job, job_record
from benchmarks.run.deaths import UnderWay
from benchmarks.run.failure import Failure
from benchmarks.run.levels import Explained, OutOfFold, Trained, Variant, allowed_gaps, level_tables, trial_rows
from benchmarks.run.stages.maker import Maker
from benchmarks.run.telling.notify import SAME, Notify
from benchmarks.run.time_limit import time_limit
from experts.evidence import collect_evidence, explained_positions
from experts.expert import Expert
from experts.networks.mlp import MLPExpert
from foundation.discovery import plugin_folders
from foundation.files import atomic_path, write_json
from foundation.seeding import derive_seed
from metrics.evidence import Evidence
from metrics.score import EXACT_AUC_ROWS, score_many
from moe.decision import DecisionProblem
from moe.mixture import Mixture
from moe.routing import Routed, routing_report
from tasks.task import Task

RESAMPLES = {"validation": (200, 100), "test": (1000, 500)}
"""Bootstrap samples and shuffles of each part; validation rows choose, and only their estimates are looked at."""

SHUFFLES, FEWER_SHUFFLES = 500, 100
"""Of the routing's null, on parts of few and of many rows: with many it is narrow, and dear."""

REPEATED = (200, 100)
"""The same for further seeds, which are there for their estimates: intervals on the pages are those over splits."""


@contextmanager
def recorded(failures: list[Failure], method: str, repeat: int) -> Iterator[None]:
    """Turn an error of one method into a failure on record; only a ``KeyboardInterrupt`` ends the run.

    Code from plug-in folders changes nothing of the process for the methods behind it; that of own methods never does.
    """
    try:
        with kept_state() if plugin_folders() else nullcontext():
            yield
    except (KeyboardInterrupt, GeneratorExit):
        raise
    except BaseException:  # noqa: BLE001 - the boundary between methods: whatever one raises is recorded and shown
        failures.append(Failure(method, repeat, traceback.format_exc()))


def write_cells(
    job: Job, task: Task, maker: Maker, repeat: int, experts: dict[str, Expert], folder: Path, notify: Notify
) -> list[Failure]:
    """Stage 4: predictions and reasons on validation and test rows, scored once, each method a finished cell."""
    # further seeds are there for their test values: nothing is chosen by them
    parts = {"test": task.split.test} if repeat else {"validation": task.split.validation, "test": task.split.test}
    evidence: dict[str, dict[str, Evidence]] = {part: {} for part in parts}
    failures: list[Failure] = []
    if not experts:
        return failures
    seed = derive_seed(job.suite_seed, "score", job.title, job.split)
    few = {part: explained_positions(task.labels[rows], task.groups[rows], seed) for part, rows in parts.items()}
    unready = _prepare(maker, experts, [rows if few[part] is None else rows[few[part]] for part, rows in parts.items()])
    under_way = UnderWay(folder / job.folder)
    for method, expert in experts.items():
        notify(job.name, f"explain {method}", SAME)
        with recorded(failures, method, repeat), under_way.noted(method, repeat), maker.ledger.clock("explain"):
            found = {p: checked(collect_evidence(expert, maker.view, rows, few[p])) for p, rows in parts.items()}
            for part in parts:
                evidence[part][method] = found[part]
    notify(job.name, "score", SAME)
    scores = {}
    for part, rows in parts.items():
        draws, permutations = REPEATED if repeat else RESAMPLES[part]
        known = (task.labels[rows], task.groups[rows], task.group_names)
        with maker.ledger.clock("score"):
            scores[part] = score_many(
                evidence[part], *known, seed=seed, draws=draws, permutations=permutations, cfa=job.cfa
            )
    for method in evidence["test"]:
        with recorded(failures, method, repeat), under_way.noted(method, repeat):  # refits run its code again
            expert = experts[method]
            cell = Cell(job.cell_key(method, repeat), _head(job, task, maker, repeat, method, expert), lost=[*unready])
            for part in parts:
                cell.add_scores(part, scores[part][method])
            found = {part: evidence[part][method] for part in parts}
            with maker.ledger.clock("score"):
                told = _add_extras(cell, job, task, maker, method, expert, found)
            cell.params, cell.stages = maker.params(method), maker.curves(method)
            cell.cost = _cost(job, maker, method, expert, found["test"])
            with atomic_path(job.cell_folder(folder, method, repeat)) as temporary:
                temporary.mkdir()
                both = {part: (parts[part], found[part]) for part in parts}
                predictions_frame(maker.view, both).to_parquet(temporary / "predictions.parquet", index=False)
                maker.extras(cell, temporary, method, expert)
                if repeat == 0:
                    _keep(cell, job, maker, method, found["validation"], told, temporary)
                cell.save(temporary)
                write_digests(temporary)
    return failures


@dataclass
class Known:
    """What was found out of a method beside its predictions; None where it has none, or where that failed."""

    bag: OutOfFold | None = None
    trained: Trained | None = None


def _keep(cell: Cell, job: Job, maker: Maker, method: str, evidence: Evidence, known: Known, folder: Path) -> None:
    """What it takes to choose another model of the method later, and to make it again."""
    write_json(folder / JOB, job_record(job))
    with cell.extra("seen", folder / SEEN):
        _seen(evidence.probability, known, maker.decided(method)).save(folder)


def _seen(validation: Tensor, known: Known, problem: DecisionProblem | None) -> Seen:
    """What a method says of the rows that choose; ``validation`` [v]: probabilities of its chosen model."""
    bag, trained = known.bag, known.trained
    count = 0 if trained is None else len(trained.validation)
    return Seen(
        validation=validation,
        trained=None if trained is None else trained.validation,
        trials=tuple(range(count)),
        oof=None if bag is None else bag.margins,
        own_bag=bag is not None and bag.own,
        fold=None if bag is None else bag.fold,
        members=None if problem is None else problem.members,
        roles=() if problem is None else tuple(problem.roles),
    )


def _add_extras(
    cell: Cell, job: Job, task: Task, maker: Maker, method: str, expert: Expert, evidence: dict[str, Evidence]
) -> Known:
    """What there is to say beside the scores; each part may fail alone."""
    routed, known = None, Known()
    with cell.extra("routing"):
        routed = maker.routed(method, expert)
        if routed is not None:
            _add_routing(cell, task, routed)
    if cell.head["seed"] == 0:
        with cell.extra("out of fold"), time_limit(job.method_seconds, f"Refitting {method}"):
            known.bag = maker.out_of_fold(method, expert)
        with cell.extra("levels"):
            known.trained = maker.trained(method)
            _add_levels(cell, task, maker, method, evidence, known, searched=routed is None)
    return known


def _prepare(maker: Maker, experts: dict[str, Expert], parts: Iterable[Tensor]) -> list[Row]:
    """Ask all models together; where that fails, each is asked alone, and whose fault it was fails alone."""
    record = Cell("", {})
    with record.extra("asking all models together"):
        for rows in parts:
            maker.prepare(experts, rows)
    return record.lost


def _add_levels(
    cell: Cell,
    task: Task,
    maker: Maker,
    method: str,
    evidence: dict[str, Evidence],
    known: Known,
    *,
    searched: bool,
) -> None:
    """What the method reaches at each fairness level and, where it was searched for, each trained configuration."""
    trained, explained = known.trained, _explained(task, evidence)
    ways: list[Variant] = []
    with cell.extra("ways of its own to keep levels"):
        ways = maker.ways(method, allowed_gaps(maker.unmitigated), explained)
    chosen = evidence["validation"].probability, evidence["test"].probability
    tables = level_tables(*chosen, trained, task, maker.unmitigated, bag=known.bag, further=ways, explained=explained)
    for name, rows in tables.items():
        cell.add_table(name, rows)
    if trained is not None and searched:
        cell.add_table("trials", trial_rows(trained, task))


def _explained(task: Task, evidence: dict[str, Evidence]) -> Explained | None:
    """Reasons on both parts; None where a part has none."""
    seen, test = evidence["validation"], evidence["test"]
    if any(part.attributions is None or part.masked is None for part in (seen, test)):
        return None
    groups = task.groups[task.split.validation], task.groups[task.split.test]
    return Explained(seen, test, groups, len(task.group_names))


def checked(evidence: Evidence) -> Evidence:
    """The evidence, if it can be scored.

    Raises
    ------
    ValueError
        If a prediction is not a probability, be it of a row as it is, with a column unknown, or of another group.
    """
    altered = {"": evidence.probability, " with a column unknown": evidence.masked}
    altered[" in another group"] = evidence.counterfactual
    for where, probability in altered.items():
        if probability is None:
            continue
        bad = ~((probability >= 0) & (probability <= 1))
        if bool(bad.any()):
            raise ValueError(
                f"{int(bad.sum())} of {bad.numel()} predictions are not probabilities{where} (the first is "
                f"{float(probability[bad][0])}); the method diverged or returns something else."
            )
    return evidence


def _head(job: Job, task: Task, maker: Maker, repeat: int, method: str, expert: Expert) -> dict[str, Any]:
    return {
        "suite": job.suite, "task": job.title, "task_hash": task.hash, "protocol": job.protocol, "split": job.split,
        "split_hash": task.split.hash, "use_sensitive": job.use_sensitive, "seed": repeat, "method": method,
        "role": maker.role(method, expert), "family": expert.family,
    }  # fmt: skip


def _cost(job: Job, maker: Maker, method: str, expert: Expert, evidence: Evidence) -> dict[str, Any]:
    drop = f" --use-sensitive {job.use_sensitive}"
    return {
        "wall_s": round(maker.ledger.total(maker.parts_of(method)), 3),
        "trainable_parameters": parameter_count(expert),
        "explained_rows": len(evidence.of_explained(evidence.probability)),
        **maker.cost(method, expert),
        "code_version": code_version(),
        "environment_hash": environment_hash(),
        "finished": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "reproduce": (
            f"fairmoe bench {job.suite} --task {job.task} --protocol {job.protocol} "
            f"--splits {job.split + 1} --seeds {job.seeds} "
            f"--trials {job.trials} --space {job.space} --seed {job.suite_seed}{drop}"
        ),
    }


def parameter_count(expert: Expert) -> float:
    """Fitted numbers of a model: network weights, a mixture's experts and gate, others' own count; nan if unknown."""
    if isinstance(expert, Mixture):
        tensors = [value for value in vars(expert.gate).values() if isinstance(value, torch.Tensor)]
        return sum(parameter_count(e) for e in expert.experts) + sum(t.numel() for t in tensors)
    if isinstance(expert, MLPExpert):
        return expert.parameters.theta.numel()
    return getattr(expert, "parameter_count", math.nan)


def _add_routing(cell: Cell, task: Task, mixture: Routed) -> None:
    """Gate weights by group, routing disparity and the decomposition of the gaps, on test rows."""
    rows = task.split.test
    shuffles = SHUFFLES if len(rows) <= EXACT_AUC_ROWS else FEWER_SHUFFLES
    report = routing_report(mixture, task, rows, seed=derive_seed(0, "routing", task.hash), shuffles=shuffles)
    cell.routing += [{**cell.head, "part": "test", **row} for row in report.rows]
    for metric, value in report.values.items():
        cell.results.append({**cell.head, "part": "test", "metric": metric, **asdict(value)})
