"""What a method reaches when its result gap may be at most a level: rows of the tables "levels" and "trials".

Everything is chosen on validation rows, from predictions that exist already; test rows are only looked up. Nothing is
trained here, so a level costs milliseconds.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from metrics.points import DEGENERATE_SHARE, point_values, rarer_share
from metrics.thresholds import fit_thresholds
from tasks.task import Task

LEVELS = ("0.01", "0.02", "0.05", "0.10", "half", "quarter")
"""Allowed gaps: fixed ones, and shares of the gap that a method without any fairness objective has."""

SHARES = {"half": 0.5, "quarter": 0.25}
UTILITY, GAP = "utility@1", "fair_res@1"
REPORTED = (UTILITY, "acc@1", "f1@1", "auc@1", "dp@1", "eopp@1", GAP, "worst_acc@1")


@dataclass(frozen=True)
class Trained:
    """Predictions of every trained configuration of a method.

    Attributes
    ----------
    validation : [K, n_validation] float32
        Probabilities of class 1 on the validation rows, in the order of the split; a failed one is a row of nan.
    test : [K, n_test] float32
        The same on test rows.
    stopped : sequence of bool
        Which were stopped before their end and answer with the best checkpoint that they had; () none.
    """

    validation: Tensor
    test: Tensor
    stopped: Sequence[bool] = ()


@dataclass(frozen=True)
class _Part:
    """Rows of one part of a task, with their labels."""

    labels: Tensor
    groups: Tensor
    n_groups: int

    @classmethod
    def of(cls, task: Task, rows: Tensor) -> _Part:
        return cls(task.labels[rows], task.groups[rows], len(task.group_names))

    def values(self, probability: Tensor, metrics: Sequence[str] = REPORTED) -> dict[str, Tensor]:
        """[K] values of [K, n] predictions, by the rules of final scores."""
        known = (self.labels, self.groups, self.n_groups)
        return point_values(probability, *known, metrics=metrics)


@dataclass(frozen=True)
class _Choice:
    """A prediction for the rows of both parts; None: nothing keeps the limit."""

    validation: Tensor
    test: Tensor


def limits(unmitigated: float | None) -> dict[str, float]:
    """Level → largest ``fair_res@1`` allowed.

    Parameters
    ----------
    unmitigated : float or None
        The utility expert's gap on validation rows. None or nan (not estimable): the levels that are shares of it are
        left out.
    """
    fixed = {level: float(level) for level in LEVELS if level not in SHARES}
    if unmitigated is None or math.isnan(unmitigated):
        return fixed
    return fixed | {level: share * unmitigated for level, share in SHARES.items()}


def level_rows(
    chosen_validation: Tensor, chosen_test: Tensor, trained: Trained | None, task: Task, unmitigated: float | None
) -> list[dict[str, Any]]:
    """Rows of the table "levels" of one cell (see ``reports.table.FURTHER``).

    Parameters
    ----------
    chosen_validation, chosen_test : [n] float
        Probabilities of the method's chosen model on validation and test rows, in the order of the split.
    trained : Trained or None
        Its other trained configurations; None where there are none.
    task : Task
        With the labels of its test rows: they are used for values only, never to choose.
    unmitigated : float or None
        See :func:`limits`.

    Returns
    -------
    list of dict
        variant, level, metric, estimate (test rows), validation, status. "plain": the highest validation utility
        among the chosen model and the trained configurations whose validation gap keeps the limit and that are not
        nearly constant; of equals the chosen model. "thresholds": the chosen model with
        :func:`metrics.thresholds.fit_thresholds`. Where nothing keeps the limit, the constant predictor stands in, with
        the status "imputed". Empty where the validation rows cannot give any prediction a utility or a gap: nothing is
        known of who keeps a level then.
    """
    allowed = limits(unmitigated)
    parts = _Part.of(task, task.split.validation), _Part.of(task, task.split.test)
    choices = {
        "plain": _plain(chosen_validation, chosen_test, trained, parts[0], allowed),
        "thresholds": _thresholded(chosen_validation, chosen_test, parts, allowed),
    }
    constant = _constant(task, parts)
    if any(bool(value.isnan()) for value in parts[0].values(constant.validation[None], (UTILITY, GAP)).values()):
        return []
    rows: list[dict[str, Any]] = []
    for variant, found in choices.items():
        for level, choice in found.items():
            rows += _rows(variant, level, allowed[level], choice, constant, parts)
    return rows


def trial_rows(trained: Trained, task: Task) -> list[dict[str, Any]]:
    """Rows of the table "trials" of one cell: utility and gap of every trained configuration.

    Parameters
    ----------
    trained : Trained
    task : Task

    Returns
    -------
    list of dict
        trial (its number in the study: 0, 1, … in the order of training), ``utility_*`` and ``fair_res_*`` on
        validation and test rows, state: "ok", "pruned" (stopped before its end; the numbers are those of the best
        checkpoint that it had), "constant" (nearly the same answer for all validation rows) or "failed" (no
        prediction; numbers are nan).
    """
    parts = (("validation", trained.validation), ("test", trained.test))
    rows_of = {"validation": task.split.validation, "test": task.split.test}
    values = {part: _Part.of(task, rows_of[part]).values(p, (UTILITY, GAP)) for part, p in parts}
    failed = torch.isnan(trained.validation).any(1) | torch.isnan(trained.test).any(1)
    constant = rarer_share(trained.validation) < DEGENERATE_SHARE
    stopped = trained.stopped or [False] * len(failed)
    return [
        {
            "trial": k,
            **{
                f"{name}_{part}": math.nan if failed[k] else float(values[part][metric][k])
                for part in values
                for name, metric in (("utility", UTILITY), ("fair_res", GAP))
            },
            "state": "failed" if failed[k] else "constant" if constant[k] else "pruned" if stopped[k] else "ok",
        }
        for k in range(len(failed))
    ]


def _plain(
    chosen_validation: Tensor, chosen_test: Tensor, trained: Trained | None, part: _Part, allowed: Mapping[str, float]
) -> dict[str, _Choice | None]:
    validation, test = chosen_validation[None], chosen_test[None]
    if trained is not None:
        validation = torch.cat((validation, trained.validation.to(validation.dtype)))
        test = torch.cat((test, trained.test.to(test.dtype)))
    values = part.values(validation, (UTILITY, GAP))
    worth, gaps = values[UTILITY], values[GAP]
    able = (rarer_share(validation) >= DEGENERATE_SHARE) & ~torch.isnan(worth) & ~torch.isnan(test).any(1)
    found: dict[str, _Choice | None] = {}
    for level, limit in allowed.items():
        candidates = torch.where(able & (gaps <= limit), worth, -torch.inf)
        best = int(candidates.argmax())
        found[level] = None if torch.isinf(candidates[best]) else _Choice(validation[best], test[best])
    return found


def _thresholded(
    chosen_validation: Tensor, chosen_test: Tensor, parts: tuple[_Part, _Part], allowed: Mapping[str, float]
) -> dict[str, _Choice | None]:
    rows, seen = parts
    fitted = fit_thresholds(chosen_validation, rows.labels, rows.groups, rows.n_groups, list(allowed.values()))
    return {
        level: None
        if found is None
        else _Choice(found.apply(chosen_validation, rows.groups), found.apply(chosen_test, seen.groups))
        for level, found in zip(allowed, fitted, strict=True)
    }


def _constant(task: Task, parts: tuple[_Part, _Part]) -> _Choice:
    """The share of positives among training rows, for everyone: keeps every limit and tells nobody apart."""
    rate = float(task.labels[task.split.train].to(torch.float64).mean())
    validation, test = (torch.full((part.labels.numel(),), rate, dtype=torch.float64) for part in parts)
    return _Choice(validation, test)


def _rows(
    variant: str, level: str, limit: float, choice: _Choice | None, constant: _Choice, parts: tuple[_Part, _Part]
) -> list[dict[str, Any]]:
    shown = constant if choice is None else choice
    validation, test = (part.values(p[None]) for part, p in zip(parts, (shown.validation, shown.test), strict=True))
    numbers = {metric: (float(test[metric]), float(validation[metric])) for metric in REPORTED}
    head = {"variant": variant, "level": level, "status": "imputed" if choice is None else "ok"}
    return [
        {**head, "metric": metric, "estimate": estimate, "validation": seen}
        for metric, (estimate, seen) in (numbers | {"limit": (limit, limit)}).items()
    ]
