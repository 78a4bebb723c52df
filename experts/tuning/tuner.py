"""What a family of experts does with a role: tune it, repeat it, leave its fairness terms out, train it on folds."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, TypeVar

from torch import Tensor

from experts.bagging.bag import Bag
from experts.expert import Expert, Role
from experts.networks.trainer import Budget
from experts.tuning.study import Progress
from experts.tuning.tuned import Tuned
from tasks.task import TaskView

if TYPE_CHECKING:
    from experts.tuning.shared import StudyServer

T = TypeVar("T", bound=Tuned)


class Tuner(Protocol[T]):
    """How experts of a family come about; ``T`` is the family's own record of a tuned role."""

    def tune(
        self,
        view: TaskView,
        role: Role,
        *,
        seeds: Sequence[int],
        folder: Path,
        budget: Budget,
        trials: int,
        batch: int,
        space: str,
        utility_floor: float | Tuned | None,
        epsilon: float | None,
        layers: int,
        progress: Progress | None = None,
        server: StudyServer | None = None,
    ) -> list[T]:
        """A tuned role for every seed; see :func:`experts.tuning.study.run_study`.

        Parameters
        ----------
        view, role, seeds, trials, batch, utility_floor, epsilon
            As :meth:`experts.tuning.study.Plan.of` takes them.
        folder, progress, server
            As :func:`experts.tuning.study.run_study` takes them.
        budget : Budget
            Of networks; other families may not look at it.
        space : str
            ``published`` or ``wide``, for families that have both.
        layers : int
            Depth, for families that have one.
        """
        ...

    def repeat(self, view: TaskView, tuned: T, seeds: Sequence[int]) -> list[T]:
        """The chosen configuration, trained again with other seeds: what a seed alone changes."""
        ...

    def twin(self, view: TaskView, tuned: T) -> Expert:
        """The λ = 0 twin: what the tuned expert would be without its fairness terms, all else equal."""
        ...

    def out_of_fold(self, view: TaskView, tuned_roles: Sequence[T], *, budget: Budget, folds: int, seed: int) -> Tensor:
        """[n_train, roles] logit margins of training rows by models trained without them.

        Folds are those of :func:`experts.tuning.folds.fold_of_rows`, so that families stand in one mixture.
        """
        ...

    def bag(self, view: TaskView, tuned: T, trials: Sequence[int], *, budget: Budget, fold: Tensor) -> list[Bag]:
        """Bags of some trials of the study, those that halving stopped among them; failed ones are refused.

        Parameters
        ----------
        view, tuned, budget
        trials : sequence of int
            Numbers of the study.
        fold : [n] int64
            Of :func:`experts.bagging.folds.bag_rows`.
        """
        ...

    def trial_probabilities(self, view: TaskView, tuned: T, rows: Tensor) -> Tensor:
        """[trials, r] probabilities of class 1: place k is trial number k, a row of nan if it failed."""
        ...

    def trial_expert(self, view: TaskView, tuned: T, number: int) -> Expert:
        """The model that answers for a trial in :meth:`trial_probabilities`; the chosen trial is ``tuned.expert``.

        Raises
        ------
        experts.tuning.trials.UnknownTrialError
            If the study has no such trial, or it failed.
        """
        ...

    def trial_again(self, view: TaskView, tuned: T, number: int, seed: int) -> Expert:
        """The configuration of a trial, trained again with another seed as :meth:`repeat` trains the chosen one.

        Raises
        ------
        experts.tuning.trials.UnknownTrialError
            If the study has no such trial, or it failed.
        """
        ...
