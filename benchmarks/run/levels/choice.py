"""What a way to keep levels answers: predictions for the rows that chose and for test rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from torch import Tensor

from benchmarks.run.levels.allowed import Allowed
from benchmarks.run.levels.part import REPORTED, Part
from metrics.thresholds import Thresholds


@dataclass(frozen=True)
class Choice:
    """Probabilities on the rows that chose, and on test rows.

    Attributes
    ----------
    seen, test : [n] float
    cuts : Thresholds or None
        By which they were moved.
    trial : int or None
        Number in the study of the trained configuration that answers; None: the method's chosen model.
    shares : [m] float64 or None
        Of the members of the decision problem, where these answer together.
    reasons : mapping
        Procedural metric → its values on explained test rows and on explained rows of those that chose.
    """

    seen: Tensor
    test: Tensor
    cuts: Thresholds | None = None
    trial: int | None = None
    shares: Tensor | None = None
    reasons: Mapping[str, tuple[float, float]] = field(default_factory=dict)


@dataclass(frozen=True)
class Variant:
    """A way to keep levels.

    Attributes
    ----------
    name : str
        As in the table.
    part : Part
        The rows that choose.
    found : mapping of Allowed to Choice or None
        None: nothing keeps the limit (or the bound on reasons).
    reported : sequence of str
        Metrics that are told.
    """

    name: str
    part: Part
    found: Mapping[Allowed, Choice | None]
    reported: Sequence[str] = REPORTED
