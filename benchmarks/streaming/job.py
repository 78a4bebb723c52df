"""One task in bounded memory: store, tune, answer in blocks, count, explain a sample."""

from __future__ import annotations

import datetime
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from benchmarks.cells.cell import IN_FILES, Cell, predictions_frame
from benchmarks.methods.baselines.constant import Constant
from benchmarks.plan.environment import code_version, environment_hash
from benchmarks.plan.job import Job
from benchmarks.run.scoring import checked, parameter_count
from benchmarks.run.telling.ledger import Ledger
from benchmarks.streaming.methods import CONSTANT, role_of
from experts.evidence import collect_evidence, explained_positions
from experts.expert import Expert, Role
from experts.networks.stored_rows import StoredNetwork
from experts.networks.trainer import Budget
from experts.tuning.networks import TunedNetwork, tune
from foundation.files import atomic_path
from foundation.seeding import derive_seed
from metrics.evidence import Evidence
from metrics.score import Scores, score
from metrics.tallies.reasons import with_reasons
from metrics.tallies.scores import tally_scores
from metrics.tallies.tally import Tally
from tasks.stored.table import StoredTable
from tasks.stored.writing import Storing, store_table
from tasks.task import TaskView

BLOCK_ROWS = 1 << 16
"""Rows that models answer for at once."""
Tell = Callable[[str, int, int], None]
"""Called with (what is done, how much of it, out of how much)."""


@dataclass(frozen=True)
class StreamedJob:
    """A job whose rows stay in files.

    Attributes
    ----------
    job : Job
        Its methods are those that can run so.
    folder : Path
        Of the job.
    tell : callable
    ledger : Ledger
    """

    job: Job
    folder: Path
    tell: Tell
    ledger: Ledger

    def run(self, cells: Path) -> None:
        """Write the cells that are not there yet below the folder of all jobs."""
        job = self.job
        with self.ledger.clock("store"):
            table = store_table(
                Storing(job.task, job.protocol, job.split, job.suite_seed, job.use_sensitive), self.tell
            )
        experts, tuned = self._experts(table)
        with self.ledger.clock("score"):
            scores = {part: self._counted(table, part, experts) for part in ("validation", "test")}
        for method, expert in experts.items():
            with self.ledger.clock("explain"):
                found = {part: self._explained(table, part, expert) for part in scores}
            self._write(cells, table, method, expert, scores, found, tuned.get(method))

    def _experts(self, table: StoredTable) -> tuple[dict[str, Expert], dict[str, TunedNetwork]]:
        """The fitted methods, and the studies of those that were tuned; the utility expert sets the floor."""
        view = table.sample.view()
        found = {method: role_of(method) for method in self.job.methods}
        roles = {method: role for method, role in found.items() if role is not None}
        tuned: dict[str, TunedNetwork] = {}
        floor = self._tune(table, view, "utility", None) if roles else None
        for method, role in roles.items():
            tuned[method] = floor if role == "utility" and floor else self._tune(table, view, role, floor)
        experts: dict[str, Expert] = {method: study.expert for method, study in tuned.items()}
        if CONSTANT in self.job.methods:
            share = float(table.labels[table.rows_of("train")].mean())
            experts[CONSTANT] = Constant(float(torch.logit(torch.tensor(share, dtype=torch.float64))))
        return {method: experts[method] for method in self.job.methods}, tuned

    def _tune(self, table: StoredTable, view: TaskView, role: Role, floor: TunedNetwork | None) -> TunedNetwork:
        job = self.job

        def progress(done: int, total: int) -> None:
            self.tell(f"tune {role}", done, total)

        with self.ledger.clock(f"tune {role}"):
            return tune(
                view,
                role,
                seed=derive_seed(job.seed_of(0), "tune", role),
                folder=self.folder / "tune",
                budget=Budget(**dict(job.budget)),
                trials=job.trials,
                batch=job.batch,
                space=job.space,
                utility_floor=floor,
                epsilon=job.epsilon if floor is not None else None,
                network=StoredNetwork(table),
                progress=progress,
            )

    @property
    def _seed(self) -> int:
        return derive_seed(self.job.suite_seed, "score", self.job.title, self.job.split)

    def _counted(self, table: StoredTable, part: str, experts: Mapping[str, Expert]) -> dict[str, Scores]:
        """Scores of all methods from one pass over the rows of a part."""
        tally, total = Tally.empty(len(experts), len(table.group_names)), len(table.rows_of(part))
        for view in table.blocks(part, BLOCK_ROWS):
            rows = torch.arange(len(view.rows))
            with torch.no_grad():
                said = [torch.sigmoid(expert.logits(view, rows)).float() for expert in experts.values()]
            tally.add(torch.stack(said), view.labels, view.groups)
            self.tell(f"score {part} rows", tally.rows, total)
        return tally_scores(tally, list(experts), table.group_names, seed=self._seed)

    def _explained(self, table: StoredTable, part: str, expert: Expert) -> tuple[torch.Tensor, Evidence, Scores]:
        """Rows of the sample that are explained, what the expert says of them, and their scores."""
        task = table.sample
        rows = getattr(task.split, part)
        few = explained_positions(task.labels[rows], task.groups[rows], self._seed)
        rows = rows if few is None else rows[few]
        evidence = checked(collect_evidence(expert, task.view(), rows))
        known = task.labels[rows], task.groups[rows], task.group_names
        return rows, evidence, score(evidence, *known, seed=self._seed)

    def _write(
        self, cells: Path, table: StoredTable, method: str, expert: Expert, scores: Mapping[str, dict[str, Scores]],
        found: Mapping[str, tuple[torch.Tensor, Evidence, Scores]], tuned: TunedNetwork | None,
    ) -> None:  # fmt: skip
        job = self.job
        head = {
            "suite": job.suite, "task": job.title, "task_hash": table.hash, "protocol": job.protocol,
            "split": job.split, "split_hash": table.facts["split_hash"], "use_sensitive": job.use_sensitive, "seed": 0,
            "method": method, "role": role_of(method) or "baseline", "family": expert.family,
        }  # fmt: skip
        cell = Cell(job.cell_key(method, 0), head)
        for part, (rows, _, sampled) in found.items():
            cell.add_scores(part, with_reasons(scores[part][method], sampled, len(rows)))
        if tuned is not None:
            cell.params = {
                **tuned.best_params,
                "trials": job.trials,
                "space": job.space,
                "best_trial": tuned.best_trial,
            }
        cell.cost = self._cost(method, expert, len(found["test"][0]))
        folder = job.cell_folder(cells, method, 0)
        if folder.is_dir():
            return
        with atomic_path(folder) as temporary:
            temporary.mkdir(parents=True)
            expert.save(temporary)
            both = {part: (rows, evidence) for part, (rows, evidence, _) in found.items()}
            predictions_frame(table.sample.view(), both).to_parquet(temporary / "predictions.parquet", index=False)
            cell.save(temporary)

    def _cost(self, method: str, expert: Expert, explained: int) -> dict[str, Any]:
        job = self.job
        role = role_of(method)
        return {
            "wall_s": round(self.ledger.seconds.get(f"tune {role}", 0.0), 3),
            "trainable_parameters": parameter_count(expert),
            "explained_rows": explained,
            "adapter_kib": math.nan,
            "tokens_per_s": math.nan,
            "order": "",
            "code_version": code_version(),
            "environment_hash": environment_hash(),
            "finished": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
            "reproduce": (
                f"fairmoe bench {job.suite} --task {job.task} --protocol {job.protocol} --trials {job.trials} "
                f"--space {job.space} --seed {job.suite_seed} --use-sensitive {job.use_sensitive} {IN_FILES} GIB"
            ),
        }
