"""Tuning of a role: batches of trials are asked at once, trained at once as lanes, told at once.

Fair roles are tuned under constraints; see :mod:`experts.trials`.
"""

from __future__ import annotations

import dataclasses
import logging
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from experts.expert import Role
from experts.lane_metrics import lane_probabilities
from experts.lanes import LaneParameters
from experts.mlp import MLPExpert
from experts.out_of_fold import Recipe
from experts.search_space import search_space
from experts.trainer import Budget, LaneConfig, LaneResult, train_lanes
from experts.trial_store import Row, TrialStore
from experts.trials import (
    Asked,
    Weights,
    choose,
    direction_of,
    floor_of,
    pareto_front,
    quiet_optuna,
    role_named,
    run_batches,
    trial_row,
)
from experts.tuning_results import file_stem, save_tuning
from metrics.points import rarer_share
from tasks.seeding import derive_seed
from tasks.task import TaskView

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Tuning:
    """A tuned role: the chosen trial with the weights that it had when it was chosen.

    Attributes
    ----------
    best_score : float
        Role score of the chosen trial on validation rows: utility@1, fair_res@1 or fair_proc@1.
    expert : MLPExpert
        The chosen trial itself, never retrained.
    lane, train_seed : LaneConfig, int
        What it takes to train the same lane again (:func:`experts.twin.train_fixed`).
    step : int
        Optimiser step of the chosen checkpoint.
    trials : list of dict
        number, params, metrics, objective, constraints (met when ≤ 0), feasible, degenerate, state, reason, step.
    pareto : list of int
        Numbers of the completed trials that no other one beats in both utility and the role's gap.
    floor, epsilon : float or None
        Least validation utility of a feasible trial, and how far below the utility expert's it lies.
    feasible : bool
        False: no trial met the constraints, and the trial of the highest utility was taken instead.
    note : str
        Says so, in words.
    place : str
        Sub-folder of the results: ``seed_<n>`` when several seeds were tuned together, else empty.
    """

    role: Role
    dataset: str
    seed: int
    best_trial: int
    best_params: dict[str, float]
    best_metrics: dict[str, float | None]
    best_score: float
    expert: MLPExpert
    lane: LaneConfig
    train_seed: int
    step: int
    trials: list[Row]
    pareto: list[int]
    floor: float | None
    epsilon: float | None
    feasible: bool
    note: str
    space: str
    budget: Budget
    view_hash: str
    place: str = ""

    @property
    def recipe(self) -> Recipe:
        """What :func:`experts.out_of_fold.out_of_fold_logits` needs to train the same expert on folds."""
        return Recipe(self.role, self.lane, self.step)


def tune(view: TaskView, role: Role | str, *, seed: int, **settings: Any) -> Tuning:
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
    utility_floor: float | Tuning | None = None,
    epsilon: float | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> list[Tuning]:
    """Tune one role for several seeds at once: their batches train as lanes of one program.

    Parameters
    ----------
    view : TaskView
        Training rows fit the lanes, validation rows choose; test rows are not touched.
    role : str
        A role or its alias (``expert1|2|3``).
    seeds : sequence of int
        One independent study each. Halving ranks the lanes of all of them together.
    folder : Path
        Gets the results, the chosen weights and the trials so far; the same call with the same folder goes on
        after a kill and ends in the same numbers. Several seeds: results in ``seed_<n>`` below it.
    budget : Budget
        Of a batch of lanes.
    trials, batch : int
        Trials per seed, and how many of them are trained at once; the first batch is drawn at random.
    space : str
        ``published`` or ``wide``: see :mod:`experts.search_space`.
    utility_floor : float or Tuning, optional
        Required for fair roles. A float is the floor itself; the tuned utility expert of the same view gives
        ``its validation utility − epsilon``.
    epsilon : float, optional
        Default 0.02 with a Tuning; with a float it is only stated in the results.
    progress : callable, optional
        Called with (steps done, steps in all).

    Returns
    -------
    list of Tuning
        In the order of ``seeds``.

    Raises
    ------
    TuningError
        If every trial of a seed failed; the text gives the reasons.
    ResumeError
        If the folder was made under other settings.
    """
    name = role_named(role)
    reached = utility_floor.best_score if isinstance(utility_floor, Tuning) else None
    given = None if isinstance(utility_floor, Tuning) else utility_floor
    floor, margin = floor_of(name, given, reached, epsilon)
    plan = _Plan(view, name, tuple(seeds), trials, batch, space, budget, floor)
    store = _open_store(plan, folder)
    with quiet_optuna():
        run_batches(
            store,
            plan.role,
            search_space(plan.role, plan.space),
            trials=trials,
            batch=batch,
            train=lambda asked, finished: _train(plan, asked, _shifted(progress, plan, finished)),
        )
    results = [_conclude(plan, store, seed, margin) for seed in plan.seeds]
    for result in results:
        save_tuning(result, folder)
    return results


@dataclass(frozen=True)
class _Plan:
    view: TaskView
    role: Role
    seeds: tuple[int, ...]
    trials: int
    batch: int
    space: str
    budget: Budget
    floor: float | None

    @property
    def train_seed(self) -> int:
        return derive_seed(self.seeds[0], "lanes")

    def lane(self, seed: int, number: int, params: Mapping[str, float]) -> LaneConfig:
        lambdas = {key: value for key, value in params.items() if key.startswith("lambda_")}
        lane_seed = derive_seed(seed, "lane", self.role, number)
        return LaneConfig(params["lr"], params["weight_decay"], lambdas, lane_seed)

    def settings(self) -> dict[str, Any]:
        """What determines the trials; the number of trials does not, so that a study can be prolonged."""
        budget = dataclasses.asdict(self.budget)
        shared = {"role": self.role, "seeds": self.seeds, "batch": self.batch, "space": self.space}
        return {**shared, "view": self.view.hash, "floor": self.floor, "budget": budget}


def _open_store(plan: _Plan, folder: Path) -> TrialStore:
    place = folder / f"{file_stem(plan.view.name)}_{plan.role}_trials"
    space = search_space(plan.role, plan.space)
    with quiet_optuna():
        return TrialStore(place, plan.settings(), plan.seeds, space, direction_of(plan.role))


def _train(plan: _Plan, asked: Asked, progress: Callable[[int, int], None] | None) -> tuple[list[Row], list[Weights]]:
    """Rows and weights of a batch of trials, trained as lanes of one program."""
    configs = [plan.lane(seed, trial.number, trial.params) for seed, trial in asked]
    lanes = train_lanes(
        plan.view,
        plan.role,
        configs,
        plan.budget,
        seed=plan.train_seed,
        utility_floor=plan.floor,
        progress=progress,
    )
    shares = _rarer_shares(plan.view, lanes)
    rows = [
        trial_row(
            trial,
            plan.role,
            metrics=lanes.metrics[lane],
            objective=lanes.objective[lane],
            state=lanes.state[lane],
            reason=lanes.reason[lane],
            step=int(lanes.step[lane]),
            rarer_share=shares[lane],
            floor=plan.floor,
        )
        for lane, (_, trial) in enumerate(asked)
    ]
    return rows, [{"theta": theta} for theta in lanes.parameters.theta]


def _shifted(
    progress: Callable[[int, int], None] | None, plan: _Plan, finished: int
) -> Callable[[int, int], None] | None:
    if progress is None:
        return None
    batches, before = math.ceil(plan.trials / plan.batch), math.ceil(finished / plan.batch)
    return lambda done, steps: progress(before * steps + done, batches * steps)


def _rarer_shares(view: TaskView, lanes: LaneResult) -> list[float]:
    """Share of validation rows in each lane's rarer predicted class."""
    probability = lane_probabilities(lanes.parameters, view.features[view.split.validation])
    shares: list[float] = rarer_share(probability).tolist()
    return shares


def _conclude(plan: _Plan, store: TrialStore, seed: int, epsilon: float | None) -> Tuning:
    rows = store.rows[seed]
    best, note = choose(rows, plan.role, plan.floor)
    if note:
        log.warning("%s, %s role: %s", plan.view.name, plan.role, note)
    return Tuning(
        role=plan.role,
        dataset=plan.view.name,
        seed=seed,
        best_trial=best["number"],
        best_params=best["params"],
        best_metrics=best["metrics"],
        best_score=best["objective"],
        expert=_expert(plan, store.weights(seed, best["number"])),
        lane=plan.lane(seed, best["number"], best["params"]),
        train_seed=plan.train_seed,
        step=best["step"],
        trials=rows,
        pareto=pareto_front(rows, plan.role),
        floor=plan.floor,
        epsilon=epsilon,
        feasible=best["feasible"],
        note=note,
        space=plan.space,
        budget=plan.budget,
        view_hash=plan.view.hash,
        place=f"seed_{seed}" if len(plan.seeds) > 1 else "",
    )


def _expert(plan: _Plan, weights: Mapping[str, Any]) -> MLPExpert:
    d = len(plan.view.feature_names)
    parameters = LaneParameters(weights["theta"][None], d, plan.budget.hidden)
    return MLPExpert.of_lane(plan.view, plan.role, parameters)
