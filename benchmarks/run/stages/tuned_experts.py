"""Stage 1 of a job: every role that its methods need is tuned once, and trained again for further seeds."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Iterable, Mapping
from functools import cached_property
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from safetensors.torch import load_file, save_file

from benchmarks.methods.method import Network, network_name
from benchmarks.run.failure import explain
from benchmarks.run.stages.members import member_trials
from benchmarks.run.telling.ledger import Ledger
from benchmarks.run.telling.notify import SAME, Notify
from experts.bagging import Bag, BagStore, bag_folds
from experts.expert import ROLES, Role
from experts.families.registry import PLAIN, family_named
from experts.loading import load_expert
from experts.networks.trainer import Budget
from experts.tuning.results import write_summary
from experts.tuning.tuned import Tuned
from foundation.files import atomic_path
from foundation.seeding import derive_seed

if TYPE_CHECKING:
    from torch import Tensor

    from benchmarks.plan.job import Job
    from experts.expert import Expert
    from experts.tuning.shared import StudyServer
    from experts.tuning.tuner import Tuner
    from tasks.task import TaskView

log = logging.getLogger(__name__)

BAGS = "bags"
"""Folder of bags below that of the studies."""
OUT_OF_FOLD = "out_of_fold"
"""Folder of out-of-fold logits below that of the studies: mixtures of several units learn from them."""


class TunedExperts:
    """The tuned experts of a job, each made when it is first asked for.

    The first seed (repetition 0) has one Optuna study per role; the chosen configuration is then trained again with
    the other seeds, all of them lanes of one program, which is what tells split variance from seed variance. Fair
    roles are tuned under the utility of their own family's utility expert minus epsilon. ``tuners`` are those of
    families that are not tuned as the family says, such as networks whose rows stay in files.
    """

    def __init__(
        self,
        job: Job,
        view: TaskView,
        folder: Path,
        ledger: Ledger,
        notify: Notify,
        *,
        tuners: Mapping[str, Tuner[Any]] = MappingProxyType({}),
    ) -> None:
        self.job, self.view, self.folder, self.ledger, self.notify = job, view, folder, ledger, notify
        self.budget = Budget(**dict(job.budget))
        self._found: dict[Network, Tuned] = {}
        self._further: dict[Network, list[Tuned]] = {}
        self._failed: dict[Network, Exception] = {}
        self._out_of_fold: dict[str, Tensor] = {}
        self._tuners = dict(tuners)
        self._folds: dict[int, Tensor] = {}
        self._bags: dict[tuple[Role, str, int], list[Bag]] = {}

    @cached_property
    def server(self) -> StudyServer | None:
        """Where studies lie that several drivers work on; None: in the folder."""
        if not self.job.storage:
            return None
        from experts.tuning.shared import StudyServer

        return StudyServer(self.job.storage, self.job.key, lambda words: self.notify(self.job.name, words, SAME))

    def drivers(self, networks: Iterable[Network]) -> int:
        """The most drivers that asked for the trials of a study of these networks, or of one that set their floor."""
        families = {family for _, family in networks}
        found = [
            tuned.drivers
            for (role, family), tuned in self._found.items()
            if (role, family) in set(networks) or (role == "utility" and family in families)
        ]
        return max(found, default=1)

    def plan(self, networks: Iterable[Network]) -> None:
        """Tune all of these; the progress bar knows how many they are.

        What cannot be tuned raises when it is asked for (:meth:`of`): only methods that stand on it fail.
        """
        for network in dict.fromkeys(networks):
            self._try(network)

    def of(self, role: Role, repeat: int, family: str = PLAIN) -> Tuned:
        """A role's tuned expert in one repetition; raises what its tuning raised."""
        self._try((role, family))
        if error := self._failed.get((role, family)):
            raise error.with_traceback(None)
        return self._repeated(role, family)[repeat - 1] if repeat else self._found[role, family]

    def has(self, network: Network) -> bool:
        """Whether a network could be tuned."""
        self._try(network)
        return network in self._found

    def _try(self, network: Network) -> None:
        """Tune a network, once; an error is kept for all that stand on it."""
        if network in self._found or network in self._failed:
            return
        try:
            self._found[network] = self._tuned(*network)
        except Exception as error:
            words = self.job.name, network_name(*network), error
            log.warning("%s: %s could not be tuned: %s", *words, exc_info=None if explain(error) else error)
            self._failed[network] = error

    def floor(self, family: str = PLAIN) -> float:
        """Validation utility that a fair choice must reach."""
        return self.of("utility", 0, family).best_score - self.job.epsilon

    def logits_oof(self, family: str) -> Tensor:
        """[n_train, 3] out-of-fold logits of a family's roles: what gates learn from.

        They say how far a chosen configuration can be trusted on rows that it has not seen, and are the same for all
        seeds: the first seed's.
        """
        if family not in self._out_of_fold:
            self.notify(self.job.name, f"out of fold {family}", SAME)
            place = self.folder / OUT_OF_FOLD / f"{family}-{self.view.hash[:16]}.safetensors"
            if not place.exists():
                made = self._made_out_of_fold(family)
                with atomic_path(place) as temporary:
                    save_file({"logits": made.contiguous()}, temporary)
            self._out_of_fold[family] = load_file(place)["logits"]
        return self._out_of_fold[family]

    def _made_out_of_fold(self, family: str) -> Tensor:
        tuned = [self.of(role, 0, family) for role in ROLES]
        seed = derive_seed(self.job.seed_of(0), "folds")
        with self.ledger.clock(f"out of fold {family}"):
            return self._tuner(family).out_of_fold(
                self.view, tuned, budget=self.budget, folds=self.job.folds, seed=seed
            )

    def bag_folds(self, repeat: int) -> Tensor:
        """[n] fold of each training and validation row in one repetition."""
        if repeat not in self._folds:
            seed = derive_seed(self.job.seed_of(repeat), "bag folds")
            self._folds[repeat] = bag_folds(self.view, self.job.bag_folds, seed)
        return self._folds[repeat]

    def bags(self, role: Role, repeat: int, family: str = PLAIN) -> list[Bag]:
        """Configurations of the first seed's study on folds of training and validation rows, the chosen one first.

        Which ones depends on the study alone (:func:`member_trials`), so that a configuration's bag is the
        same whatever else a suite asks for. Another repetition deals other folds.
        """
        key = (role, family, repeat)
        if key not in self._bags:
            tuned, name = self.of(role, 0, family), network_name(role, family)
            trials, fold = member_trials(tuned), self.bag_folds(repeat)
            store = BagStore(self.folder / BAGS, load_expert)
            settings = {"trials": trials, "folds": self.job.bag_folds, "repeat": repeat, "view": self.view.hash}
            self.notify(self.job.name, f"bag {name}", SAME)
            with self.ledger.clock(f"bag {name}", seed=repeat):
                self._bags[key] = store.bags(
                    name, settings, lambda: self._tuner(family).bag(
                        self.view, tuned, trials, budget=self.budget, fold=fold
                    ),
                )  # fmt: skip
        return self._bags[key]

    def forget_bags(self) -> None:
        """Remove the bags from disk: they are there for an interrupted job, and weigh more than all else of it."""
        shutil.rmtree(self.folder / BAGS, ignore_errors=True)

    def twin(self, role: Role, repeat: int, family: str = PLAIN) -> Expert:
        """The same expert without its fairness terms."""
        return self._tuner(family).twin(self.view, self.of(role, repeat, family))

    def trial_probabilities(self, role: Role, rows: Tensor, family: str = PLAIN) -> Tensor:
        """[trials, r] probabilities by all trials of a role, nan by one that failed."""
        return self._tuner(family).trial_probabilities(self.view, self.of(role, 0, family), rows)

    def trial_expert(self, role: Role, number: int, family: str = PLAIN) -> Expert:
        """The model of a trial of a role."""
        return self._tuner(family).trial_expert(self.view, self.of(role, 0, family), number)

    def _tuner(self, family: str) -> Tuner[Any]:
        if family not in self._tuners:
            self._tuners[family] = family_named(family).tuner()
        return self._tuners[family]

    def _tuned(self, role: Role, family: str) -> Tuned:
        job, name = self.job, network_name(role, family)

        def progress(done: int, total: int) -> None:
            self.ledger.reached(f"tune {name}", done / total)
            self.notify(job.name, f"tune {name}", SAME)

        tuner = self._tuner(family)
        floor = None if role == "utility" else self.floor(family)
        self.folder.mkdir(parents=True, exist_ok=True)
        with self.ledger.clock(f"tune {name}"):
            first: Tuned = tuner.tune(
                self.view, role, seeds=[job.seed_of(0)], folder=self.folder, budget=self.budget,
                trials=job.trials_of((role, family)),
                batch=job.batch, space=job.space, utility_floor=floor, epsilon=job.epsilon,
                layers=job.graph_layers, progress=progress, server=self.server,
            )[0]  # fmt: skip
        return first

    def _repeated(self, role: Role, family: str) -> list[Tuned]:
        """The chosen configuration with all further seeds, which are trained together."""
        job, network, name = self.job, (role, family), network_name(role, family)
        if network not in self._further:
            further = [job.seed_of(repeat) for repeat in range(1, job.seeds)]
            self.notify(job.name, f"repeat {name}", SAME)
            with self.ledger.clock(f"repeat {name}", shared_by=len(further)):
                self._further[network] = self._tuner(family).repeat(self.view, self._found[network], further)
        return self._further[network]

    def summarise(self) -> None:
        """Write the summary of the three roles of the tabular experts."""
        write_summary([self.of(role, 0) for role in ROLES], self.folder)
