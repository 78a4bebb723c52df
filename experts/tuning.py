"""Tuning of a role: batches of trials are asked at once, trained at once as lanes, told at once.

Fair roles are tuned under constraints: the smallest gap among trials whose validation utility reaches the floor and
whose predictions are not (nearly) constant. The smallest gap alone is won by a constant predictor; on data with a
large majority class the floor does not keep out one that ranks well.
"""

from __future__ import annotations

import dataclasses
import logging
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import optuna
from optuna.distributions import BaseDistribution
from optuna.trial import TrialState

from experts.expert import ALIASES, Role
from experts.lane_metrics import HIGHER_IS_BETTER, SCORES, lane_probabilities
from experts.lanes import LaneParameters
from experts.mlp import MLPExpert
from experts.out_of_fold import Recipe
from experts.sampler import batch_sampler
from experts.search_space import search_space
from experts.trainer import Budget, LaneConfig, LaneResult, train_lanes
from experts.trial_store import Direction, Row, TrialStore
from experts.tuning_results import file_stem, save_tuning
from metrics.points import DEGENERATE_SHARE, rarer_share
from tasks.seeding import derive_seed
from tasks.task import TaskView

log = logging.getLogger(__name__)

UTILITY = "utility@1"
OBJECTIVE = SCORES
STATES = {"completed": "COMPLETE", "early_stopped": "COMPLETE", "pruned": "PRUNED", "failed": "FAIL"}
EPSILON = 0.02
"""Utility that a fair role may give up against the tuned utility expert, by default."""


class TuningError(RuntimeError):
    """No trial of a role could be trained and evaluated."""


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
    name = _role(role)
    floor, margin = _floor(name, utility_floor, epsilon)
    plan = _Plan(view, name, tuple(seeds), trials, batch, space, budget, floor)
    store = _open_store(plan, folder)
    with _quiet_optuna():
        _run(plan, store, progress)
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
    def direction(self) -> Direction:
        return "maximize" if OBJECTIVE[self.role] in HIGHER_IS_BETTER else "minimize"

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


def _role(name: str) -> Role:
    known: dict[str, Role] = {**ALIASES, **{role: role for role in OBJECTIVE}}
    if name not in known:
        raise ValueError(f"There is no role {name!r} to tune; roles are {', '.join([*OBJECTIVE, *ALIASES])}.")
    return known[name]


def _floor(role: Role, given: float | Tuning | None, epsilon: float | None) -> tuple[float | None, float | None]:
    if role == "utility":
        return None, None
    if given is None:
        raise ValueError(
            f"Tuning the {role} role needs utility_floor: without one the smallest gap wins, and a constant predictor "
            "has none. Pass the Tuning of the utility role, or a number."
        )
    if isinstance(given, Tuning):
        epsilon = EPSILON if epsilon is None else epsilon
        return given.best_score - epsilon, epsilon
    return float(given), epsilon


def _open_store(plan: _Plan, folder: Path) -> TrialStore:
    place = folder / f"{file_stem(plan.view.name)}_{plan.role}_trials"
    with _quiet_optuna():
        return TrialStore(place, plan.settings(), plan.seeds, search_space(plan.role, plan.space), plan.direction)


@contextmanager
def _quiet_optuna() -> Iterator[None]:
    """Without a line per new study; the level is put back."""
    level = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        yield
    finally:
        optuna.logging.set_verbosity(level)


def _run(plan: _Plan, store: TrialStore, progress: Callable[[int, int], None] | None) -> None:
    """Ask, train, store and tell batches until every study has its trials."""
    studies = {seed: _study(plan, store, seed) for seed in plan.seeds}
    space: dict[str, BaseDistribution] = {**search_space(plan.role, plan.space)}
    while store.count < plan.trials:
        size = min(plan.batch, plan.trials - store.count)
        asked = [(seed, studies[seed].ask(space)) for seed in plan.seeds for _ in range(size)]
        configs = [plan.lane(seed, trial.number, trial.params) for seed, trial in asked]
        lanes = train_lanes(
            plan.view,
            plan.role,
            configs,
            plan.budget,
            seed=plan.train_seed,
            utility_floor=plan.floor,
            progress=_shifted(progress, plan, store.count),
        )
        shares = _rarer_shares(plan.view, lanes)
        rows = [_row(plan, lanes, lane, trial, shares[lane]) for lane, (_, trial) in enumerate(asked)]
        for (seed, trial), row in zip(asked, rows, strict=True):
            _tell(studies[seed], trial, row)
        by_seed = {seed: [row for (s, _), row in zip(asked, rows, strict=True) if s == seed] for seed in plan.seeds}
        theta = lanes.parameters.theta
        weights = {(seed, trial.number): {"theta": theta[lane]} for lane, (seed, trial) in enumerate(asked)}
        store.append(by_seed, weights)


def _study(plan: _Plan, store: TrialStore, seed: int) -> optuna.Study:
    """An in-memory study with the finished trials: asking a journal costs twice as much."""
    sampler = batch_sampler(derive_seed(seed, "sampler", plan.role), startup=min(plan.batch, plan.trials))
    study = optuna.create_study(direction=plan.direction, sampler=sampler)
    study.add_trials(store.finished(seed))
    return study


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


def _row(plan: _Plan, lanes: LaneResult, lane: int, trial: optuna.Trial, rarer_share: float) -> Row:
    """One trial as plain data; nan becomes None, and a trial without an objective is failed."""
    metrics = {key: _number(value) for key, value in lanes.metrics[lane].items()}
    objective, utility = _number(lanes.objective[lane]), metrics.get(UTILITY)
    state, reason = STATES[lanes.state[lane]], lanes.reason[lane]
    if state != "FAIL" and (objective is None or utility is None):
        state, reason = "FAIL", f"{OBJECTIVE[plan.role]} or {UTILITY} is not estimable on the validation rows"
    constraints = {}
    if plan.floor is not None and utility is not None:
        constraints = {"utility": plan.floor - utility, "not_constant": DEGENERATE_SHARE - rarer_share}
    return {
        "number": trial.number,
        "params": dict(trial.params),
        "metrics": metrics,
        "objective": objective if state != "FAIL" else None,
        "constraints": constraints,
        "feasible": state != "FAIL" and all(violation <= 0 for violation in constraints.values()),
        "degenerate": rarer_share < DEGENERATE_SHARE,
        "state": state,
        "reason": reason,
        "step": int(lanes.step[lane]),
    }


def _number(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None


def _tell(study: optuna.Study, trial: optuna.Trial, row: Row) -> None:
    for name, violation in row["constraints"].items():
        trial.set_constraint(name, violation)
    if row["objective"] is not None:
        trial.report(row["objective"], row["step"])
    value = row["objective"] if row["state"] == "COMPLETE" else None
    study.tell(trial, value, state=TrialState[row["state"]])


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


def choose(rows: Sequence[Row], role: Role, floor: float | None) -> tuple[Row, str]:
    """The trial to keep, and a note when it is not what was asked for.

    Utility role: the highest utility. Fair roles: the smallest gap (combined: the highest final@1) among completed
    trials that meet the constraints; if there are none, the highest utility, with a note. Ties go to the earlier
    trial. Pruned trials were cut short and are not chosen.

    Raises
    ------
    TuningError
        If no trial was completed.
    """
    done = [row for row in rows if row["state"] == "COMPLETE"]
    if not done:
        reasons = "; ".join(sorted({row["reason"] for row in rows if row["reason"]})) or "none given"
        raise TuningError(
            f"None of the {len(rows)} trials of the {role} role was completed (reasons: {reasons}). Check that the "
            "validation rows hold both classes and at least two groups, or give more trials."
        )
    feasible = [row for row in done if row["feasible"]]
    if role != "utility" and feasible:
        sign = -1 if OBJECTIVE[role] in HIGHER_IS_BETTER else 1
        return min(feasible, key=lambda row: (sign * row["objective"], row["number"])), ""
    best = max(done, key=lambda row: (row["metrics"][UTILITY], -row["number"]))
    if role == "utility":
        return best, ""
    reached = best["metrics"][UTILITY]
    return best, (
        f"none of the {len(done)} completed trials reaches the utility floor {floor:.4f} with predictions of both "
        f"classes; taken instead is trial {best['number']}, which has the highest validation utility ({reached:.4f}). "
        "It is not tuned for fairness."
    )


def pareto_front(rows: Sequence[Row], role: Role) -> list[int]:
    """Numbers of completed trials that no other dominates: higher utility, smaller gap (fair_res@1 if it has none)."""
    gap = "fair_res@1" if OBJECTIVE[role] in HIGHER_IS_BETTER else OBJECTIVE[role]
    points = [
        (row["number"], row["metrics"][UTILITY], row["metrics"].get(gap))
        for row in rows
        if row["state"] == "COMPLETE" and row["metrics"].get(gap) is not None
    ]
    return [
        number
        for number, utility, value in points
        if not any(u >= utility and g <= value and (u > utility or g < value) for _, u, g in points)
    ]


def _expert(plan: _Plan, weights: Mapping[str, Any]) -> MLPExpert:
    d = len(plan.view.feature_names)
    parameters = LaneParameters(weights["theta"][None], d, plan.budget.hidden)
    return MLPExpert.of_lane(plan.view, plan.role, parameters)
