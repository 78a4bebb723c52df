"""The last word: held-out rows may reject the winner of a search and take the next.

Candidates come in a stated order and are looked at one by one, so that held-out rows decide yes or no and never rank.
The more are looked at, the less a yes means: the number is reported.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from llm_experts.reading.calibration import Calibration
from llm_experts.search.books.book import Book
from llm_experts.search.books.row_book import DEGENERATE
from llm_experts.search.evaluations import TrueEvaluations
from llm_experts.search.measures import TOLERANCE, put_right
from llm_experts.search.settings import Constraint, Order, SearchSettings
from metrics.value import Value


@dataclass(frozen=True)
class HeldOut:
    """The held-out rows and how mixtures are run on them."""

    evaluations: TrueEvaluations
    book: Book


@dataclass(frozen=True)
class Rejection:
    """A candidate that held-out rows turned down, and why."""

    alphas: dict[str, float]
    reasons: list[str]
    held_out: dict[str, Value]


@dataclass(frozen=True)
class Winner:
    """What a search returns.

    Attributes
    ----------
    alphas : weight by expert
    kind : {"mixture", "single", "base"}
    accepted : bool
        Its constraints hold on held-out rows (always False without such rows).
    statement : str
        In words: what was returned and why.
    search : measure -> value on the search rows
    held_out : measure -> Value on the held-out rows, empty without them
    temperature, bias : float
        Calibration of the margins, fitted on the search rows; 1 and 0 without.
    tried : int
        Candidates that held-out rows were asked about.
    references : name -> measure -> Value
        Base and single experts on the held-out rows.
    """

    alphas: dict[str, float]
    kind: str
    accepted: bool
    statement: str
    search: dict[str, float]
    held_out: dict[str, Value]
    temperature: float
    bias: float
    tried: int
    references: dict[str, dict[str, Value]]


@dataclass(frozen=True)
class Contender:
    """A mixture that may win: weights [K], kind, measures on the search rows, calibration [1]."""

    alphas: Tensor
    kind: str
    label: str
    search: dict[str, float]
    calibration: Calibration

    def wins(
        self,
        names: Sequence[str],
        text: str,
        values: dict[str, Value],
        tried: int,
        on_rows: dict[str, dict[str, Value]],
        *,
        accepted: bool,
    ) -> Winner:
        """The mixture as the winner."""
        temperature, bias = (float(part) for part in self.calibration)
        weights = self.weights(names)
        return Winner(weights, self.kind, accepted, text, self.search, values, temperature, bias, tried, on_rows)

    def weights(self, names: Sequence[str]) -> dict[str, float]:
        """Weight by expert."""
        return dict(zip(names, self.alphas.tolist(), strict=True))


def ordered(losses: Tensor, order: Order) -> Tensor:
    """Indices of losses [F, m] (smaller is better) in the order of validation.

    "first_objective": best first objective, ties by the next, and so on. "compromise": nearest to the ideal point,
    every objective scaled by the front's extent.
    """
    if order == "compromise":
        extent = losses.amax(0) - losses.amin(0)
        scaled = (losses - losses.amin(0)) / torch.where(extent > 0, extent, 1.0)
        return torch.argsort(scaled.square().sum(1), stable=True)
    index = torch.arange(len(losses))
    for column in reversed(range(losses.shape[1])):
        index = index[torch.argsort(losses[index, column], stable=True)]
    return index


def choose(
    contenders: Sequence[Contender],
    references: Sequence[Contender],
    held_out: HeldOut | None,
    settings: SearchSettings,
    names: Sequence[str],
) -> tuple[Winner, list[Rejection]]:
    """The first contender whose constraints hold on held-out rows and that no reference outdoes; else a reference.

    Parameters
    ----------
    contenders : in the order of validation
    references : base and single experts, best on the search rows first
    """
    if held_out is None:
        first = contenders[0]
        text = f"{first.label} was chosen on the search rows; no held-out rows were given, so nothing was validated."
        return first.wins(names, text, {}, 0, {}, accepted=False), []
    on_rows = {r.label: held_out_values(r, held_out, settings) for r in references}
    rejections: list[Rejection] = []
    for tried, contender in enumerate(contenders, 1):
        values = held_out_values(contender, held_out, settings)
        reasons = objections(values, settings) or outdone(contender, values, references, on_rows, settings)
        if not reasons:
            text = f"{contender.label} kept its constraints and was not outdone by a single expert on "
            text += f"{len(held_out.book)} held-out rows"
            text += f", after {len(rejections)} candidates that did not." if rejections else "."
            return contender.wins(names, text, values, tried, on_rows, accepted=True), rejections
        rejections.append(Rejection(contender.weights(names), reasons, values))
    return _fallback(references, on_rows, settings, len(rejections), names), rejections


def _fallback(
    references: Sequence[Contender],
    on_rows: dict[str, dict[str, Value]],
    settings: SearchSettings,
    tried: int,
    names: Sequence[str],
) -> Winner:
    """The best of base and single experts that keeps the constraints; if none does, the best on the search rows."""
    keeping = [r for r in references if not objections(on_rows[r.label], settings)]
    chosen = (keeping or references)[0]
    text = f"None of the {tried} candidates kept its constraints on held-out rows without being outdone by a single "
    text += f"expert; {chosen.label} is returned instead"
    text += ", which keeps them." if keeping else ", though it breaks them too: nothing at hand keeps them."
    values = on_rows[chosen.label]
    return chosen.wins(names, text, values, tried, on_rows, accepted=bool(keeping))


def held_out_values(contender: Contender, held_out: HeldOut, settings: SearchSettings) -> dict[str, Value]:
    """Measures of one mixture on the held-out rows, with their intervals."""
    outputs = put_right(held_out.evaluations(contender.alphas[None]), contender.calibration)
    return held_out.book.intervals(outputs, settings)


def objections(values: dict[str, Value], settings: SearchSettings) -> list[str]:
    """Why held-out values do not satisfy the constraints; empty if they do."""
    reasons = [values[DEGENERATE].reason] if DEGENERATE in values else []
    for constraint in settings.constraints:
        value = values[constraint.metric]
        if value.status == "not_estimable":
            reasons.append(f"{constraint.metric} is not estimable on held-out rows: {value.reason}")
        elif not _kept(constraint, value, settings):
            interval = f" [{value.low:.4g}, {value.high:.4g}]" if value.low == value.low else ""
            reasons.append(f"{constraint.metric} is {value.estimate:.4g}{interval} and has to be {constraint}")
    return reasons


def outdone(
    contender: Contender,
    values: dict[str, Value],
    references: Sequence[Contender],
    on_rows: dict[str, dict[str, Value]],
    settings: SearchSettings,
) -> list[str]:
    """Why base or single experts are to be preferred on held-out rows; empty if none is.

    One that keeps the constraints outdoes a mixture if it is no worse in any objective and better in one, or if its
    first objective is better by more than ``epsilon``.
    """
    others = [r for r in references if r.label != contender.label and not objections(on_rows[r.label], settings)]
    own, reasons = _losses(values, settings), []
    for other in others:
        losses = _losses(on_rows[other.label], settings)
        if bool((losses <= own + TOLERANCE).all()) and bool((losses < own - TOLERANCE).any()):
            shown = ", ".join(f"{o.metric} {on_rows[other.label][o.metric].estimate:.4g}" for o in settings.objectives)
            reasons.append(f"{other.label} is no worse in any objective and better in one ({shown})")
    bests = [(float(_losses(on_rows[other.label], settings)[0]), other.label) for other in others]
    if settings.epsilon is not None and bests and float(own[0]) > min(bests)[0] + settings.epsilon + TOLERANCE:
        first, label = settings.objectives[0], min(bests)[1]
        reasons.append(
            f"{first.metric} is {values[first.metric].estimate:.4g}, more than {settings.epsilon:g} worse than the "
            f"{on_rows[label][first.metric].estimate:.4g} of {label}"
        )
    return reasons


def _losses(values: dict[str, Value], settings: SearchSettings) -> Tensor:
    """[m] objectives, smaller is better; what is not estimable is worst."""
    found = [o.sign * values[o.metric].estimate for o in settings.objectives]
    return torch.tensor(found, dtype=torch.float64).nan_to_num(nan=torch.inf)


def _kept(constraint: Constraint, value: Value, settings: SearchSettings) -> bool:
    """Whether the estimate, or the end of the interval on the wrong side, satisfies a constraint."""
    ends = (value.low, value.high) if settings.confidence == "interval" else ()
    judged = [value.estimate, *(end for end in ends if end == end)]
    if constraint.relation == "<=":
        return max(judged) <= constraint.bound + TOLERANCE
    return min(judged) >= constraint.bound - TOLERANCE
