"""The tuner of families that are trained as lanes."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from torch import Tensor

from experts.bagging.bag import Bag
from experts.expert import Expert, Role
from experts.networks.network import Network
from experts.networks.trainer import Budget
from experts.networks.twin import twin
from experts.tuning.bagged_lanes import bag_networks, lane_of_trial
from experts.tuning.networks import TunedNetwork, trial_expert, trial_probabilities, tune_seeds
from experts.tuning.out_of_fold import out_of_fold_logits
from experts.tuning.repeats import repeat
from experts.tuning.study import Progress
from experts.tuning.trials import trained_row
from experts.tuning.tuned import Tuned
from tasks.task import TaskView

if TYPE_CHECKING:
    from experts.tuning.shared import StudyServer


@dataclass(frozen=True)
class NetworkTuner:
    """:class:`experts.tuning.tuner.Tuner` of a kind of network.

    Attributes
    ----------
    network : callable
        From a number of layers to the network.
    """

    network: Callable[[int], Network]

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
    ) -> list[TunedNetwork]:
        """Batches of trials are trained as lanes of one program."""
        return tune_seeds(
            view,
            role,
            seeds=seeds,
            folder=folder,
            budget=budget,
            trials=trials,
            batch=batch,
            space=space,
            utility_floor=utility_floor,
            epsilon=epsilon,
            network=self.network(layers),
            progress=progress,
            server=server,
        )

    def repeat(self, view: TaskView, tuned: TunedNetwork, seeds: Sequence[int]) -> list[TunedNetwork]:
        """All repeats are lanes of one program."""
        return repeat(view, tuned, seeds)

    def twin(self, view: TaskView, tuned: TunedNetwork) -> Expert:
        """The chosen lane with every λ at 0."""
        return twin(view, tuned)

    def out_of_fold(
        self, view: TaskView, tuned_roles: Sequence[TunedNetwork], *, budget: Budget, folds: int, seed: int
    ) -> Tensor:
        """[n_train, roles]; the folds of a role are lanes of one program."""
        recipes = [tuned.recipe for tuned in tuned_roles]
        return out_of_fold_logits(view, recipes, budget=budget, folds=folds, seed=seed)

    def bag(
        self, view: TaskView, tuned: TunedNetwork, trials: Sequence[int], *, budget: Budget, fold: Tensor
    ) -> list[Bag]:
        """All pairs of a trial and a fold are lanes of one program."""
        return bag_networks(view, tuned, trials, budget=budget, fold=fold)

    def trial_probabilities(self, view: TaskView, tuned: TunedNetwork, rows: Tensor) -> Tensor:
        """[trials, r] of all trials at once."""
        return trial_probabilities(view, tuned, rows)

    def trial_expert(self, view: TaskView, tuned: TunedNetwork, number: int) -> Expert:
        """The lane of a trial."""
        return trial_expert(view, tuned, number)

    def trial_again(self, view: TaskView, tuned: TunedNetwork, number: int, seed: int) -> Expert:
        """One lane, trained to its end."""
        params = trained_row(tuned, number)["params"]
        lane = lane_of_trial(tuned, number)
        chosen = dataclasses.replace(tuned, best_trial=number, best_params=params, lane=lane)
        return repeat(view, chosen, [seed])[0].expert
