"""All measures of many mixtures at once, as objectives and constraints: what an evolution is told."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from llm_experts.reading.calibration import Calibration, calibrated
from llm_experts.search.books.book import Book
from llm_experts.search.books.row_book import RowBook
from llm_experts.search.mixture import Outputs, SearchRows
from llm_experts.search.settings import Constraint, Objective, SearchSettings

TOLERANCE = 1e-9
"""A constraint on a ratio of counts is met although rounding says otherwise."""
NOT_CONSTANT = "not being constant"
BROKEN = 1e6
"""Violation of a mixture whose margins are not finite: worse than any other."""


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


def measure(outputs: Outputs, rows: SearchRows | Book, settings: SearchSettings) -> Measures:
    """Objectives and constraints of P mixtures; a mixture without finite outputs is infeasible and worst."""
    book = book_of(rows)
    outputs = put_right(outputs, book.calibration(outputs.margins, settings))
    values = book.values(outputs, settings.metrics)
    finite = torch.isfinite(torch.stack(list(values.values()))).all(0)
    losses = torch.stack([_loss(o, values[o.metric]) for o in settings.objectives], 1)
    violations = [_violation(c, values[c.metric]) for c in settings.constraints]
    if settings.refuse_constant:
        violations.append(_drop_noise(book.sameness(torch.sigmoid(outputs.margins.to(torch.float64)))))
    violations.append(torch.where(finite, 0.0, BROKEN).to(torch.float64))
    return Measures(values, losses, torch.stack([v.nan_to_num(nan=0.0) for v in violations], 1))


def book_of(rows: SearchRows | Book) -> Book:
    """The book of measures of rows; a book is its own."""
    return RowBook(rows) if isinstance(rows, SearchRows) else rows


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


def _loss(objective: Objective, values: Tensor) -> Tensor:
    return (objective.sign * values).nan_to_num(nan=BROKEN, posinf=BROKEN)


def _violation(constraint: Constraint, values: Tensor) -> Tensor:
    over = values - constraint.bound if constraint.relation == "<=" else constraint.bound - values
    return _drop_noise(over / constraint.scale)


def _drop_noise(over: Tensor) -> Tensor:
    return torch.where(over.abs() < TOLERANCE, 0.0, over)


__all__ = [
    "BROKEN",
    "NOT_CONSTANT",
    "TOLERANCE",
    "Measures",
    "Outputs",
    "book_of",
    "constraint_names",
    "measure",
    "put_right",
]
