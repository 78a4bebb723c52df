"""Tuning of a role: batches of trials are asked at once, trained at once as lanes, told at once.

Fair roles are tuned under constraints; see :mod:`experts.tuning.trials`.
"""

from __future__ import annotations

import dataclasses
import logging
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from experts.expert import Role
from experts.graph.expert import GraphExpert, expert_of_lane
from experts.graph.inputs import lane_inputs
from experts.graph.settings import GraphSettings
from experts.networks.lanes import LaneParameters
from experts.networks.mlp import MLPExpert
from experts.networks.trainer import Budget, LaneConfig, LaneResult, train_lanes
from experts.tuning.out_of_fold import Recipe
from experts.tuning.results import file_stem, save_tuning
from experts.tuning.search_space import search_space
from experts.tuning.trial_store import Row, TrialStore
from experts.tuning.trials import (
    Asked,
    TuningError,
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
from foundation.seeding import derive_seed
from metrics.points import rarer_share
from tasks.task import TaskView

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Tuning:
    """A tuned role: the chosen trial with the weights that it had when it was chosen.

    Attributes
    ----------
    best_score : float
        Role score of the chosen trial on validation rows: utility@1, fair_res@1 or fair_proc@1.
    expert : MLPExpert or GraphExpert
        The chosen trial itself, never retrained.
    lane, train_seed : LaneConfig, int
        What it takes to train the same lane again (:func:`experts.networks.twin.train_fixed`).
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
    graph : GraphSettings or None
        The graph network; None for a tabular one.
    networks : LaneParameters or None
        Weights of the completed trials, in the order of ``trials`` (:func:`trial_probabilities`).
    """

    role: Role
    dataset: str
    seed: int
    best_trial: int
    best_params: dict[str, float]
    best_metrics: dict[str, float | None]
    best_score: float
    expert: MLPExpert | GraphExpert
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
    graph: GraphSettings | None = None
    networks: LaneParameters | None = None

    @property
    def recipe(self) -> Recipe:
        """What :func:`experts.tuning.out_of_fold.out_of_fold_logits` needs to train the same expert on folds."""
        return Recipe(self.role, self.lane, self.step, self.graph)


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
    graph: GraphSettings | None = None,
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
        ``published`` or ``wide``: see :mod:`experts.tuning.search_space`.
    utility_floor : float or Tuning, optional
        Required for fair roles. A float is the floor itself; the tuned utility expert of the same view gives
        ``its validation utility − epsilon``.
    epsilon : float, optional
        Default 0.02 with a Tuning; with a float it is only stated in the results.
    graph : GraphSettings, optional
        Tune graph networks of this kind and depth; default: tabular ones.
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
    ExpertError
        If graph networks are asked for and the task has no edges.
    """
    name = role_named(role)
    reached = utility_floor.best_score if isinstance(utility_floor, Tuning) else None
    given = None if isinstance(utility_floor, Tuning) else utility_floor
    floor, margin = floor_of(name, given, reached, epsilon)
    lane_inputs(view, graph)  # a task without edges is refused before anything is written
    plan = _Plan(view, name, tuple(seeds), trials, batch, space, budget, floor, graph)
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
    graph: GraphSettings | None

    @property
    def train_seed(self) -> int:
        return derive_seed(self.seeds[0], "lanes")

    def lane(self, seed: int, number: int, params: Mapping[str, float]) -> LaneConfig:
        lambdas = {key: value for key, value in params.items() if key.startswith("lambda_")}
        return LaneConfig(params["lr"], params["weight_decay"], lambdas, _lane_seed(seed, self.role, number))

    def settings(self) -> dict[str, Any]:
        """What determines the trials; the number of trials does not, so that a study can be prolonged."""
        budget = dataclasses.asdict(self.budget)
        shared = {"role": self.role, "seeds": self.seeds, "batch": self.batch, "space": self.space}
        graph = {} if self.graph is None else {"graph": dataclasses.asdict(self.graph)}
        return {**shared, "view": self.view.hash, "floor": self.floor, "budget": budget, **graph}


def _lane_seed(seed: int, role: Role, number: int) -> int:
    return derive_seed(seed, "lane", role, number)


def _open_store(plan: _Plan, folder: Path) -> TrialStore:
    place = folder / f"{file_stem(plan.view.name, plan.graph)}_{plan.role}_trials"
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
        graph=plan.graph,
        progress=progress,
    )
    shares = _rarer_shares(plan, lanes)
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


def _rarer_shares(plan: _Plan, lanes: LaneResult) -> list[float]:
    """Share of validation rows in each lane's rarer predicted class."""
    margins = lane_inputs(plan.view, plan.graph).margins(lanes.parameters, plan.view.split.validation)
    shares: list[float] = rarer_share(torch.sigmoid(margins)).tolist()
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
        expert=expert_of_lane(plan.view, plan.role, plan.graph, _networks(plan, store, seed, [best["number"]])),
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
        graph=plan.graph,
        networks=_networks(plan, store, seed, [row["number"] for row in rows if row["state"] == "COMPLETE"]),
    )


def _networks(plan: _Plan, store: TrialStore, seed: int, numbers: Sequence[int]) -> LaneParameters:
    """Weights of some trials."""
    theta = torch.stack([store.weights(seed, number)["theta"] for number in numbers])
    return lane_inputs(plan.view, plan.graph).networks(theta, plan.budget.hidden)


def trial_probabilities(view: TaskView, tuning: Tuning, rows: Tensor) -> Tensor:
    """[trials, r] probabilities of class 1 that the completed trials of a tuned role give rows, in their order.

    What a choice among all trained networks needs, at another fairness level than the one they were tuned for.

    Raises
    ------
    ValueError
        If the tuning does not carry the weights of its trials.
    """
    if tuning.networks is None:
        raise ValueError(f"This tuning of the {tuning.role} role does not carry its trials' weights; tune it again.")
    return torch.sigmoid(lane_inputs(view, tuning.graph).margins(tuning.networks, rows))


def repeat_tuning(view: TaskView, tuning: Tuning, seeds: Sequence[int]) -> list[Tuning]:
    """The chosen configuration of a tuned role, trained again with other seeds: what a seed alone changes.

    All repeats are lanes of one program. Each seed decides a lane's initial weights; batch order and dropout are
    those of the first seed. No repeat is pruned, and each chooses its checkpoint as the tuned expert did, so
    :func:`experts.networks.twin.twin` and :func:`experts.tuning.out_of_fold.out_of_fold_logits` train a repeat's own
    lane.

    Parameters
    ----------
    view : TaskView
        The view that was tuned on.
    tuning : Tuning
    seeds : sequence of int

    Returns
    -------
    list of Tuning
        In the order of ``seeds``; trials and their weights are those of the search.

    Raises
    ------
    TuningError
        If a repeat failed; the text gives its seed and the reason.
    ValueError
        If there is no seed, or the view is not the one that was tuned on.
    """
    if not seeds or view.hash != tuning.view_hash:
        raise ValueError(
            f"Repeats need seeds (given: {list(seeds)}) and the view that was tuned on (hash {tuning.view_hash[:12]}, "
            f"given: {view.hash[:12]})."
        )
    train_seed = derive_seed(seeds[0], "lanes")
    lanes = [dataclasses.replace(tuning.lane, seed=_lane_seed(seed, tuning.role, tuning.best_trial)) for seed in seeds]
    result = train_lanes(
        view,
        tuning.role,
        lanes,
        dataclasses.replace(tuning.budget, rungs=()),
        seed=train_seed,
        utility_floor=tuning.floor,
        graph=tuning.graph,
    )
    repeat = dataclasses.replace(tuning, train_seed=train_seed)
    return [_repeated(view, repeat, seed, result, (place, lanes[place])) for place, seed in enumerate(seeds)]


def _repeated(view: TaskView, tuning: Tuning, seed: int, result: LaneResult, lane: tuple[int, LaneConfig]) -> Tuning:
    """The tuning with what came out of a lane: its place and configuration."""
    place, config = lane
    if result.state[place] == "failed" or result.step[place] == 0:
        reason = result.reason[place] or "its metrics are not estimable on the validation rows."
        raise TuningError(f"The {tuning.role} role on {view.name}, trained again with seed {seed}, failed: {reason}")
    feasible = result.feasible[place]
    note = "" if feasible else f"trained again with seed {seed} the configuration does not meet the constraints."
    return dataclasses.replace(
        tuning,
        seed=seed,
        lane=config,
        expert=expert_of_lane(view, tuning.role, tuning.graph, result.parameters, place),
        best_metrics={key: value if math.isfinite(value) else None for key, value in result.metrics[place].items()},
        best_score=result.objective[place],
        step=int(result.step[place]),
        feasible=feasible,
        note=note,
        place=f"seed_{seed}",
    )
