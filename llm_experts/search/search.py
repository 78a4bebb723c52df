"""Pareto search over mixture weights: evolution on a surrogate, verified and re-anchored by the model itself.

Protocol: true margins at designed anchors → quadratic surrogate of every row's margin → NSGA-II on the surrogate →
true evaluation of its front → these join the anchors → again; at last held-out rows accept or reject the winner.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor

from llm_experts.reading.calibration import Calibration
from llm_experts.search.books.book import Book
from llm_experts.search.box import Box, box_of
from llm_experts.search.evaluations import TrueEvaluations
from llm_experts.search.fronts.hypervolume import reference_point
from llm_experts.search.fronts.pareto import front
from llm_experts.search.guiding.guidance import Advisor, GuidanceLog
from llm_experts.search.measures import NOT_CONSTANT, Measures, book_of, constraint_names, measure
from llm_experts.search.mixture import MixtureModel, Outputs, SearchRows
from llm_experts.search.result import Candidate, RoundReport, SearchResult
from llm_experts.search.rounds import Generation, Progress, Round, State, budgets, judged, worth_verifying
from llm_experts.search.settings import LATENCY, SearchError, SearchSettings
from llm_experts.search.surrogate import Error, Surrogate, compare, cross_validate, design, distinct, fit, spread, terms
from llm_experts.search.validation import Contender, HeldOut, Rejection, Winner, choose, ordered


def search_mixtures(
    model: MixtureModel,
    rows: SearchRows | Book,
    settings: SearchSettings | None = None,
    *,
    held_out: tuple[MixtureModel, SearchRows | Book] | None = None,
    folder: Path | None = None,
    advisor: Advisor | None = None,
    progress: Progress | None = None,
    batch: int = 16,
) -> SearchResult:
    """Search for mixture weights.

    Parameters
    ----------
    model, rows : MixtureModel, SearchRows or Book
        Mixtures on the search rows (a part of the validation rows, never test rows), and these rows' labels and groups;
        or on items, and their book of measures (:class:`llm_experts.search.books.item_book.ItemBook`).
    settings : SearchSettings
    held_out : (MixtureModel, SearchRows or Book) or None
        The same experts on other validation rows: they accept or reject the winner.
    folder : Path or None
        True evaluations are kept here. What runs on the surrogate takes seconds and is deterministic, so a search that
        was killed and starts again with the same arguments ends in the same result without repeating a pass.
    advisor : Advisor or None
        Asked for bounds every ``guidance_every`` generations.
    progress : callable or None
        See :data:`llm_experts.search.rounds.Progress`.
    batch : int
        Mixtures per call of the model.

    Returns
    -------
    SearchResult

    Raises
    ------
    SearchError
        For contradictory settings, measures that the rows or the model cannot give, margins that are not finite, and
        where no mixture satisfies the constraints.
    """
    settings = SearchSettings() if settings is None else settings
    searching = _Search(model, book_of(rows), settings, folder, advisor, progress, batch)
    searching.anchor()
    for number in range(1, settings.rounds + 1):
        if searching.generations >= settings.generations or not searching.round(number):
            break
    return searching.finish(held_out)


@dataclass
class _Known:
    """Everything that was evaluated truly, in order: [A, K], outputs [A, o], and where it came from."""

    alphas: Tensor
    outputs: Tensor
    origin: list[str]
    round: list[int]
    guessed: list[dict[str, float]]

    def add(
        self, alphas: Tensor, outputs: Tensor, origin: str, number: int, guessed: Sequence[dict[str, float]]
    ) -> None:
        self.alphas, self.outputs = torch.cat([self.alphas, alphas]), torch.cat([self.outputs, outputs])
        self.origin += [origin] * len(alphas)
        self.round += [number] * len(alphas)
        self.guessed += guessed


@dataclass
class _Search:
    """State of one search."""

    model: MixtureModel
    book: Book
    settings: SearchSettings
    folder: Path | None
    advisor: Advisor | None
    progress: Progress | None
    batch: int
    box: Box = field(init=False)
    known: _Known = field(init=False)
    reference: Tensor = field(init=False)
    curve: list[Generation] = field(default_factory=list)
    reports: list[RoundReport] = field(default_factory=list)
    log: GuidanceLog = field(default_factory=GuidanceLog)
    surrogate_evaluations: int = 0
    seconds: dict[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.names = tuple(self.model.names)
        if not self.names:
            raise SearchError("There is no expert to mix; a search needs at least one.")
        self.book.check(self.model, self.settings)
        self.box = box_of(self.settings, self.names)
        self.moved = self.book.needs_moved(self.settings.metrics)
        self.true = self._evaluations(self.model)

    def _evaluations(self, model: MixtureModel) -> TrueEvaluations:
        latency = LATENCY in self.settings.metrics
        return TrueEvaluations(model, moved=self.moved, latency=latency, folder=self.folder, batch=self.batch)

    @property
    def generations(self) -> int:
        return len(self.curve)

    def anchor(self) -> None:
        """Evaluate the anchors: the design, base and single experts in the box, others spread over it."""
        inside = references(len(self.names))
        alphas = torch.cat(
            [
                design(self.box),
                inside[self.box.holds(inside)],
                spread(self.box, self.settings.spread_anchors, self.settings.seed),
            ]
        )
        with self._clock("true evaluations"):
            outputs = flat(self.true(alphas))
        broken = torch.nonzero(~torch.isfinite(outputs).all(1))[:, 0].tolist()
        if broken:
            raise SearchError(
                f"The mixture {self._words(alphas[broken[0]])} has margins that are not finite ({len(broken)} of "
                f"{len(alphas)} anchors). Narrow the experts' bounds, or look at the experts."
            )
        count = len(alphas)
        self.known = _Known(alphas, outputs, ["anchor"] * count, [0] * count, [{} for _ in range(count)])
        measured = self.measure(alphas, outputs)
        self._check_estimable(measured)
        self.reference = reference_point(measured.losses)

    def _check_estimable(self, measured: Measures) -> None:
        for metric, values in measured.values.items():
            if bool(torch.isnan(values).any()):
                raise SearchError(
                    f"{metric} cannot be estimated on the {self.book.sizes()}. Give more rows, or leave the measure "
                    "out."
                )

    def measure(self, alphas: Tensor, outputs: Tensor) -> Measures:
        """Measures of mixtures [P, K] from flat outputs [P, o]."""
        split = unflat(outputs, len(self.book), self.moved)
        return measure(split._replace(latency=self.true.latency_of(alphas)), self.book, self.settings)

    def round(self, number: int) -> bool:
        """Fit, search, evaluate the front truly; False if the front held nothing new."""
        surrogate = fit(self.known.alphas, self.known.outputs, self.box, interpolate=self.settings.interpolate)
        validated = cross_validate(
            self.known.alphas,
            self.known.outputs,
            self.box,
            terms(len(self.names)),
            lambda alphas, outputs: self.measure(alphas, outputs).values,
            interpolate=self.settings.interpolate,
        )
        with self._clock("surrogate search"):
            state = self._evolve(surrogate, number)
        self.curve += state.curve
        self.surrogate_evaluations += state.evaluations
        members = worth_verifying(state.archive, state.last, self.settings.candidates)
        alphas = members.alphas[self._new(members.alphas)]
        deviation = self._verify(alphas, surrogate, number) if len(alphas) else {}
        count = len(self.known.alphas) - len(alphas)
        self.reports.append(RoundReport(number, count, len(state.curve), state.stopped, validated, deviation))
        return len(alphas) > 0

    def _evolve(self, surrogate: Surrogate, number: int) -> State:
        def evaluate(alphas: Tensor) -> Measures:
            return self.measure(alphas, surrogate(alphas))

        anchors = self.known.alphas[self.box.holds(self.known.alphas)]
        searched = Round(
            number=number,
            first=self.generations,
            budget=budgets(self.settings.generations, self.settings.rounds, self.generations, number),
            evaluate=evaluate,
            describe=lambda alphas: evaluate(alphas).values,
            full=self.box,
            reference=self.reference,
            names=self.names,
            settings=self.settings,
            log=self.log,
            advisor=self.advisor,
            progress=self.progress,
        )
        return searched.run(judged(anchors, evaluate))

    def _new(self, alphas: Tensor) -> Tensor:
        """[P] bool, which mixtures have neither been evaluated yet nor are near an earlier one of these."""
        half = (self.box.high - self.box.low) / 2
        count = len(self.known.alphas)
        kept = distinct(torch.cat([self.known.alphas, alphas]) / half)
        new = torch.zeros(len(alphas), dtype=torch.bool)
        new[kept[kept >= count] - count] = True
        return new

    def _verify(self, alphas: Tensor, surrogate: Surrogate, number: int) -> dict[str, Error]:
        """Evaluate members of the front truly, add them to the anchors; error of the surrogate by measure."""
        guessed = self.measure(alphas, surrogate(alphas)).values
        with self._clock("true evaluations"):
            outputs = flat(self.true(alphas))
        finite = torch.isfinite(outputs).all(1)
        alphas, outputs = alphas[finite], outputs[finite]
        true = self.measure(alphas, outputs).values
        guessed = {id: values[finite] for id, values in guessed.items()}
        rows = [{id: float(values[i]) for id, values in guessed.items()} for i in range(len(alphas))]
        self.known.add(alphas, outputs, "front", number, rows)
        return {id: compare(guessed[id], true[id]) for id in true}

    def finish(self, held_out: tuple[MixtureModel, SearchRows | Book] | None) -> SearchResult:
        """The true front, the winner, the report."""
        measured = self.measure(self.known.alphas, self.known.outputs)
        feasible = measured.feasible
        if not bool(feasible.any()):
            raise SearchError(self._infeasible(measured))
        on_front = front(measured.losses, measured.violation) & feasible
        with self._clock("validation"):
            winner, rejections = self._choose(measured, on_front, held_out)
        candidates = self._candidates(measured, on_front) + self._references()
        self.log.finish(self.known.alphas[on_front], self.names)
        signs = [o.sign for o in self.settings.objectives]
        points = zip(self.settings.objectives, signs, self.reference.tolist(), strict=True)
        return SearchResult(
            self.names,
            self.settings.as_dict(),
            candidates,
            self.curve,
            {o.metric: sign * value for o, sign, value in points},
            self.reports,
            self.log.entries,
            self.log.summary(),
            winner,
            rejections,
            self.surrogate_evaluations,
            self.true.passes,
            self.seconds,
        )

    def _choose(
        self, measured: Measures, on_front: Tensor, held_out: tuple[MixtureModel, SearchRows | Book] | None
    ) -> tuple[Winner, list[Rejection]]:
        members = torch.nonzero(on_front)[:, 0]
        members = members[ordered(measured.losses[members], self.settings.order)]
        contenders = self._contenders(self.known.alphas[members], self.known.outputs[members], measured, members)
        singles = references(len(self.names))
        outputs = flat(self.true(singles))
        found = self.measure(singles, outputs)
        best = torch.argsort(found.losses[:, 0], stable=True)
        best = best[torch.argsort(found.violation[best], stable=True)]
        others = self._contenders(singles[best], outputs[best], found, best)
        unseen = None if held_out is None else HeldOut(self._evaluations(held_out[0]), book_of(held_out[1]))
        return choose(contenders, others, unseen, self.settings, self.names)

    def _contenders(self, alphas: Tensor, outputs: Tensor, measured: Measures, places: Tensor) -> list[Contender]:
        """Mixtures [F, K] that may win, with their own calibration; ``places`` [F] is where ``measured`` has them."""
        found = self.book.calibration(outputs[:, : len(self.book)], self.settings)
        return [
            self._contender(alphas[i], values_at(measured, place), Calibration(*(part[i : i + 1] for part in found)))
            for i, place in enumerate(places.tolist())
        ]

    def _contender(self, alphas: Tensor, search: dict[str, float], calibration: Calibration) -> Contender:
        kind = kind_of(alphas)
        labels = {"base": "the base", "single": f"the single expert {self.names[int(alphas.argmax())]}"}
        return Contender(alphas, kind, labels.get(kind, f"the mixture {self._words(alphas)}"), search, calibration)

    def _candidates(self, measured: Measures, on_front: Tensor) -> list[Candidate]:
        return [
            self._candidate(i, self.known.alphas[i], measured, self.known.origin[i], bool(on_front[i]))
            for i in range(len(self.known.alphas))
        ]

    def _references(self) -> list[Candidate]:
        """Base and single experts that lie outside the box, for comparison."""
        singles = references(len(self.names))
        outside = singles[~self.box.holds(singles)]
        if not len(outside):
            return []
        measured = self.measure(outside, flat(self.true(outside)))
        return [self._candidate(i, outside[i], measured, "reference", False) for i in range(len(outside))]

    def _candidate(self, i: int, alphas: Tensor, measured: Measures, origin: str, on_front: bool) -> Candidate:
        true = values_at(measured, i)
        guessed = self.known.guessed[i] if origin == "front" else {}
        return Candidate(
            dict(zip(self.names, alphas.tolist(), strict=True)),
            kind_of(alphas),
            origin,
            self.known.round[i] if origin != "reference" else 0,
            true,
            guessed,
            {id: value - true[id] for id, value in guessed.items()},
            bool(measured.feasible[i]),
            float(measured.violation[i]),
            on_front,
        )

    def _infeasible(self, measured: Measures) -> str:
        nearest = int(measured.violation.argmin())
        over = zip(constraint_names(self.settings), measured.violations[nearest].tolist(), strict=True)
        broken = [name for name, value in over if value > 0]
        shown = ", ".join(f"{id} = {value:.4g}" for id, value in values_at(measured, nearest).items())
        wanted, at = ", ".join(constraint_names(self.settings)[:-1]), self._words(self.known.alphas[nearest])
        remedy = (
            "Every mixture says (nearly) the same to all rows: train the experts longer, or calibrate."
            if broken == [NOT_CONSTANT]
            else "Relax that bound by as much, widen the experts' bounds, or add an expert trained for it."
        )
        return (
            f"No mixture of {', '.join(self.names)} satisfies {wanted} among {len(measured.losses)} that were "
            f"evaluated truly. The nearest is {at} with {shown}; it breaks {' and '.join(broken)} by "
            f"{float(measured.violation[nearest]):.4g} in all. {remedy}"
        )

    def _words(self, alphas: Tensor) -> str:
        return ", ".join(f"{n} {a:.3g}" for n, a in zip(self.names, alphas.tolist(), strict=True))

    @contextmanager
    def _clock(self, part: str) -> Iterator[None]:
        start = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[part] = self.seconds.get(part, 0.0) + time.perf_counter() - start


def references(k: int) -> Tensor:
    """[K+1, K] weights of the base and of every expert alone."""
    return torch.cat([torch.zeros(1, k, dtype=torch.float64), torch.eye(k, dtype=torch.float64)])


def kind_of(alphas: Tensor) -> str:
    """Return "base" (no weight), "single" (one weight, of 1) or "mixture"."""
    running = alphas[alphas != 0]
    if not len(running):
        return "base"
    return "single" if len(running) == 1 and float(running[0]) == 1.0 else "mixture"


def values_at(measured: Measures, i: int) -> dict[str, float]:
    """Measures of one mixture."""
    return {id: float(values[i]) for id, values in measured.values.items()}


def flat(outputs: Outputs) -> Tensor:
    """[P, n] or [P, n + n·g] float64: margins, then moved margins."""
    margins = outputs.margins.to(torch.float64)
    return margins if outputs.moved is None else torch.cat([margins, outputs.moved.flatten(1).to(torch.float64)], 1)


def unflat(outputs: Tensor, n: int, moved: bool) -> Outputs:
    """The inverse of :func:`flat`."""
    return Outputs(outputs[:, :n], outputs[:, n:].reshape(len(outputs), n, -1) if moved else None)
