"""Trials of a role, whatever the family of the expert: asked in batches, judged, told, chosen from.

Fair roles are tuned under constraints: the smallest gap among trials whose validation utility reaches the floor and
whose predictions are not (nearly) constant. The smallest gap alone is won by a constant predictor; on data with a
large majority class the floor does not keep out one that ranks well.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import optuna
from optuna.distributions import BaseDistribution
from optuna.trial import TrialState
from torch import Tensor

from experts.expert import ALIASES, Role
from experts.scores import HIGHER_IS_BETTER, SCORES
from experts.tuning.sampler import batch_sampler
from experts.tuning.trial_store import Direction, Row, TrialStore
from experts.tuning.tuned import Choice
from foundation.seeding import derive_seed
from metrics.points import DEGENERATE_SHARE
from metrics.scarcity import scarcity
from tasks.task import TaskView

UTILITY = "utility@1"
OBJECTIVE = SCORES
STATES = {"completed": "COMPLETE", "early_stopped": "COMPLETE", "pruned": "PRUNED", "failed": "FAIL"}
TRAINED = ("COMPLETE", "PRUNED")
"""States of trials that have weights: what halving stopped keeps the best checkpoint that it had."""
ANSWER_MASS = "answer_mass"
"""Constraint of experts on texts: probability of the two answers among all words."""
EPSILON = 0.02
"""Utility that a fair role may give up against the tuned utility expert, by default."""

Asked = list[tuple[int, optuna.Trial]]
"""Seeds and their trials, to be trained together."""
Weights = Mapping[str, Tensor]


class TuningError(RuntimeError):
    """No trial of a role could be trained and evaluated."""


class UnknownTrialError(ValueError):
    """A trial that a study does not have, that failed, or whose model is not kept."""


def role_named(name: str) -> Role:
    """The role of a name or an alias (``expert1|2|3``)."""
    known: dict[str, Role] = {**ALIASES, **{role: role for role in OBJECTIVE}}
    if name not in known:
        raise ValueError(f"There is no role {name!r} to tune; roles are {', '.join([*OBJECTIVE, *ALIASES])}.")
    return known[name]


def direction_of(role: Role) -> Direction:
    """Whether the role's score is to be maximised."""
    return "maximize" if OBJECTIVE[role] in HIGHER_IS_BETTER else "minimize"


def floor_of(
    role: Role, given: float | None, reached: float | None, epsilon: float | None
) -> tuple[float | None, float | None]:
    """Utility floor of a role and how far it lies below the utility expert's.

    Parameters
    ----------
    role : str
        The utility role has no floor.
    given, reached : float or None
        The floor itself, or the validation utility of the tuned utility expert, from which ``epsilon`` is subtracted.
    epsilon : float or None
        Default 0.02 with ``reached``; with a floor it is only stated in the results.
    """
    if role == "utility":
        return None, None
    if reached is not None:
        epsilon = EPSILON if epsilon is None else epsilon
        return reached - epsilon, epsilon
    if given is None:
        raise ValueError(
            f"Tuning the {role} role needs utility_floor: without one the smallest gap wins, and a constant predictor "
            "has none. Pass the tuned utility expert, or a number."
        )
    return float(given), epsilon


@contextmanager
def quiet_optuna() -> Iterator[None]:
    """Without a line per new study; the level is put back."""
    level = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        yield
    finally:
        optuna.logging.set_verbosity(level)


def run_batches(
    store: TrialStore,
    role: Role,
    space: Mapping[str, BaseDistribution],
    *,
    trials: int,
    batch: int,
    train: Callable[[Asked, int], tuple[list[Row], list[Weights]]],
    first: Sequence[Mapping[str, Any]] = (),
) -> None:
    """Ask, train, store and tell batches until every study of the store has its trials.

    Parameters
    ----------
    store : TrialStore
    role : str
    space : mapping
    trials, batch : int
        Trials per seed, and how many of them are trained at once; the first batch is drawn at random.
    train : callable
        (trials asked, trials finished per seed) → a row and the weights of each trial.
    first : sequence of mapping
        Parameters of the first trials of every study; what they do not name is drawn.
    """
    studies = {seed: memory_study(role, seed, min(batch, trials)) for seed in store.rows}
    for seed, study in studies.items():
        study.add_trials(store.finished(seed))
    for study in studies.values():
        for params in first[store.count :]:
            study.enqueue_trial(dict(params))
    while store.count < trials:
        size = min(batch, trials - store.count)
        asked = [(seed, studies[seed].ask(dict(space))) for seed in studies for _ in range(size)]
        rows, weights = train(asked, store.count)
        for (seed, trial), row in zip(asked, rows, strict=True):
            tell_trial(studies[seed], trial, row)
        by_seed = {seed: [row for (s, _), row in zip(asked, rows, strict=True) if s == seed] for seed in studies}
        named = {(seed, trial.number): found for (seed, trial), found in zip(asked, weights, strict=True)}
        store.append(by_seed, named)


def memory_study(role: Role, seed: int, startup: int) -> optuna.Study:
    """An empty study in memory, where trials are drawn: asking a journal costs twice as much.

    Parameters
    ----------
    role, seed
    startup : int
        Trials drawn at random.
    """
    sampler = batch_sampler(derive_seed(seed, "sampler", role), startup=startup)
    return optuna.create_study(direction=direction_of(role), sampler=sampler)


def tell_trial(study: optuna.Study, trial: optuna.Trial, row: Row) -> None:
    """Tell a study how a trial ended, with its constraints."""
    for name, violation in row["constraints"].items():
        trial.set_constraint(name, violation)
    if row["objective"] is not None:
        trial.report(row["objective"], row["step"])
    value = row["objective"] if row["state"] == "COMPLETE" else None
    study.tell(trial, value, state=TrialState[row["state"]])


def trial_row(
    trial: optuna.Trial,
    role: Role,
    *,
    metrics: Mapping[str, float],
    objective: float,
    state: str,
    reason: str,
    step: int,
    rarer_share: float,
    floor: float | None,
    further: Mapping[str, float] | None = None,
) -> Row:
    """One trial as plain data; nan becomes None, and a trial without an objective is failed.

    Parameters
    ----------
    trial, role
    metrics, objective, state, reason, step
        Of the trial's lane.
    rarer_share : float
        Share of validation rows in the rarer predicted class.
    floor : float or None
        Least utility of a feasible trial.
    further : mapping, optional
        Other constraints: name to violation.
    """
    known = {key: _number(value) for key, value in metrics.items()}
    score, utility = _number(objective), known.get(UTILITY)
    state = STATES[state]
    if state != "FAIL" and (score is None or utility is None):
        state, reason = "FAIL", f"{OBJECTIVE[role]} or {UTILITY} is not estimable on the validation rows"
    constraints = {}
    if floor is not None and utility is not None:
        constraints = {"utility": floor - utility, "not_constant": DEGENERATE_SHARE - rarer_share}
    constraints |= {name: value for name, value in (further or {}).items() if math.isfinite(value)}
    return {
        "number": trial.number,
        "params": dict(trial.params),
        "metrics": known,
        "objective": score if state != "FAIL" else None,
        "constraints": constraints,
        "feasible": state != "FAIL" and all(violation <= 0 for violation in constraints.values()),
        "degenerate": rarer_share < DEGENERATE_SHARE,
        "state": state,
        "reason": reason,
        "step": step,
    }


def _number(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None


def lacks(view: TaskView, role: Role) -> str:
    """What the validation rows lack for the role's score, such as "B has 0 positives"; empty if nothing."""
    rows = view.split.validation
    for gap in ("fair_res@1", "fair_proc@1") if role == "combined" else (OBJECTIVE[role],):
        found = scarcity(gap, view.labels[rows], view.groups[rows], view.group_names)
        if found:
            return f"Among the {len(rows)} validation rows {found}, so {gap} cannot be estimated on them."
    return ""


def choose(rows: Sequence[Row], role: Role, floor: float | None, lack: str = "") -> tuple[Row, str]:
    """The trial to keep, and a note when it is not what was asked for.

    Utility role: the highest utility. Fair roles: the smallest gap (combined: the highest final@1) among completed
    trials that meet the constraints; if there are none, the highest utility, with a note. An expert on texts that does
    not answer is taken in no role where another is there. Ties go to the earlier trial. Pruned trials were cut short
    and are not chosen. ``lack`` is what :func:`lacks` says, for the error.

    Raises
    ------
    TuningError
        If no trial was completed.
    """
    done = [row for row in rows if row["state"] == "COMPLETE"]
    if not done:
        reasons = "; ".join(sorted({row["reason"] for row in rows if row["reason"]})) or "none given"
        remedy = (
            f"{lack} Give more rows, merge small groups, or choose another sensitive attribute."
            if lack
            else "Check that the validation rows hold both classes and at least two groups, or give more trials."
        )
        raise TuningError(
            f"None of the {len(rows)} trials of the {role} role was completed (reasons: {reasons}). {remedy}"
        )
    feasible = [row for row in done if row["feasible"]]
    if role != "utility" and feasible:
        sign = -1 if OBJECTIVE[role] in HIGHER_IS_BETTER else 1
        return min(feasible, key=lambda row: (sign * row["objective"], row["number"])), ""
    best = max(done, key=lambda row: (_answers(row), row["metrics"][UTILITY], -row["number"]))
    if not _answers(best):
        return best, (
            f"none of the {len(done)} completed trials keeps its answers likely among all words; taken is trial "
            f"{best['number']}, which has the highest validation utility. It does not answer the question: try smaller "
            "learning rates, or another base."
        )
    if role == "utility":
        return best, ""
    reached = best["metrics"][UTILITY]
    return best, (
        f"none of the {len(done)} completed trials reaches the utility floor {floor:.4f} with predictions of both "
        f"classes; taken instead is trial {best['number']}, which has the highest validation utility ({reached:.4f}). "
        "It is not tuned for fairness."
    )


def _answers(row: Row) -> bool:
    """Whether an expert on texts gives its answers enough probability; others always do."""
    return bool(row["constraints"].get(ANSWER_MASS, 0.0) <= 0)


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


def trained_row(choice: Choice, number: int) -> Row:
    """The record of a trial that was trained.

    Raises
    ------
    UnknownTrialError
        If the study has no such trial, or it failed.
    """
    found = next((row for row in choice.trials if row["number"] == number), None)
    who = f"The {choice.role} role of {choice.owner}"
    if found is None:
        raise UnknownTrialError(f"{who} has no trial {number}; its study has {len(choice.trials)}, counted from 0.")
    if found["state"] not in TRAINED:
        raise UnknownTrialError(f"Trial {number} of {who.lower()} failed ({found['reason']}); it has no model.")
    return found
