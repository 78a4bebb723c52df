"""All measures of many mixtures at once: fixed metrics of their margins, counterfactual gaps, latency."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from llm_experts.reading.calibration import Calibration, calibrated, fit_calibration
from llm_experts.search.mixture import SearchRows
from llm_experts.search.settings import FLIP_METRICS, LATENCY, Constraint, Objective, SearchSettings
from metrics.points import DEGENERATE_SHARE, POINT_METRICS, point_values, rarer_share
from metrics.procedural.counterfactual import flips, shifts

TOLERANCE = 1e-9
"""A constraint on a ratio of counts is met although rounding says otherwise."""
NOT_CONSTANT = "not being constant"
BROKEN = 1e6
"""Violation of a mixture whose margins are not finite: worse than any other."""


class Outputs(NamedTuple):
    """What P mixtures do on the rows: ``margins`` [P, n], ``moved`` [P, n, g] or None, ``latency`` [P] or None."""

    margins: Tensor
    moved: Tensor | None = None
    latency: Tensor | None = None


class Measures(NamedTuple):
    """Measures of P mixtures.

    ``values``: id -> [P]; ``losses`` [P, m]: objectives, smaller is better; ``violations`` [P, c]: 0 or less where a
    constraint holds; all float64.
    """

    values: dict[str, Tensor]
    losses: Tensor
    violations: Tensor

    @property
    def violation(self) -> Tensor:
        """[P] sum of what is violated; 0: feasible."""
        return self.violations.clamp(min=0.0).sum(1)

    @property
    def feasible(self) -> Tensor:
        """[P] bool."""
        return self.violation == 0


def measure(outputs: Outputs, rows: SearchRows, settings: SearchSettings) -> Measures:
    """Objectives and constraints of P mixtures; a mixture without finite outputs is infeasible and worst."""
    outputs = put_right(outputs, calibration_of(outputs.margins, rows, settings))
    probability = torch.sigmoid(outputs.margins.to(torch.float64))
    values = metric_values(probability, outputs, rows, settings.metrics)
    finite = torch.isfinite(torch.stack(list(values.values()))).all(0)
    losses = torch.stack([_loss(o, values[o.metric]) for o in settings.objectives], 1)
    violations = [_violation(c, values[c.metric]) for c in settings.constraints]
    if settings.refuse_constant:
        violations.append(_drop_noise(DEGENERATE_SHARE - rarer_share(probability)))
    violations.append(torch.where(finite, 0.0, BROKEN).to(torch.float64))
    return Measures(values, losses, torch.stack([v.nan_to_num(nan=0.0) for v in violations], 1))


def calibration_of(margins: Tensor, rows: SearchRows, settings: SearchSettings) -> Calibration:
    """Temperature and bias [P] of mixtures with margins [P, n] on the search rows; 1 and 0 where none are wanted."""
    if settings.calibrate:
        return fit_calibration(margins, rows.labels)
    return Calibration(*(torch.full((len(margins),), value, dtype=torch.float64) for value in (1.0, 0.0)))


def put_right(outputs: Outputs, calibration: Calibration) -> Outputs:
    """Outputs of P mixtures with calibrated margins, moved ones too."""
    margins = calibrated(outputs.margins.to(torch.float64), *calibration)
    if outputs.moved is None:
        return outputs._replace(margins=margins)
    flat = calibrated(outputs.moved.to(torch.float64).flatten(1), *calibration)
    return outputs._replace(margins=margins, moved=flat.view(outputs.moved.shape))


def constraint_names(settings: SearchSettings) -> tuple[str, ...]:
    """Names of the columns of ``Measures.violations``."""
    implied = (NOT_CONSTANT,) if settings.refuse_constant else ()
    return (*map(str, settings.constraints), *implied, "finite")


def metric_values(probability: Tensor, outputs: Outputs, rows: SearchRows, metrics: Sequence[str]) -> dict[str, Tensor]:
    """Measure id -> [P] float64 for probabilities [P, n]; nan where not estimable on these rows."""
    points = [m for m in metrics if m in POINT_METRICS]
    values = point_values(probability, rows.labels, rows.groups, len(rows.group_names), metrics=points)
    if any(m in FLIP_METRICS for m in metrics):
        values = {**values, **_flip_values(probability, outputs.moved, rows)}
    if outputs.latency is not None:
        values = {**values, LATENCY: outputs.latency.to(torch.float64)}
    return {m: values[m] for m in metrics}


def _flip_values(probability: Tensor, moved: Tensor | None, rows: SearchRows) -> dict[str, Tensor]:
    """Counterfactual gaps of P mixtures: the fixed metrics' row values, with mixtures laid end to end."""
    if moved is None:
        raise ValueError("counterfactual gaps need moved margins")
    mixtures, n = probability.shape
    counterfactual = torch.sigmoid(moved.to(torch.float64)).reshape(mixtures * n, -1)
    groups = rows.groups.repeat(mixtures)
    return {
        name: of_rows(probability.reshape(-1), counterfactual, groups).view(mixtures, n).mean(1)
        for name, of_rows in zip(FLIP_METRICS, (flips, shifts), strict=True)
    }


def _loss(objective: Objective, values: Tensor) -> Tensor:
    return (objective.sign * values).nan_to_num(nan=BROKEN, posinf=BROKEN)


def _violation(constraint: Constraint, values: Tensor) -> Tensor:
    over = values - constraint.bound if constraint.relation == "<=" else constraint.bound - values
    return _drop_noise(over / constraint.scale)


def _drop_noise(over: Tensor) -> Tensor:
    return torch.where(over.abs() < TOLERANCE, 0.0, over)
