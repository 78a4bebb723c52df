"""Tuning of networks on tables and graphs: batches of trials are trained at once, as lanes of one program."""

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from optuna.distributions import BaseDistribution
from torch import Tensor

from experts.expert import ALIASES, Expert, Role
from experts.networks.lane_expert import LaneExpert
from experts.networks.lanes import LaneParameters
from experts.networks.network import MLP, Network
from experts.networks.trainer import Budget, LaneConfig, LaneResult, train_lanes
from experts.tuning.out_of_fold import Recipe
from experts.tuning.search_space import describe, search_space
from experts.tuning.study import Plan, Progress, Trained, run_study
from experts.tuning.trials import TRAINED, Asked, trained_row
from experts.tuning.tuned import Choice, Tuned, file_stem
from foundation.files import atomic_path
from foundation.seeding import derive_seed
from metrics.points import rarer_share
from tasks.task import TaskView

if TYPE_CHECKING:
    from experts.tuning.shared import StudyServer

EXPERT_TYPE = {**{role: alias for alias, role in ALIASES.items()}, "combined": "combined"}


@dataclass(frozen=True, kw_only=True)
class TunedNetwork(Tuned):
    """A tuned network: the chosen trial with the weights that it had when it was chosen.

    Attributes
    ----------
    expert : LaneExpert
        The chosen trial itself, never retrained.
    lane, train_seed : LaneConfig, int
        What it takes to train the same lane again (:func:`experts.networks.twin.train_fixed`).
    network : Network
        What lanes are.
    candidates : LaneParameters or None
        Weights of all trials that did not fail, those that halving stopped among them, in the order of ``trials``
        (:func:`trial_probabilities`).
    """

    expert: LaneExpert
    lane: LaneConfig
    train_seed: int
    space: str
    budget: Budget
    network: Network = MLP
    candidates: LaneParameters | None = None

    @property
    def recipe(self) -> Recipe:
        """What :func:`experts.tuning.out_of_fold.out_of_fold_logits` needs to train the same expert on folds."""
        return Recipe(self.role, self.lane, self.step, self.network)

    @property
    def files(self) -> dict[str, str]:
        """Results, and the copy of the weights."""
        return {**super().files, "weights": f"{self.stem}_best.safetensors"}

    def details(self) -> dict[str, Any]:
        """Space, budget and what the network is."""
        return {
            **self.network.settings(),
            "expert_type": EXPERT_TYPE[self.role],
            "space": {"name": self.space, "parameters": describe(self.role, self.space)},
            "budget": dataclasses.asdict(self.budget),
        }

    def save_expert(self, folder: Path) -> None:
        """Write the chosen expert, and a copy of its weights beside its folder."""
        super().save_expert(folder)
        (weights,) = (folder / f"{self.stem}_best").glob("*.safetensors")
        with atomic_path(folder / self.files["weights"]) as temporary:
            shutil.copyfile(weights, temporary)


def tune(view: TaskView, role: Role | str, *, seed: int, **settings: Any) -> TunedNetwork:
    """Tune one role with one seed: :func:`tune_seeds` for a single seed."""
    return tune_seeds(view, role, seeds=(seed,), **settings)[0]


def tune_seeds(
    view: TaskView,
    role: Role | str,
    *,
    seeds: Sequence[int],
    folder: Path,
    budget: Budget,
    trials: int = 30,
    batch: int = 15,
    space: str = "published",
    utility_floor: float | Tuned | None = None,
    epsilon: float | None = None,
    network: Network = MLP,
    progress: Progress | None = None,
    server: StudyServer | None = None,
) -> list[TunedNetwork]:
    """Tune one role for several seeds at once: their batches train as lanes of one program.

    Parameters
    ----------
    view : TaskView
        Training rows fit the lanes, validation rows choose; test rows are not touched.
    role : str
        A role or its alias (``expert1|2|3``).
    seeds : sequence of int
        One independent study each. Halving ranks the lanes of all of them together.
    folder, progress, server
        As :func:`experts.tuning.study.run_study` takes them.
    budget : Budget
        Of a batch of lanes.
    trials, batch : int
        Trials per seed, and how many of them are trained at once; the first batch is drawn at random.
    space : str
        ``published`` or ``wide``: see :mod:`experts.tuning.search_space`.
    utility_floor, epsilon
        As :meth:`experts.tuning.study.Plan.of` takes them; fair roles need a floor.
    network : Network, optional
        What lanes are; default: tabular networks.

    Returns
    -------
    list of TunedNetwork
        In the order of ``seeds``.

    Raises
    ------
    TuningError
        If every trial of a seed failed; the text gives the reasons.
    ResumeError
        If the folder was made under other settings.
    ExpertError
        If the task lacks what the network reads, such as edges.
    """
    plan = Plan.of(view, role, seeds, trials, batch, utility_floor, epsilon)
    network.inputs(view)  # a task without edges is refused before anything is written
    return run_study(_Networks(plan, space, budget, network), folder, progress, server)


@dataclass(frozen=True)
class _Networks:
    """Lanes as the subject of a study."""

    plan: Plan
    space_name: str
    budget: Budget
    network: Network

    @property
    def owner(self) -> str:
        return "_".join(filter(None, (file_stem(self.plan.view.name), self.network.name)))

    @property
    def train_seed(self) -> int:
        return derive_seed(self.plan.seeds[0], "lanes")

    def settings(self) -> dict[str, Any]:
        return {"space": self.space_name, "budget": dataclasses.asdict(self.budget), **self.network.settings()}

    def space(self) -> Mapping[str, BaseDistribution]:
        return search_space(self.plan.role, self.space_name)

    def first(self) -> Sequence[Mapping[str, Any]]:
        return ()

    def lane(self, seed: int, number: int, params: Mapping[str, float]) -> LaneConfig:
        lambdas = {key: value for key, value in params.items() if key.startswith("lambda_")}
        return LaneConfig(params["lr"], params["weight_decay"], lambdas, lane_seed(seed, self.plan.role, number))

    def train(self, asked: Asked, progress: Progress | None) -> Trained:
        plan = self.plan
        lanes = train_lanes(
            plan.view,
            plan.role,
            [self.lane(seed, trial.number, trial.params) for seed, trial in asked],
            self.budget,
            seed=self.train_seed,
            utility_floor=plan.floor,
            network=self.network,
            progress=progress,
        )
        return Trained(lanes, self._rarer_shares(lanes), [{"theta": theta} for theta in lanes.parameters.theta])

    def _rarer_shares(self, lanes: LaneResult) -> list[float]:
        view = self.plan.view
        margins = self.network.inputs(view).margins(lanes.parameters, view.split.validation)
        shares: list[float] = rarer_share(torch.sigmoid(margins)).tolist()
        return shares

    def tuned(self, choice: Choice, weights: Callable[[int], dict[str, Tensor]]) -> TunedNetwork:
        view = self.plan.view

        def parameters(numbers: Sequence[int]) -> LaneParameters:
            theta = torch.stack([weights(number)["theta"] for number in numbers])
            return self.network.inputs(view).networks(theta, self.budget.hidden)

        trained = [row["number"] for row in choice.trials if row["state"] in TRAINED]
        return TunedNetwork(
            **vars(choice),
            expert=self.network.expert(view, self.plan.role, parameters([choice.best_trial])),
            lane=self.lane(choice.seed, choice.best_trial, choice.best_params),
            train_seed=self.train_seed,
            space=self.space_name,
            budget=self.budget,
            network=self.network,
            candidates=parameters(trained),
        )


def lane_seed(seed: int, role: Role, number: int) -> int:
    """Seed of the initial weights of a trial's lane."""
    return derive_seed(seed, "lane", role, number)


def trial_probabilities(view: TaskView, tuned: TunedNetwork, rows: Tensor) -> Tensor:
    """[trials, r] probabilities of class 1 that the trials of a tuned role give rows: place k is trial number k.

    What a choice among all trained networks needs, at another fairness level than the one they were tuned for. A trial
    that halving stopped answers with the best checkpoint that it had; one that failed is a row of nan.

    Raises
    ------
    ValueError
        If the record does not carry the weights of its trials.
    """
    if tuned.candidates is None:
        raise ValueError(f"This record of the {tuned.role} role does not carry its trials' weights; tune it again.")
    trained = [place for place, row in enumerate(tuned.trials) if row["state"] in TRAINED]
    found = torch.full((len(tuned.trials), len(rows)), torch.nan)
    found[trained] = torch.sigmoid(tuned.network.inputs(view).margins(tuned.candidates, rows))
    return found


def trial_expert(view: TaskView, tuned: TunedNetwork, number: int) -> Expert:
    """The network of a trial; of one that halving stopped, the best checkpoint that it had.

    Raises
    ------
    UnknownTrialError
        If the study has no such trial, or it failed.
    ValueError
        If the record does not carry the weights of its trials.
    """
    if number == tuned.best_trial:
        return tuned.expert
    if tuned.candidates is None:
        raise ValueError(f"This record of the {tuned.role} role does not carry its trials' weights; tune it again.")
    trained = [row["number"] for row in tuned.trials if row["state"] in TRAINED]
    place = trained.index(trained_row(tuned, number)["number"])
    return tuned.network.expert(view, tuned.role, tuned.candidates, place)
