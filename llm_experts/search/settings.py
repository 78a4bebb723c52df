"""What a mixture search optimises, within which limits, and for how long."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

from llm_experts.search.facts import BY_DOMAIN, FLIP_METRICS, ITEM_MEASURES, LATENCY, SEARCHABLE, Facts, facts_of
from metrics.registry import spec

Relation = Literal["<=", ">="]
Order = Literal["first_objective", "compromise"]
Confidence = Literal["estimate", "interval"]


class SearchError(ValueError):
    """A mixture search that cannot be done or has no answer; the text says what to change."""


def _facts(metric: str) -> Facts:
    found = facts_of(metric)
    if found is not None:
        return found
    try:
        known = spec(metric).id
    except KeyError as error:
        raise SearchError(
            f"A mixture search got an unknown metric: {error.args[0]}, or {LATENCY}; on items with listed answers "
            f"{', '.join(ITEM_MEASURES)} and {BY_DOMAIN}<domain>."
        ) from None
    raise SearchError(
        f"The metric {known} cannot guide a mixture search: it needs explanations of every mixture, not only its "
        f"predictions. Choose among {', '.join(SEARCHABLE)}, and look at {known} of the winner afterwards."
    )


@dataclass(frozen=True)
class Objective:
    """A metric to optimise.

    Attributes
    ----------
    metric : str
        Of rows one of ``SEARCHABLE``, of items one of ``ITEM_MEASURES`` or the accuracy of a domain.
    maximise : bool or None
        None: the direction that the measure has (:func:`llm_experts.search.facts.facts_of`).
    """

    metric: str
    maximise: bool | None = None

    def __post_init__(self) -> None:
        _facts(self.metric)

    @property
    def sign(self) -> float:
        """Factor that makes smaller values better."""
        return -1.0 if (_facts(self.metric).higher if self.maximise is None else self.maximise) else 1.0

    def __str__(self) -> str:
        return f"{'maximise' if self.sign < 0 else 'minimise'} {self.metric}"


@dataclass(frozen=True)
class Constraint:
    """A limit on a metric: ``Constraint("dp@1", "<=", 0.05)``."""

    metric: str
    relation: Relation
    bound: float

    def __post_init__(self) -> None:
        _facts(self.metric)
        if self.relation not in ("<=", ">=") or not math.isfinite(self.bound):
            raise SearchError(
                f"The constraint {self.metric} {self.relation} {self.bound} is not one: write it as a metric, <= or "
                ">=, and a finite number, such as dp@1 <= 0.05."
            )

    @property
    def scale(self) -> float:
        """What a violation is divided by: the bound's size for latency, 1 for metrics, so that violations add up."""
        return max(abs(self.bound), 1e-9) if self.metric == LATENCY else 1.0

    def __str__(self) -> str:
        return f"{self.metric} {self.relation} {self.bound:g}"


@dataclass(frozen=True)
class SearchSettings:
    """Objectives, limits and budget of a search.

    Attributes
    ----------
    objectives : 2 to 4 objectives
        The first is the main one: candidates are ordered by it.
    constraints : tuple of Constraint
    bounds : (low, high) or mapping of expert name -> (low, high)
        Range of each expert's weight α_k; a name that a mapping lacks has (0, 1).
    base_floor : float or None
        Smallest share of the base, 1 − Σ α_k. In offset form a mixture is z(α) = 1 + Σ α_k (z_k − 1), that is
        (1 − Σ α_k)·base + Σ α_k·expert_k: with a floor b the weights obey Σ α_k ≤ 1 − b (0: a convex mixture of base
        and experts). None: no floor, weights need not add up to anything.
    off_below : float
        A weight between 0 and this becomes 0, so that the expert need not run at all; matters to latency only.
    calibrate : bool
        Give every mixture its own temperature and bias, fitted on the search rows, before it is measured: a language
        model's margins say little at the threshold of 0.5 before. Held-out rows are judged with what was fitted here.
    refuse_constant : bool
        Adds the constraint that a prediction is not degenerate (a constant predictor is fair by doing nothing). Without
        it constants may lie on the front; held-out rows accept none in any case.
    epsilon : float or None
        How much worse than that of the best single expert (or the base) a mixture's first objective may be on held-out
        rows; None: no limit.
    generations, population : int
        Budget of the search on the surrogate, all rounds together.
    rounds : int
        How often the front is evaluated truly and added to the surrogate's anchors.
    candidates : int
        Most members of a front that are evaluated truly in a round: the least crowded ones.
    interpolate : bool
        Whether the surrogate passes through its anchors, or is the quadratic of least squares.
    spread_anchors : int
        Anchors beyond those that determine a quadratic, spread evenly over the box (scrambled Sobol points): without
        them the evolution runs to where the surrogate is most wrong.
    guidance_every : int
        Generations between two looks at the front that narrow the box; 0: never.
    margin : float
        What the box keeps around the front on either side, as a share of the front's extent.
    stop_gain, stop_window : float or None, int
        A round ends when the hypervolume grew by less than ``stop_gain`` (relative) over ``stop_window`` generations;
        None: never.
    order : {"first_objective", "compromise"}
        In which order candidates are validated: best first objective first (ties: the next), or nearest to the ideal
        point (every objective's best, scaled by the front's extent) first.
    confidence : {"estimate", "interval"}
        Whether held-out estimates have to satisfy the constraints, or their whole 95 % intervals.
    seed : int
    """

    objectives: tuple[Objective, ...] = (Objective("utility@1"), Objective("dp@1"))
    constraints: tuple[Constraint, ...] = ()
    bounds: tuple[float, float] | Mapping[str, tuple[float, float]] = (0.0, 1.0)
    base_floor: float | None = None
    off_below: float = 0.0
    calibrate: bool = True
    refuse_constant: bool = True
    epsilon: float | None = None
    generations: int = 100
    population: int = 50
    rounds: int = 3
    candidates: int = 20
    interpolate: bool = True
    spread_anchors: int = 24
    guidance_every: int = 10
    margin: float = 0.1
    stop_gain: float | None = 0.005
    stop_window: int = 10
    order: Order = "first_objective"
    confidence: Confidence = "estimate"
    seed: int = 0

    def __post_init__(self) -> None:
        names = [o.metric for o in self.objectives]
        if not 2 <= len(names) <= 4 or len(set(names)) < len(names):
            raise SearchError(
                f"The objectives are {', '.join(names) or 'none'}; a Pareto search needs two to four different ones. "
                "With one objective, state the other measures as constraints and one of them as second objective."
            )
        for name, low in (("generations", 1), ("population", 4), ("rounds", 1), ("candidates", 1), ("stop_window", 1)):
            if getattr(self, name) < low:
                raise SearchError(f"The search has {name} = {getattr(self, name)}; it needs at least {low}.")
        if self.generations < self.rounds:
            raise SearchError(
                f"{self.generations} generations cannot be split into {self.rounds} rounds; lower rounds or raise "
                "generations."
            )
        if min(self.guidance_every, self.spread_anchors, self.margin, self.off_below) < 0:
            raise SearchError("guidance_every, spread_anchors, margin and off_below cannot be negative.")
        if self.epsilon is not None and not 0 <= self.epsilon < math.inf:
            raise SearchError(f"The search has epsilon = {self.epsilon}; it is a number of at least 0, or None.")
        _check_constraints(self.constraints)

    @property
    def metrics(self) -> tuple[str, ...]:
        """Measures that objectives and constraints speak of, each once."""
        return tuple(dict.fromkeys([o.metric for o in self.objectives] + [c.metric for c in self.constraints]))

    def as_dict(self) -> dict[str, Any]:
        """JSON-able form."""
        return {
            **asdict(self),
            "objectives": [str(o) for o in self.objectives],
            "constraints": [str(c) for c in self.constraints],
            "bounds": dict(self.bounds) if isinstance(self.bounds, Mapping) else list(self.bounds),
        }


def _check_constraints(constraints: tuple[Constraint, ...]) -> None:
    for metric in {c.metric for c in constraints}:
        ceilings = [c.bound for c in constraints if c.metric == metric and c.relation == "<="]
        floors = [c.bound for c in constraints if c.metric == metric and c.relation == ">="]
        _, low, high = _facts(metric)
        lowest, highest = max([low, *floors]), min([high, *ceilings])
        if lowest > highest:
            stated = " and ".join(str(c) for c in constraints if c.metric == metric)
            raise SearchError(
                f"No mixture can satisfy {stated}: {metric} lies between {low:g} and {high:g}. Correct the bound."
            )


__all__ = [
    "BY_DOMAIN",
    "FLIP_METRICS",
    "ITEM_MEASURES",
    "LATENCY",
    "SEARCHABLE",
    "Confidence",
    "Constraint",
    "Objective",
    "Order",
    "SearchError",
    "SearchSettings",
]
