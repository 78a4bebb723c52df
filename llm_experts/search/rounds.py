"""One round of the search on a fixed surrogate: generations, guidance, stopping by hypervolume."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

import torch
from torch import Tensor

from llm_experts.search.box import Box
from llm_experts.search.fronts.evolution import Evolution, Verdict
from llm_experts.search.fronts.hypervolume import hypervolume, stalled
from llm_experts.search.fronts.pareto import front, select
from llm_experts.search.guiding.guidance import (
    AdviceError,
    Advisor,
    Guidance,
    GuidanceLog,
    read_advice,
    rule_box,
    summarise,
)
from llm_experts.search.measures import Measures
from llm_experts.search.settings import SearchSettings

ARCHIVE = 4
"""The archive keeps at most this many populations' worth of non-dominated mixtures."""

Evaluate = Callable[[Tensor], Measures]
Progress = Callable[[int, int, float], None]
"""Called after every generation with generations done, generations planned and the hypervolume.

With an advisor the generations of both branches are reported, the rule's first.
"""


class Generation(NamedTuple):
    """One generation's line of the hypervolume curve.

    ``evaluations``: mixtures judged by the surrogate so far; ``feasible``: share of the generation; ``front``: size of
    the archive; ``low``, ``high``: the box.
    """

    round: int
    generation: int
    evaluations: int
    hypervolume: float
    feasible: float
    front: int
    low: tuple[float, ...]
    high: tuple[float, ...]


@dataclass(frozen=True)
class Pool:
    """Mixtures with their losses and violations: [S, K], [S, m], [S, c]."""

    alphas: Tensor
    losses: Tensor
    violations: Tensor

    def __len__(self) -> int:
        return len(self.alphas)

    @property
    def violation(self) -> Tensor:
        """[S] sum of what is violated."""
        return self.violations.clamp(min=0.0).sum(1)

    @property
    def feasible(self) -> Tensor:
        """[S] bool."""
        return self.violation == 0

    def take(self, index: Tensor) -> Pool:
        """Some of the mixtures."""
        return Pool(self.alphas[index], self.losses[index], self.violations[index])

    def joined(self, other: Pool) -> Pool:
        """These mixtures, then the others."""
        pairs = zip(
            (self.alphas, self.losses, self.violations), (other.alphas, other.losses, other.violations), strict=True
        )
        return Pool(*(torch.cat(pair) for pair in pairs))


def judged(alphas: Tensor, evaluate: Evaluate) -> Pool:
    """Mixtures [S, K] with what they are worth."""
    found = evaluate(alphas)
    return Pool(alphas, found.losses, found.violations)


def non_dominated(pool: Pool, count: int) -> Pool:
    """The front of a pool (of what violates least where nothing is feasible), equal losses once, at most ``count``."""
    members = pool.take(front(pool.losses, pool.violation))
    keys = torch.cat([members.losses, members.violation[:, None]], 1)
    _, inverse = torch.unique(keys, dim=0, return_inverse=True)
    first = torch.full((int(inverse.max()) + 1,), len(members)).scatter_reduce(
        0, inverse, torch.arange(len(members)), "amin"
    )
    members = members.take(first.sort().values)
    return members.take(select(members.losses, members.violation, count).sort().values)


def worth_verifying(archive: Pool, last: Pool, count: int) -> Pool:
    """What is evaluated truly after a round: the front; where nothing is feasible, what violates least."""
    if bool(archive.feasible.any()):
        return non_dominated(archive, count)
    known = archive.joined(last)
    return known.take(select(known.losses, known.violation, count))


@dataclass(frozen=True)
class State:
    """Where a round stands: the archive of the best, the last generation, the curve, mixtures judged."""

    archive: Pool
    last: Pool
    curve: tuple[Generation, ...] = ()
    evaluations: int = 0
    stopped: bool = False


@dataclass
class Round:
    """One round: a surrogate, a budget of generations.

    Attributes
    ----------
    number, first : int
        Number of the round; generations before it.
    evaluate : callable
        Surrogate measures of mixtures [P, K].
    describe : callable
        Measure values of mixtures, for an advisor.
    full : Box
        The widest box; every round begins in it.
    reference : [m]
        Of the hypervolume.
    log : GuidanceLog
        Takes every look at the front.
    """

    number: int
    first: int
    budget: int
    evaluate: Evaluate
    describe: Callable[[Tensor], dict[str, Tensor]]
    full: Box
    reference: Tensor
    names: Sequence[str]
    settings: SearchSettings
    log: GuidanceLog
    advisor: Advisor | None = None
    progress: Progress | None = None
    _done: int = field(default=0, init=False)

    def run(self, start: Pool) -> State:
        """Search from a pool of known mixtures (the anchors of the surrogate)."""
        every = self.settings.guidance_every or self.budget
        size = self.settings.population
        best = non_dominated(start, ARCHIVE * size)
        state = State(best, start.take(select(start.losses, start.violation, size)))
        box = self.full
        while self._done < self.budget and not state.stopped:
            count = min(every, self.budget - self._done)
            if self._done:
                box, state = self._guided(state, count)
            else:
                state = self._stretch(state, box, count)
            self._done = len(state.curve)
        return state

    def _guided(self, state: State, count: int) -> tuple[Box, State]:
        """The next generations in the rule's box, or in the advised one if that gets further."""
        archive = state.archive
        if not bool(archive.feasible.any()):  # nothing to go by yet
            return self.full, self._stretch(state, self.full, count)
        rule = rule_box(self.full, archive.alphas, self.settings.margin)
        entry = Guidance(self.number, self.first + self._done, rule.pairs(self.names))
        self.log.entries.append(entry)
        advised = None if self.advisor is None else self._advice(entry, archive, rule)
        by_rule = self._stretch(state, rule, count)
        if advised is None:
            return rule, by_rule
        by_advice = self._stretch(state, advised, count)
        entry.volume_rule, entry.volume_advice = by_rule.curve[-1].hypervolume, by_advice.curve[-1].hypervolume
        if entry.volume_advice <= entry.volume_rule:
            entry.status = "beaten"
            return rule, replace(by_rule, evaluations=by_rule.evaluations + by_advice.evaluations - state.evaluations)
        entry.status = "followed"
        return advised, replace(by_advice, evaluations=by_rule.evaluations + by_advice.evaluations - state.evaluations)

    def _advice(self, entry: Guidance, archive: Pool, rule: Box) -> Box | None:
        assert self.advisor is not None
        summary = summarise(archive.alphas, self.describe(archive.alphas), rule, self.names, self.settings)
        try:
            box = read_advice(self.advisor(summary), self.full, rule, self.names)
        except AdviceError as error:
            entry.status, entry.reason = "malformed", str(error)
            return None
        entry.advice = box.pairs(self.names)
        return box

    def _stretch(self, state: State, box: Box, count: int) -> State:
        """``count`` generations in one box, from the best mixtures known that lie in it."""
        known = state.archive.joined(state.last)
        known = known.take(torch.nonzero(box.holds(known.alphas))[:, 0])
        size = self.settings.population
        known = known.take(select(known.losses, known.violation, size))
        genes, objectives = len(self.names), known.losses.shape[1]
        words = (self.number, state.curve[-1].generation if state.curve else self.first)
        start = box.encode(known.alphas)
        evolution = Evolution(genes, objectives, size, self.settings.seed, *words, start=start)
        state = replace(state, evaluations=state.evaluations - len(start))  # known ones are told again, not judged
        for generation in range(count + 1):  # the first only tells what is known
            state = self._generation(state, evolution, box, counted=generation > 0)
            if state.stopped:
                break
        return state

    def _generation(self, state: State, evolution: Evolution, box: Box, *, counted: bool) -> State:
        last = judged(box.decode(evolution.ask()), self.evaluate)
        evolution.tell(Verdict(last.losses, last.violations))
        archive = non_dominated(state.archive.joined(last), ARCHIVE * self.settings.population)
        state = replace(state, archive=archive, last=last, evaluations=state.evaluations + len(last))
        if not counted:
            return state
        volume = hypervolume(archive.losses[archive.feasible], self.reference)
        number = self.first + len(state.curve) + 1
        share = float(last.feasible.to(torch.float64).mean())
        low, high = tuple(box.low.tolist()), tuple(box.high.tolist())
        row = Generation(self.number, number, state.evaluations, volume, share, len(archive), low, high)
        curve = (*state.curve, row)
        if self.progress is not None:
            self.progress(number, self.settings.generations, volume)
        stop = stalled([g.hypervolume for g in curve], self.settings.stop_gain, self.settings.stop_window)
        return replace(state, curve=curve, stopped=stop)


def budgets(generations: int, rounds: int, done: int, number: int) -> int:
    """Generations of round ``number`` (from 1): an equal share of what earlier rounds left."""
    return math.ceil((generations - done) / (rounds - number + 1))
