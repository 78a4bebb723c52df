"""What a base can do: of every domain the share of items that it has right, with its interval, and how sure it was.

By *choice* an item counts where the right answer is likelier than all other listed answers together (p > 1/2). A model
that gives each of m listed answers the same probability has p = 1/m, which is the chance level that p's mean is to be
held against; ``likeliest``, the share of items whose right answer is the likeliest of the listed ones, has the same
chance level and is what harnesses call the accuracy of a multiple choice. By *generate* an item counts where the
family's check accepts the greedy answer.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor

from foundation.numbers import finite_dict
from llm_experts.bases.base import Base
from llm_experts.data.encoding import all_stops, prompt_ids
from llm_experts.data.error import DataError
from llm_experts.discovery.measuring.domain import Domain, Scenario, Use, scenarios
from llm_experts.discovery.measuring.opinion import Opinion, OpinionScore, ask_opinions, score_opinions
from llm_experts.families.family import Family
from llm_experts.training.sequences.choices import choices_of, margins_of
from llm_experts.training.sequences.lanes import SequenceLanes
from metrics.calibration import brier
from metrics.proportions import wilson

How = Literal["choice", "generate"]
Progress = Callable[[int, int, str], None]
"""``progress(done, total, domain)``."""


@dataclass(frozen=True)
class MeasuredBase:
    """The base of a report.

    Attributes
    ----------
    id, hash : str
    parameters : int
        Numbers of its weights.
    """

    id: str
    hash: str
    parameters: int


@dataclass(frozen=True)
class DomainCapability:
    """What the base can do in one domain.

    Attributes
    ----------
    domain, family : str
    difficulty : float or None
    n, right : int
        Items, and those it has right.
    share, low, high : float
        right / n with Wilson's 95 % interval.
    p_mean : float
        Mean probability of the right answer among the listed ones; of generated answers the share.
    chance : float
        Mean of 1 / listed answers: p's mean, and ``likeliest``, of a model that prefers none. 0 of generated answers.
    opinion : float or None
        The share that the base said it expects, in [0, 1]; None where it said no number.
    opinion_text : str
        What it said.
    opinion_yes : float or None
        Its probability of "yes" against "no" when asked whether it can answer such questions.
    likeliest : float
        Share of items whose right answer is the likeliest listed one; of generated answers the share.
    commonest : float or None
        Share of the commonest label where all items choose among the same labels: what a constant answer reaches.
    brier : float or None
        Mean squared difference between the likeliest answer's probability and whether it is right (Brier 1950).
    hits : tuple of int
        1 for each item that is right, in the order of the items: what another measurement is paired with.
    """

    domain: str
    family: str
    difficulty: float | None
    n: int
    right: int
    share: float
    low: float
    high: float
    p_mean: float
    chance: float
    opinion: float | None = None
    opinion_text: str = ""
    opinion_yes: float | None = None
    likeliest: float = 0.0
    commonest: float | None = None
    brier: float | None = None
    hits: tuple[int, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """As plain JSON; the domain is called ``name``."""
        told = asdict(self)
        return finite_dict({"name": told.pop("domain"), **told})

    @classmethod
    def from_dict(cls, told: Mapping[str, Any]) -> DomainCapability:
        """The inverse of :meth:`as_dict`."""
        rest = {key: value for key, value in told.items() if key not in ("name", "hits")}
        return cls(domain=told["name"], hits=tuple(told["hits"]), **rest)


@dataclass(frozen=True)
class CapabilityReport:
    """What a base can do in each domain, and what it said of itself.

    Attributes
    ----------
    base : MeasuredBase
    how : str
    rows : tuple of DomainCapability
    opinion : OpinionScore
    """

    base: MeasuredBase
    how: How
    rows: tuple[DomainCapability, ...]
    opinion: OpinionScore

    def row(self, domain: str) -> DomainCapability:
        """The row of a domain.

        Raises
        ------
        DataError
            If it was not measured.
        """
        for row in self.rows:
            if row.domain == domain:
                return row
        raise DataError(f"The capability report has no domain {domain}; measure it as well (--domains).")

    def as_dict(self) -> dict[str, Any]:
        """As plain JSON."""
        return {
            "base": asdict(self.base), "how": self.how,
            "domains": [row.as_dict() for row in self.rows], "opinion": self.opinion.as_dict(),
        }  # fmt: skip

    @classmethod
    def from_dict(cls, told: Mapping[str, Any]) -> CapabilityReport:
        """The inverse of :meth:`as_dict`; other keys are left alone."""
        return cls(
            MeasuredBase(**told["base"]), told["how"],
            tuple(DomainCapability.from_dict(row) for row in told["domains"]),
            OpinionScore.from_dict(told["opinion"]),
        )  # fmt: skip


def measure_capability(
    base: Base,
    domains: Sequence[Domain],
    *,
    items: int = 100,
    how: How = "choice",
    seed: int = 0,
    lanes: SequenceLanes | None = None,
    theta: Tensor | None = None,
    opinions: bool = True,
    use: Use = "capability",
    progress: Progress | None = None,
) -> CapabilityReport:
    """Measure a base, or an adapter on it, in every domain.

    Parameters
    ----------
    base : Base
    domains : sequence of Domain
    items : int
        Of every domain.
    how : {"choice", "generate"}
    seed : int
        Of the items.
    lanes, theta : SequenceLanes and [1, P] or [P], optional
        The adapter that is measured; without one the base is.
    opinions : bool
        Whether the model is asked what it thinks of itself.
    use : str
        Which items are taken (:data:`llm_experts.discovery.measuring.domain.Use`).
    progress : callable, optional

    Returns
    -------
    CapabilityReport
        Of the same domains, items and seed the rows of two models are paired, item by item.

    Raises
    ------
    DataError
        If a domain has not so many items, or there is no domain.
    ValueError
        If ``theta`` is not that of one lane.
    """
    if not domains:
        raise DataError("There is no domain to measure; name some, such as arithmetic and lookup.")
    model = _Model.of(base, lanes, theta)
    asked = ask_opinions(base, domains, model.lanes, model.theta, seed=seed) if opinions else [Opinion()] * len(domains)
    rows = []
    for place, (domain, opinion) in enumerate(zip(domains, asked, strict=True)):
        told = scenarios([domain], use, items, seed)
        measured = _by_choice(model, told) if how == "choice" else _by_generation(model, told, domain.judge)
        rows.append(_row(domain, told, measured, opinion))
        if progress is not None:
            progress(place + 1, len(domains), domain.name)
    score = score_opinions(asked, [row.share for row in rows])
    return CapabilityReport(_measured(base), how, tuple(rows), score)


class _Model(NamedTuple):
    """The one lane that is measured: an adapter, or an untrained one that leaves the base as it is."""

    base: Base
    lanes: SequenceLanes
    theta: Tensor

    @classmethod
    def of(cls, base: Base, lanes: SequenceLanes | None, theta: Tensor | None) -> _Model:
        if lanes is None:
            lanes = SequenceLanes.bare(base, base.n_layers - 1)
        weights = lanes.start if theta is None else theta.reshape(-1, lanes.parameter_count)
        if len(weights) != 1 or len(lanes) != 1:
            raise ValueError(f"one model is measured at a time, and there are {len(lanes)} lanes: select one")
        return cls(base, lanes, weights)


class _Measured(NamedTuple):
    """What was seen of the items of a domain, each [n] or empty."""

    right: Tensor
    p: Tensor
    first: Tensor
    brier: float | None
    chance: float


def _by_choice(model: _Model, told: Sequence[Scenario]) -> _Measured:
    choices = choices_of(model.base, told)
    logprobs = choices.logprobs(model.lanes, model.theta)[0]
    among = logprobs.softmax(-1)
    sure, said = among.max(-1)
    off = float(brier(sure[None], (said == 0).to(torch.int64)))
    chance = float(torch.tensor([1 / len(item.answers) for item in told], dtype=torch.float64).mean())
    return _Measured(margins_of(logprobs) > 0, among[:, 0], said == 0, off, chance)


def _by_generation(model: _Model, told: Sequence[Scenario], judge: Family) -> _Measured:
    examples = [item.example for item in told]
    prompts = [prompt_ids(example, model.base) for example in examples]
    (answers,) = model.lanes.sample(
        model.theta, prompts, max_new_tokens=judge.longest_answer, stop=all_stops(examples, model.base)
    )
    checked = [judge.check(example, said.text).correct for example, said in zip(examples, answers, strict=True)]
    right = torch.tensor(checked)
    return _Measured(right, right.double(), right, None, 0.0)


def _row(domain: Domain, told: Sequence[Scenario], measured: _Measured, opinion: Opinion) -> DomainCapability:
    n, right = len(told), int(measured.right.sum())
    low, high = wilson(right, n)
    return DomainCapability(
        domain.name, domain.family, domain.difficulty, n, right, right / n, low, high, float(measured.p.mean()),
        measured.chance, opinion.expected, opinion.text, opinion.yes, float(measured.first.double().mean()),
        _commonest(told), measured.brier, tuple(int(hit) for hit in measured.right),
    )  # fmt: skip


def _commonest(told: Sequence[Scenario]) -> float | None:
    """Share of the commonest right answer where all items list the same answers."""
    if len({frozenset(item.answers) for item in told}) != 1:
        return None
    said = [item.answers[0] for item in told]
    return max(said.count(answer) for answer in set(said)) / len(said)


def _measured(base: Base) -> MeasuredBase:
    return MeasuredBase(base.id, base.hash, sum(weight.numel() for weight in base.model.parameters()))
