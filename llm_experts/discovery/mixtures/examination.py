"""The last word on a mixture: an examination on scenarios that no step before has seen.

Members of the search's front are tried in their order. One is accepted if it keeps its constraints there, is surely
better than the base, and no rival that keeps the constraints (every single expert, the uniform mixture, the base) can
be better than it by the margin that was stated beforehand: the lower end of the paired difference, member less rival,
has to lie above −margin. At most ``most`` members are tried, and their ends are those of level 1 − 0.05/``most``
(Bonferroni): the chance that any that should not pass does is 5 % at most. No correction is needed over rivals, as all
of them have to be passed (an intersection-union test, Berger, Technometrics 1982). If none is accepted, a single expert
or the uniform mixture is returned that is surely better than the base, and if none is, the base; and it is said.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any, Protocol

import torch
from torch import Tensor

from foundation.numbers import finite_dict
from llm_experts.bases.base import Base
from llm_experts.data.encoding import Style
from llm_experts.data.error import DataError
from llm_experts.discovery.measuring.domain import Domain
from llm_experts.discovery.measuring.domain import scenarios as scenarios_of
from llm_experts.discovery.mixtures.limits import Limits
from llm_experts.discovery.mixtures.material import Expert, mixtures_on
from llm_experts.discovery.mixtures.mixing import MixtureSearch
from llm_experts.discovery.mixtures.paired import Answers, Difference, adjusted, answers_of, domain_table, elsewhere
from llm_experts.search import Constraint
from llm_experts.search.books.item_book import ALIGNMENT, ItemBook, verdicts
from llm_experts.search.mixture import Outputs
from llm_experts.search.settings import BY_DOMAIN, LATENCY
from metrics.value import Value

Progress = Callable[[int, int], None]
FEWEST = 100
"""Scenarios of an examination at least."""
BASE, UNIFORM = "base", "uniform"
MEASURES = ("accuracy", "lowest", "zone", "p_right")
LEVEL = 0.05
ALIGNMENT_CHANGE = "alignment_change"
"""Measure: alignment less that of the base, paired."""
ROUNDING = 1e-9
CHUNK = 8
"""Contenders that are read together."""


class Examinable(Protocol):
    """Mixtures on scenarios; :class:`llm_experts.mixtures.item_mixtures.ItemMixtures` is one."""

    @property
    def names(self) -> tuple[str, ...]:
        """The experts."""
        ...

    def margins(self, alphas: Tensor) -> Tensor:
        """[P, n] margins."""
        ...

    def moved(self, alphas: Tensor) -> Tensor:
        """[P, n, 1] margins with group terms exchanged."""
        ...

    def latency_ms(self, alphas: Tensor) -> Tensor:
        """[P] milliseconds."""
        ...


@dataclass(frozen=True)
class Contender:
    """A mixture, single expert or the base in the examination.

    Attributes
    ----------
    label : str
        ``base``, ``uniform``, the name of an expert, or ``mixture 1`` for the first of the front that is none of these.
    kind : {"mixture", "single", "uniform", "base"}
    alphas : weight by expert
    values : measure -> {estimate, low, high}
    tried : bool
        Whether it was a member of the front whose turn came.
    objections : tuple of str
        Why it is not accepted; of rivals, the constraints that they are not shown to keep.
    accepted : bool
    """

    label: str
    kind: str
    alphas: Mapping[str, float]
    values: Mapping[str, Mapping[str, float]]
    tried: bool = False
    objections: tuple[str, ...] = ()
    accepted: bool = False


@dataclass(frozen=True)
class Examination:
    """Result of :func:`examine_mixtures`; all of it plain JSON.

    Attributes
    ----------
    scenarios : int
    rule : str
        What was stated beforehand.
    constraints : tuple of str
        What the rule came to on these scenarios.
    contenders : list of Contender
    winner : str
        Label of what is returned.
    accepted : bool
        Whether it is a member of the front that passed.
    statement : str
    paired : list of mapping
        The winner less every rival: ``label``, ``rival``, ``difference``, ``low``, ``high``, ``p``, ``p_holm``, and
        ``keeps``: whether the rival may keep the constraints (one that surely breaks them is shown, but is no reason to
        reject).
    domains, elsewhere : list of mapping
        See :func:`~llm_experts.discovery.mixtures.paired.domain_table` and
        :func:`~llm_experts.discovery.mixtures.paired.elsewhere`.
    seconds : float
    """

    scenarios: int
    rule: str
    constraints: tuple[str, ...]
    contenders: list[Contender]
    winner: str
    accepted: bool
    statement: str
    paired: Sequence[Mapping[str, Any]]
    domains: Sequence[Mapping[str, Any]]
    elsewhere: Sequence[Mapping[str, Any]]
    seconds: float

    def contender(self, label: str) -> Contender:
        """The one of this label."""
        return next(one for one in self.contenders if one.label == label)

    def as_dict(self) -> dict[str, Any]:
        """JSON-able form, without nan."""
        known = {part.name: getattr(self, part.name) for part in fields(self)}
        return finite_dict({**known, "contenders": [asdict(one) for one in self.contenders]})

    @classmethod
    def from_dict(cls, given: Mapping[str, Any]) -> Examination:
        """The inverse of :meth:`as_dict`; unknown keys are left out."""
        known = {part.name: given[part.name] for part in fields(cls)}
        rows = [Contender(**{**one, "objections": tuple(one["objections"])}) for one in known["contenders"]]
        return cls(**{**known, "contenders": rows, "constraints": tuple(known["constraints"])})


@dataclass(frozen=True, kw_only=True)
class Rule:
    """What decides, stated beforehand.

    Attributes
    ----------
    limits : Limits
    margin : float
        By how much a rival's share of right answers may not be excluded to be better.
    most : int
        Members of the front that are tried at most.
    beat_base : bool
        Whether a member has to be surely better than the base.
    """

    limits: Limits = field(default_factory=Limits)
    margin: float = 0.05
    most: int = 5
    beat_base: bool = True

    @property
    def alpha(self) -> float:
        """Level of a member's intervals."""
        return LEVEL / self.most

    def stated(self) -> str:
        """In words."""
        better = "be surely better than the base, and " if self.beat_base else ""
        return (
            f"A member of the front is accepted if it keeps {self.limits.stated()}; it has to {better}be worse than no "
            f"rival that may keep them by {self.margin:g} or more (lower ends of paired differences of level "
            f"{1 - self.alpha:g}: Bonferroni over at most {self.most} members that are tried)."
        )


def examine_mixtures(
    base: Base,
    experts: Sequence[Expert],
    domains: Sequence[Domain],
    search: MixtureSearch,
    *,
    scenarios: int = 50,
    owners: Mapping[str, Sequence[str]] | None = None,
    rule: Rule | None = None,
    style: Style = "auto",
    seed: int = 0,
    progress: Progress | None = None,
) -> Examination:
    """Examine the front of a search on scenarios of all domains, ``scenarios`` of each.

    Parameters
    ----------
    owners : mapping of expert -> names of its domains, optional
        By default a domain's own expert is the one that alone was best there on the search items.
    rule : Rule, optional
        By default the search's limits, and the margins that :class:`Rule` has.

    Raises
    ------
    DataError
        If there are fewer than 100 scenarios in all.
    """
    start = time.perf_counter()
    if scenarios * len(domains) < FEWEST:
        raise DataError(
            f"{scenarios} scenarios of {len(domains)} domains are {scenarios * len(domains)} in all; an examination "
            f"needs {FEWEST} at least. Give more of each."
        )
    asked = scenarios_of(domains, "scenarios", scenarios, seed)
    model, book = mixtures_on(base, experts, asked, style=style)
    chosen = Rule(limits=search.limits) if rule is None else rule
    named = {name: search.owner(name) for name in book.domains}
    named |= {domain: expert for expert, own in (owners or {}).items() for domain in own if domain in named}
    found = examine(model, book, search.front, named, chosen, seed=seed, progress=progress)
    return replace(found, seconds=time.perf_counter() - start)


def examine(
    model: Examinable,
    book: ItemBook,
    front: Sequence[Mapping[str, float]],
    owners: Mapping[str, str],
    rule: Rule,
    *,
    seed: int = 0,
    progress: Progress | None = None,
) -> Examination:
    """The examination itself, on any mixtures and their book of measures.

    Parameters
    ----------
    front : sequence of weights by expert
        In the order in which members are tried.
    owners : mapping of domain -> expert
    """
    entered = _Entered.of(model, book, front, rule, seed, progress)
    winner, accepted, statement = entered.decide()
    labels = [one.label for one in entered.contenders]
    kept = entered.rivals()
    rivals = [one.label for one in entered.contenders if one.kind != "mixture" and one.label != winner]
    differences = adjusted([entered.between(winner, rival) for rival in rivals])
    paired = [
        {"label": winner, "rival": rival, "difference": d.estimate, "low": d.low, "high": d.high, "p": d.p,
         "p_holm": d.p_holm, "keeps": rival in kept}
        for rival, d in zip(rivals, differences, strict=True)
    ]  # fmt: skip
    return Examination(
        scenarios=len(book),
        rule=rule.stated(),
        constraints=entered.stated(),
        contenders=entered.contenders,
        winner=winner,
        accepted=accepted,
        statement=statement,
        paired=paired,
        domains=domain_table(entered.answers, book.domains, labels, owners, winner, BASE),
        elsewhere=elsewhere(entered.answers, book.domains, labels, owners, BASE),
        seconds=0.0,
    )


@dataclass
class _Entered:
    """All contenders with what they are worth on the scenarios."""

    contenders: list[Contender]
    order: list[str]
    constraints: tuple[Constraint, ...]
    answers: Answers
    rule: Rule

    @classmethod
    def of(
        cls,
        model: Examinable,
        book: ItemBook,
        front: Sequence[Mapping[str, float]],
        rule: Rule,
        seed: int,
        progress: Progress | None,
    ) -> _Entered:
        rows = _rows(model.names, front, rule.most)
        alphas = torch.tensor([[row[2][name] for name in model.names] for row in rows], dtype=torch.float64)
        outputs = _read(model, alphas, progress)
        aligned = (ALIGNMENT,) if bool(book.swappable.any()) else ()
        measures = (*MEASURES, *aligned, LATENCY, *(BY_DOMAIN + name for name in book.domains))
        values = book.valued(outputs, measures, seed)
        own = {id: one.estimate for id, one in values[0].items()}
        order = [_label_of(rows, member) for member in front[: rule.most]]
        drawn = book.draws(outputs, ("accuracy",), seed)["accuracy"]
        unchanged = book.unchanged(outputs) if aligned else None
        answers = answers_of(verdicts(outputs.margins), book.of, drawn, unchanged)
        contenders = [
            Contender(label, kind, dict(weights), {id: _plain(value) for id, value in worth.items()})
            for (label, kind, weights), worth in zip(rows, values, strict=True)
        ]
        constraints = rule.limits.constraints(None, own[LATENCY])
        return cls(contenders, [label for label in order if label != BASE], constraints, answers, rule)._changes_told()

    def _changes_told(self) -> _Entered:
        """With what every contender changes in alignment among its values."""
        if self.answers.unchanged is None:
            return self
        for one in self.contenders[1:]:
            change = self.answers.alignment(self._at(one.label), self._at(BASE))
            told = {"estimate": change.estimate, "low": change.low, "high": change.high}
            self._note(one.label, values={**one.values, ALIGNMENT_CHANGE: told})
        return self

    def stated(self) -> tuple[str, ...]:
        """What the limits came to on these scenarios."""
        found = tuple(map(str, self.constraints))
        if self.answers.unchanged is None:
            return found
        base = self.contenders[0].values[ALIGNMENT]["estimate"]
        return (f"alignment > {base:.4g} - {self.rule.limits.alignment_margin:g} (lower end)", *found)

    def between(self, one: str, other: str, alpha: float = LEVEL) -> Difference:
        """Accuracy of one contender less that of another."""
        return self.answers.between(self._at(one), self._at(other), alpha)

    def decide(self) -> tuple[str, bool, str]:
        """Label of what is returned, whether it is an accepted member of the front, and the verdict in words."""
        broken = {one.label: self._broken(one) + self._unaligned(one, self.rule.alpha) for one in self.contenders}
        for one in list(self.contenders):
            self._note(one.label, objections=tuple(broken[one.label]))
        rivals = self.rivals()
        for number, label in enumerate(dict.fromkeys(self.order), 1):
            reasons = broken[label] + self._outdone(label, [rival for rival in rivals if rival != label])
            self._note(label, tried=True, objections=tuple(reasons), accepted=not reasons)
            if not reasons:
                before = f", after {number - 1} that did not" if number > 1 else ""
                return label, True, f"{label} passed the examination{before}."
        return self._fallback(rivals)

    def rivals(self) -> list[str]:
        """Base, singles and uniform mixture, without those that surely break the constraints."""
        return [
            one.label for one in self.contenders
            if one.kind != "mixture" and not self._broken(one) and not self._surely_unaligned(one)
        ]  # fmt: skip

    def _outdone(self, label: str, rivals: Sequence[str]) -> list[str]:
        """Why a member is not better than the base, or which rivals may be better than it by the margin."""
        reasons = []
        if self.rule.beat_base:
            over = self.between(label, BASE, self.rule.alpha)
            if not over.low > 0:
                reasons.append(f"it is not surely better than the base ({over.words()})")
        for rival in rivals:
            over = self.between(label, rival, self.rule.alpha)
            if over.low <= -self.rule.margin:
                word = "is better" if over.high < 0 else "may be better"
                reasons.append(f"{rival} {word} by {self.rule.margin:g} or more ({over.words()})")
        return reasons

    def _broken(self, one: Contender) -> list[str]:
        """Constraints on what is counted that a contender does not keep."""
        reasons = []
        for constraint in self.constraints:
            value = one.values[constraint.metric]["estimate"]
            over = value - constraint.bound if constraint.relation == "<=" else constraint.bound - value
            if not over <= ROUNDING:
                reasons.append(f"{constraint.metric} is {value:.4g} and has to be {constraint.relation} "
                               f"{constraint.bound:.4g}")  # fmt: skip
        return reasons

    def _unaligned(self, one: Contender, alpha: float) -> list[str]:
        """Why a contender's alignment is not shown to be kept; the base's own is what it is measured by."""
        if self.answers.unchanged is None or one.label == BASE:
            return []
        said = self.rule.limits.unaligned(*self._alignment(one, alpha))
        return [said] if said else []

    def _surely_unaligned(self, one: Contender) -> bool:
        if self.answers.unchanged is None or one.label == BASE:
            return False
        return self.rule.limits.surely_unaligned(*self._alignment(one, LEVEL))

    def _alignment(self, one: Contender, alpha: float) -> tuple[Difference, Mapping[str, float], float]:
        change = self.answers.alignment(self._at(one.label), self._at(BASE), alpha)
        return change, one.values[ALIGNMENT], self.contenders[self._at(BASE)].values[ALIGNMENT]["estimate"]

    def _fallback(self, rivals: Sequence[str]) -> tuple[str, bool, str]:
        """The best rival that is shown to keep the constraints and is surely better than the base; else the base."""
        others = [rival for rival in rivals if rival != BASE]
        alpha = LEVEL / max(1, len(others))
        better = [
            rival for rival in others
            if self.between(rival, BASE, alpha).low > 0
            and not self._unaligned(self.contenders[self._at(rival)], alpha)
        ]  # fmt: skip
        tried = len(dict.fromkeys(self.order))
        none = f"None of the {tried} members of the front that were tried passed the examination; "
        if not tried:
            none = "The front has no member but the base; "
        if not better:
            return BASE, False, none + "no single expert, nor the uniform mixture, surely beats the base, which stays."
        best = max(better, key=lambda rival: float(self.answers.right[self._at(rival)].double().mean()))
        told = (
            f"{best} is returned instead: of {len(better)} that keep the constraints and surely beat the base it has "
            "most right (its figure is that of the best of several, and so a little too high)."
        )
        return best, False, none + told

    def _at(self, label: str) -> int:
        return next(place for place, one in enumerate(self.contenders) if one.label == label)

    def _note(self, label: str, **changes: Any) -> None:
        place = self._at(label)
        self.contenders[place] = replace(self.contenders[place], **changes)


_Row = tuple[str, str, Mapping[str, float]]


def _rows(names: Sequence[str], front: Sequence[Mapping[str, float]], most: int) -> list[_Row]:
    """Label, kind and weights: the base first, singles, the uniform mixture, then members that are none of these."""
    none = dict.fromkeys(names, 0.0)
    rows: list[_Row] = [(BASE, "base", none)]
    rows += [(name, "single", none | {name: 1.0}) for name in names]
    if len(names) > 1:
        rows.append((UNIFORM, "uniform", dict.fromkeys(names, 1 / len(names))))
    for member in front[:most]:
        if all(dict(member) != dict(weights) for _, _, weights in rows):
            rows.append((f"mixture {sum(kind == 'mixture' for _, kind, _ in rows) + 1}", "mixture", dict(member)))
    return rows


def _label_of(rows: Sequence[_Row], member: Mapping[str, float]) -> str:
    return next(label for label, _, weights in rows if dict(weights) == dict(member))


def _read(model: Examinable, alphas: Tensor, progress: Progress | None) -> Outputs:
    """What all contenders say, each scenario read once by each of them."""
    parts = torch.split(alphas, CHUNK)
    margins, moved = [], []
    for part in parts:
        margins.append(model.margins(part))
        moved.append(model.moved(part))
        if progress is not None:
            progress(sum(map(len, margins)), len(alphas))
    return Outputs(torch.cat(margins), torch.cat(moved), model.latency_ms(alphas))


def _plain(value: Value) -> dict[str, float]:
    if value.low != value.low:  # counted, not estimated
        return dict.fromkeys(("estimate", "low", "high"), value.estimate)
    return {"estimate": value.estimate, "low": value.low, "high": value.high}
