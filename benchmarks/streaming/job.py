"""One task in bounded memory: store, tune, answer in blocks, count, explain a sample."""

from __future__ import annotations

import datetime
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from benchmarks.cells.cell import IN_FILES, Cell, predictions_frame
from benchmarks.cells.digests import write_digests
from benchmarks.plan.environment import code_version, environment_hash
from benchmarks.plan.job import Job
from benchmarks.run.failure import Failure
from benchmarks.run.scoring import checked, parameter_count, recorded
from benchmarks.run.stages.curves import trial_columns, tuning_curves
from benchmarks.run.telling.ledger import Ledger
from benchmarks.streaming.fitting import StoredMethods
from experts.evidence import collect_evidence, explained_positions
from experts.expert import Expert
from foundation.files import atomic_path, write_json
from foundation.progress import Tell
from foundation.seeding import derive_seed
from metrics.evidence import Evidence
from metrics.score import Scores, score
from metrics.tallies.reasons import with_reasons
from metrics.tallies.scores import tally_scores
from metrics.tallies.tally import Tally
from tasks.stored.table import StoredTable
from tasks.stored.writing import Storing, store_table

BLOCK_ROWS = 1 << 16
"""Rows that models answer for at once."""
Parts = Mapping[str, dict[str, Scores]]
"""Part → method → scores of all its rows."""


@dataclass(frozen=True)
class Explained:
    """What a method says of the explained rows of a part.

    Attributes
    ----------
    rows : [r] int64
        Of the sample.
    evidence : Evidence
    scores : Scores
        Of these rows alone.
    """

    rows: torch.Tensor
    evidence: Evidence
    scores: Scores


@dataclass(frozen=True)
class StreamedJob:
    """A job whose rows stay in files.

    Attributes
    ----------
    job : Job
        Its methods are those that can run so.
    cells : Path
        Folder of all jobs.
    tell : callable
    ledger : Ledger
        Of the job.
    """

    job: Job
    cells: Path
    tell: Tell
    ledger: Ledger

    def run(self) -> list[Failure]:
        """Write the cells that are not there yet; those that could not be computed come back."""
        job, home = self.job, self.cells / self.job.folder
        with self.ledger.clock("store"):
            table = store_table(
                Storing(job.task, job.protocol, job.split, job.suite_seed, job.use_sensitive), self.tell
            )
        write_json(home / "rows.json", {"used": len(table), "left": dict(table.facts["left"])})
        methods, pending = StoredMethods(job, table, home, self.ledger, self.tell), job.unfinished(self.cells)
        failures: list[Failure] = []
        for repeat in sorted({repeat for _, repeat in pending}):
            wanted = [method for method, r in pending if r == repeat]
            failures += _Repetition(self, table, methods, repeat).run(wanted)
        return failures


@dataclass(frozen=True)
class _Repetition:
    """Cells of one repetition of training."""

    of: StreamedJob
    table: StoredTable
    methods: StoredMethods
    repeat: int

    def run(self, wanted: Sequence[str]) -> list[Failure]:
        experts: dict[str, Expert] = {}
        failures: list[Failure] = []
        for method in wanted:
            with recorded(failures, method, self.repeat):
                experts[method] = self.methods.make(method, self.repeat)
        if not experts:
            return failures
        # further seeds are there for their test values: nothing is chosen by them
        parts = ("test",) if self.repeat else ("validation", "test")
        with self.of.ledger.clock("score"):
            scores = {part: self._counted(part, experts) for part in parts}
        for method, expert in experts.items():
            with recorded(failures, method, self.repeat):
                with self.of.ledger.clock("explain"):
                    found = {part: self._explained(part, expert) for part in parts}
                self._write(method, expert, scores, found)
        return failures

    @property
    def _seed(self) -> int:
        job = self.of.job
        return derive_seed(job.suite_seed, "score", job.title, job.split)

    def _counted(self, part: str, experts: Mapping[str, Expert]) -> dict[str, Scores]:
        """Scores of all methods from one pass over the rows of a part; no method sees a label."""
        table = self.table
        tally, total = Tally.empty(len(experts), len(table.group_names)), len(table.rows_of(part))
        for view in table.blocks(part, BLOCK_ROWS):
            rows = torch.arange(len(view.rows))
            with torch.no_grad():
                said = [torch.sigmoid(expert.logits(view, rows)).float() for expert in experts.values()]
            tally.add(torch.stack(said), table.labels_of(view.rows.numpy()), view.groups)
            self.of.tell(f"score {part} rows", tally.rows, total)
        return tally_scores(tally, list(experts), table.group_names, seed=self._seed)

    def _explained(self, part: str, expert: Expert) -> Explained:
        """Rows of the sample that are explained, what the expert says of them, and their scores."""
        task = self.table.sample
        rows = getattr(task.split, part)
        few = explained_positions(task.labels[rows], task.groups[rows], self._seed)
        rows = rows if few is None else rows[few]
        evidence = checked(collect_evidence(expert, task.view(), rows))
        known = task.labels[rows], task.groups[rows], task.group_names
        return Explained(rows, evidence, score(evidence, *known, seed=self._seed))

    def _write(self, method: str, expert: Expert, scores: Parts, found: Mapping[str, Explained]) -> None:
        job, repeat = self.of.job, self.repeat
        cell = Cell(job.cell_key(method, repeat), self._head(method, expert))
        for part, explained in found.items():
            cell.add_scores(part, with_reasons(scores[part][method], explained.scores, len(explained.rows)))
        cell.params = self._params(method)
        cell.cost = self._cost(method, expert, len(found["test"].rows))
        searched = None if repeat else self.methods.searched(method)
        if searched is not None:
            cell.stages = tuning_curves(searched)
        with atomic_path(job.cell_folder(self.of.cells, method, repeat)) as temporary:
            temporary.mkdir(parents=True)
            expert.save(temporary)
            if searched is not None:
                write_json(temporary / "trials.json", trial_columns(searched))
            said = {part: (explained.rows, explained.evidence) for part, explained in found.items()}
            frame = predictions_frame(self.table.sample.view(), said)
            frame.to_parquet(temporary / "predictions.parquet", index=False)
            cell.save(temporary)
            write_digests(temporary)

    def _head(self, method: str, expert: Expert) -> dict[str, Any]:
        job, table = self.of.job, self.table
        return {
            "suite": job.suite, "task": job.title, "task_hash": table.hash, "protocol": job.protocol,
            "split": job.split, "split_hash": table.facts["split_hash"], "use_sensitive": job.use_sensitive,
            "seed": self.repeat, "method": method, "role": self.methods.role(method), "family": expert.family,
        }  # fmt: skip

    def _params(self, method: str) -> dict[str, Any]:
        job = self.of.job
        shared = {
            "trials": job.trials, "batch": job.batch, "space": job.space, "epsilon": job.epsilon,
            "suite_seed": job.suite_seed, **{f"budget.{name}": value for name, value in job.budget},
        }  # fmt: skip
        return shared | self.methods.chosen(method, self.repeat)

    def _cost(self, method: str, expert: Expert, explained: int) -> dict[str, Any]:
        job = self.of.job
        return {
            "wall_s": round(self.methods.seconds(method, self.repeat), 3),
            "trainable_parameters": parameter_count(expert),
            "explained_rows": explained,
            "adapter_kib": math.nan,
            "tokens_per_s": math.nan,
            "order": "",
            "code_version": code_version(),
            "environment_hash": environment_hash(),
            "finished": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
            "reproduce": (
                f"fairmoe bench {job.suite} --task {job.task} --protocol {job.protocol} --splits {job.split + 1} "
                f"--seeds {job.seeds} --trials {job.trials} --space {job.space} --seed {job.suite_seed} "
                f"--use-sensitive {job.use_sensitive} {IN_FILES} GIB"
            ),
        }
