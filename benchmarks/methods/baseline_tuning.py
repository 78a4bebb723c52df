"""Tuning of a baseline: as many trials, the same sampler, rows and rule of choice as a role of the experts."""

from __future__ import annotations

import math
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch

from benchmarks.methods.baseline import Baseline, Params
from experts.expert import Role
from experts.scores import OUTCOME_METRICS, SCORES
from experts.tuning.sampler import batch_sampler
from experts.tuning.trial_store import Row
from experts.tuning.trials import EPSILON, UTILITY, choose, direction_of, lacks, quiet_optuna, tell_trial, trial_row
from foundation.seeding import derive_seed
from metrics.points import point_values, rarer_share

if TYPE_CHECKING:
    import optuna

    from experts.expert import Expert
    from tasks.task import TaskView

STARTUP = 10
"""Trials drawn at random before the estimator takes over."""


@dataclass(frozen=True)
class TunedBaseline:
    """A tuned baseline.

    Attributes
    ----------
    expert : Expert
        The chosen trial itself, never fitted again.
    params : mapping
        Its parameters.
    best_trial : int
    feasible : bool
        False: no trial of a fairness method reached the utility floor; its own best utility set the floor instead.
    note : str
        Says so, in words.
    trials : list of dict
        As :func:`experts.tuning.trials.trial_row` makes them.
    experts : list of Expert or None
        The fitted model of every trial, None for one that failed.
    """

    role: Role
    expert: Expert
    params: Params
    best_trial: int = 0
    feasible: bool = True
    note: str = ""
    trials: list[Row] = field(default_factory=list)
    experts: list[Expert | None] = field(default_factory=list)


def tune_baseline(
    baseline: Baseline,
    view: TaskView,
    *,
    seed: int,
    trials: int,
    floor: float,
    epsilon: float = EPSILON,
    published: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> TunedBaseline:
    """Fit trials of a baseline on training rows and let the validation rows choose.

    Plain methods are chosen by ``utility@1``; fairness methods by the smallest ``fair_res@1`` among trials that reach
    ``floor`` and are not nearly constant, as fair roles are; a method none of whose trials reaches it gets the smallest
    gap within ``epsilon`` of its own highest utility. A method without hyperparameters is fitted once.

    Parameters
    ----------
    baseline : Baseline
    view : TaskView
    seed : int
        Of the proposals and, per trial, of the fit.
    trials : int
    floor : float
        Least validation utility of a fairness method; others do not look at it.
    epsilon : float
        Where no trial of a fairness method reaches the floor: utility that it may cost against its own best trial.
    published : bool
        Fit the settings of the method's paper instead, where it states any.
    progress : callable, optional
        Called with (trials done, trials in all).

    Raises
    ------
    experts.tuning.trials.TuningError
        If every trial failed. A single fit that fails raises its own error.
    """
    role: Role = "result" if baseline.fair else "utility"
    fixed = baseline.published(view.card.name) if published and baseline.published is not None else None
    space = {} if fixed is not None else baseline.space()
    if not space:
        return TunedBaseline(role, baseline.fit(view, fixed or {}, seed), fixed or {})
    rows: list[Row] = []
    experts: list[Expert | None] = []
    with quiet_optuna():
        study = _study(role, seed, min(STARTUP, trials))
        for number in range(trials):
            trial = study.ask(dict(space))
            row, expert = _fit(baseline, view, trial, role, derive_seed(seed, "fit", number), floor)
            tell_trial(study, trial, row)
            rows.append(row)
            experts.append(expert)
            if progress is not None:
                progress(number + 1, trials)
    best, note = choose(rows, role, floor if baseline.fair else None, lacks(view, role))
    feasible = bool(best["feasible"])
    if baseline.fair and not feasible:
        best, note = _within_own_reach(rows, role, best, floor, epsilon)
    chosen = experts[best["number"]]
    assert chosen is not None  # only completed trials are chosen
    return TunedBaseline(role, chosen, best["params"], best["number"], feasible, note, rows, experts)


def _within_own_reach(rows: list[Row], role: Role, best: Row, floor: float, epsilon: float) -> tuple[Row, str]:
    """The choice for a method that cannot reach the common floor: the smallest gap close to its own highest utility.

    A randomised choice among hard decisions ranks rows badly, so its utility, of which AUC is a third, lies below any
    floor that a network sets. Taking its highest utility instead would judge a fairness method by what it is not for.
    """
    own = best["metrics"][UTILITY] - epsilon
    able = [
        {**row, "feasible": row["state"] == "COMPLETE" and not row["degenerate"] and row["metrics"][UTILITY] >= own}
        for row in rows
    ]
    chosen, _ = choose(able, role, own)
    return chosen, (
        f"no trial reaches the utility floor {floor:.4f} of the networks; taken is the smallest gap within {epsilon:g} "
        f"of the method's own highest utility ({best['metrics'][UTILITY]:.4f})."
    )


def _study(role: Role, seed: int, startup: int) -> optuna.Study:
    import optuna

    sampler = batch_sampler(derive_seed(seed, "sampler"), startup)
    return optuna.create_study(direction=direction_of(role), sampler=sampler)


def _fit(
    baseline: Baseline, view: TaskView, trial: optuna.Trial, role: Role, seed: int, floor: float
) -> tuple[Row, Expert | None]:
    """A trial's record and its model; what goes wrong in one trial is on record and does not end the others."""
    facts: dict[str, Any] = {"state": "completed", "reason": "", "step": 0, "rarer_share": 0.0}
    expert: Expert | None = None
    metrics: Mapping[str, float] = {}
    try:
        expert = baseline.fit(view, dict(trial.params), seed)
        metrics, facts["rarer_share"] = _judged(expert, view)
    except (ArithmeticError, ValueError, RuntimeError) as error:
        facts |= {"state": "failed", "reason": "".join(traceback.format_exception_only(error)).strip()}
    objective = metrics.get(SCORES[role], math.nan)
    row = trial_row(trial, role, metrics=metrics, objective=objective, floor=floor if baseline.fair else None, **facts)
    return row, expert if row["state"] == "COMPLETE" else None


def _judged(expert: Expert, view: TaskView) -> tuple[dict[str, float], float]:
    """Outcome metrics on validation rows, and the share of rows in the rarer predicted class."""
    rows = view.split.validation
    probability = torch.sigmoid(expert.logits(view, rows).detach())[None]
    values = point_values(probability, view.labels[rows], view.groups[rows], len(view.group_names))
    return {name: float(values[name][0]) for name in OUTCOME_METRICS}, float(rarer_share(probability)[0])
