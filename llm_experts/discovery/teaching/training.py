"""All experts of a plan trained together, watched, held at their base, and begun again where they left it."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any, Protocol

from llm_experts.adapters.store import read_adapter
from llm_experts.bases.base import Base
from llm_experts.data.error import DataError
from llm_experts.data.example import Example
from llm_experts.decoder.program import Adapter
from llm_experts.discovery.measuring.domain import Domain, Scenario
from llm_experts.discovery.teaching.watching import Bounds, Watching, evenly, neutral_items
from llm_experts.families.listed import LISTED, with_listed
from llm_experts.families.registry import family_of
from llm_experts.families.wrong import with_rejected
from llm_experts.generation.alignment import AlignmentPairs, alignment_scenarios
from llm_experts.training.loop.assignment import Assignment, Fitted, Progress
from llm_experts.training.loop.fit import fit
from llm_experts.training.loop.method import method_named
from llm_experts.training.loop.presets import learning_rate
from llm_experts.training.loop.settings import Settings
from llm_experts.training.loop.writing import ADAPTER

ROUNDS = ("first", "again")
"""Folders of the first training and of that of experts which had to begin again."""
ELSEWHERE = 240
"""Items of other domains that an expert is asked once it drifts above its bound: a loss of 10 points is sure there."""
LEAST_HOLD = 0.1
"""Weight of the divergence with which training begins again at least, where it was 0 or next to it."""


class Planned(Protocol):
    """What training needs to know of a planned expert."""

    @property
    def name(self) -> str:
        """Its folder."""
        ...

    @property
    def target(self) -> float:
        """Share of right choices to reach."""
        ...


@dataclass(frozen=True)
class ExpertSet:
    """The items of one expert.

    Attributes
    ----------
    train : list of Example
    watching : list of Scenario
        Looked at while it trains; they choose the checkpoint.
    alignment : sequence of Scenario
        Those that name a person or a group are asked about the other one too; those of other domains are what must not
        surely be lost by an expert that drifts far.
    """

    train: list[Example]
    watching: list[Scenario]
    alignment: Sequence[Scenario] = ()


@dataclass(frozen=True, kw_only=True)
class TrainingSettings:
    """How experts are trained.

    Attributes
    ----------
    kind : str
        Of :data:`llm_experts.adapters.registry.ADAPTERS`.
    rank : int or None
    start : int
        First layer that is adapted.
    method : str
        ``choice``, or another one that can learn from listed answers, pairs or completions.
    lr : float or None
        None: that of the kind on the base, times ``faster``. One that is given is taken as it is.
    faster : float
        On nano 40 steps of 12 items at 1 to 3 times the kind's rate taught the most; at 4 times lookup lost between
        step 40 and 80 of 16 items most of what it had gained, and strings fell from .47 to .25.
    epochs : float
    steps : int or None
        Goes before ``epochs``.
    batch_size : int
    look_every : int or None
        Steps between two looks; None: an epoch.
    floor, caution, slack, target_drift, most_drift, patience
        As of :class:`~llm_experts.discovery.teaching.watching.Bounds`.
    probes : int
        Scenarios at most that alignment is measured on, evenly taken from those that name a person or a group; every
        look reads each of them twice.
    beta : float
        First weight of the divergence from the base.
    restart_factor : float
        By how much more an expert is held that begins again; its learning rate is divided by the root of it, as Adam's
        first steps are of one size however much they cost.
    max_length : int
    seed : int
    options : mapping
        Of the method.
    """

    kind: str = "lora"
    rank: int | None = 8
    start: int = 0
    method: str = "choice"
    lr: float | None = None
    faster: float = 2.0
    epochs: float = 5
    steps: int | None = None
    batch_size: int = 16
    look_every: int | None = None
    floor: float = 0.60
    caution: float = 0.65
    slack: float = 0.05
    target_drift: float = 1.0
    most_drift: float = 4.0
    patience: int = 3
    probes: int = 96
    beta: float = 0.02
    restart_factor: float = 4.0
    max_length: int = 512
    seed: int = 0
    options: Mapping[str, Any] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """JSON-able form."""
        return asdict(self) | {"options": dict(self.options)}

    @classmethod
    def from_dict(cls, given: Mapping[str, Any]) -> TrainingSettings:
        """The inverse of :meth:`as_dict`."""
        return cls(**given)

    def bounds(self, target: float) -> Bounds:
        """What an expert with this target is held to."""
        return Bounds(target, self.floor, self.caution, self.slack, self.target_drift, self.most_drift, self.patience)

    def of_loop(self, base: Base, restarts: int) -> Settings:
        """Settings of the training loop, for the first training (0) or the one that begins again (1)."""
        weights = any(known.name == "beta" for known in fields(method_named(self.method).options))
        lr = self.lr or learning_rate(self.kind, base) * self.faster
        options = dict(self.options)
        if weights:
            options["beta"] = self.beta if not restarts else max(self.beta * self.restart_factor, LEAST_HOLD)
        if restarts:
            lr /= self.restart_factor**0.5
        return Settings(
            method=self.method, kind=self.kind, rank=self.rank, start=self.start, lr=lr, epochs=self.epochs,
            steps=self.steps, batch_size=self.batch_size, max_length=self.max_length, evaluate_every=self.look_every,
            patience=NEVER_ENDS, seed=self.seed, options=options,
        )  # fmt: skip


NEVER_ENDS = 10**9
"""The loop's own patience: a watched expert is ended by its watch."""


@dataclass(frozen=True)
class EpochFigures:
    """One look at an expert.

    Attributes
    ----------
    epoch : float
    step : int
    loss : float or None
        Mean since the last look; None before the first step.
    accuracy, low, high : float
        Share of right choices on its watching scenarios, with Wilson's 95 % interval.
    alignment : float or None
        Share of choices that stay when a person of the other group is asked about; None without such scenarios.
    zone : float
        Mean probability of the right answer among the listed ones.
    drift : float
        Mean absolute change of a neutral token's log-probability, in nats.
    beta : float or None
        Weight of the divergence from the base; None for methods without.
    """

    epoch: float
    step: int
    loss: float | None
    accuracy: float
    low: float
    high: float
    alignment: float | None
    zone: float
    drift: float
    beta: float | None

    @classmethod
    def of_row(cls, row: Mapping[str, Any]) -> EpochFigures:
        """From a row of a training's history."""
        told = {name: _number(row.get(name)) for name in ("loss", "alignment", "beta")}
        sure = {name: float(row[name]) for name in ("low", "high", "zone", "drift")}
        return cls(epoch=float(row["epoch"]), step=int(row["step"]), accuracy=float(row["score"]), **sure, **told)  # type: ignore[arg-type]

    def as_dict(self) -> dict[str, Any]:
        """JSON-able form."""
        return asdict(self)

    @classmethod
    def from_dict(cls, given: Mapping[str, Any]) -> EpochFigures:
        """The inverse of :meth:`as_dict`."""
        return cls(**given)


@dataclass(frozen=True, eq=False)
class TrainedExpert:
    """An expert and how it came to be.

    Attributes
    ----------
    name : str
    kind : str
    adapter : Adapter
        At its best sound checkpoint; if there was none after the first step, one that changes nothing.
    folder : Path
        With ``adapter/``, ``history.csv`` and ``training.log``.
    target : float
    reached : bool
        Whether the accuracy at that checkpoint is the target's at least.
    accuracy, low, high : float
        There, with the 95 % interval; ``low`` at or above the target is surely reached.
    best_step, steps : int
    stopped : str
        Why it ended before its last step; "" if it did not.
    restarts : int
        How often it had to begin again, 0 or 1.
    parameters : int
    curve : list of EpochFigures
        Of the training that the checkpoint is from.
    earlier : list of EpochFigures
        Of the training before, where it had to begin again.
    given_up : bool
        Whether it left its bounds a second time.
    """

    name: str
    kind: str
    adapter: Adapter
    folder: Path
    target: float
    reached: bool
    accuracy: float
    low: float
    high: float
    best_step: int
    steps: int
    stopped: str
    restarts: int
    parameters: int
    curve: list[EpochFigures]
    earlier: list[EpochFigures] = field(default_factory=list)
    given_up: bool = False

    def as_dict(self) -> dict[str, Any]:
        """JSON-able form; the adapter is in the folder, of which the last two parts are told."""
        plain = {known.name: getattr(self, known.name) for known in fields(self) if known.name != "adapter"}
        return plain | {
            "folder": "/".join(self.folder.parts[-2:]),
            "curve": [one.as_dict() for one in self.curve],
            "earlier": [one.as_dict() for one in self.earlier],
        }

    @classmethod
    def from_dict(cls, given: Mapping[str, Any], root: Path) -> TrainedExpert:
        """The inverse of :meth:`as_dict`, with the adapter read from ``root``, the folder of the training."""
        folder = root / given["folder"]
        saved = read_adapter(folder / ADAPTER)
        curves = {name: [EpochFigures.from_dict(row) for row in given[name]] for name in ("curve", "earlier")}
        return cls(**{**given, **curves, "folder": folder, "adapter": Adapter(saved.config, saved.state)})


def expert_set(
    domains: Sequence[Domain],
    items: Mapping[str, Sequence[Example]],
    watching: Sequence[Scenario],
    alignment: Sequence[Scenario] = (),
    seed: int = 0,
) -> ExpertSet:
    """Items of an expert that mix its domains equally and list their answers.

    A domain with fewer items than the largest one gives its items again.

    Parameters
    ----------
    domains : sequence of Domain
        Of the expert.
    items : mapping
        Training items by the domain's name.
    watching, alignment : sequence of Scenario
        Those of other domains are left out of ``watching``.
    seed : int
        Of wrong answers.

    Raises
    ------
    DataError
        If a domain has no items, or nothing wrong can be made of one.
    """
    names = [domain.name for domain in domains]
    missing = [name for name in names if not items.get(name)]
    if missing:
        raise DataError(f"The domain {missing[0]} has no training items; give it some, or leave it out of the expert.")
    most = max(len(items[name]) for name in names)
    listed = {
        domain.name: [
            one if LISTED in one.facts else with_listed(domain.judge, one, seed=seed) for one in items[domain.name]
        ]
        for domain in domains
    }
    mixed = [listed[name][place % len(listed[name])] for place in range(most) for name in names]
    return ExpertSet(mixed, [one for one in watching if one.domain in names], alignment)


def train_experts(
    base: Base,
    planned: Sequence[Planned],
    sets: Mapping[str, ExpertSet],
    settings: TrainingSettings,
    *,
    folder: Path,
    progress: Callable[[Progress], None] | None = None,
    stop: Callable[[], bool] | None = None,
) -> list[TrainedExpert]:
    """Train experts as lanes of one run, and those once more that leave their bounds.

    An expert whose alignment falls below the floor, or whose drift rises above the bound without being worth it, ends
    there; the others go on. All that ended so begin again
    together, held closer to the base. What leaves its bounds twice is given up: its best sound checkpoint of either
    training is kept, which may be the base itself. Everything is on disk after every look, and a killed run goes on
    with the same result.

    Parameters
    ----------
    base : Base
    planned : sequence
        Name and target of every expert.
    sets : mapping
        Their items, by name.
    settings : TrainingSettings
    folder : Path
        Gets ``first/<name>/`` and ``again/<name>/`` as of :func:`llm_experts.training.loop.fit.fit`.
    progress, stop : callable, optional
        As there.

    Returns
    -------
    list of TrainedExpert
        In the order of the plan.

    Raises
    ------
    DataError, SettingsError, AdapterError, BaseError
        If items, settings or base do not fit together; nothing was trained.
    TrainingStopped
        If ``stop`` said so.
    """
    missing = [one.name for one in planned if one.name not in sets or not sets[one.name].watching]
    if missing:
        raise DataError(f"The expert {missing[0]} has no items to watch its training by; give it watching scenarios.")
    probes = {id(sets[own.name].alignment): sets[own.name].alignment for own in planned}
    asked = {key: evenly(alignment_scenarios(every), settings.probes) for key, every in probes.items()}
    neutral = neutral_items(base, [one for own in planned for one in sets[own.name].watching])
    pairs = {key: AlignmentPairs.of(base, probes) for key, probes in asked.items() if probes}
    watches = {}
    for own in planned:
        key = id(sets[own.name].alignment)
        bounds = settings.bounds(own.target)
        watches[own.name] = Watching.of(
            base, sets[own.name].watching, asked[key], neutral, bounds, pairs.get(key), _elsewhere(sets[own.name])
        )
    items = {own.name: [_ready(one, settings) for one in sets[own.name].train] for own in planned}

    def trained(names: Sequence[str], restarts: int) -> dict[str, Fitted]:
        own = settings.of_loop(base, restarts)
        given = [
            Assignment(name, items[name], [one.example for one in sets[name].watching], own, watch=watches[name])
            for name in names
        ]
        found = fit(base, given, folder=folder / ROUNDS[restarts], progress=progress, stop=stop)
        return {fitted.name: fitted for fitted in found}

    first = trained([own.name for own in planned], 0)
    left = [name for name, fitted in first.items() if watches[name].left(fitted.history)]
    again = trained(left, 1) if left else {}
    twice = {name for name, fitted in again.items() if watches[name].left(fitted.history)}
    return [_expert(own, settings, first[own.name], again.get(own.name), given_up=own.name in twice) for own in planned]


def _elsewhere(own: ExpertSet) -> list[Scenario]:
    """Watched scenarios of domains that an expert does not learn."""
    home = {one.domain for one in own.watching}
    return evenly([one for one in own.alignment if one.domain not in home], ELSEWHERE)


def _ready(example: Example, settings: TrainingSettings) -> Example:
    """The item with an answer that is rejected, where the method learns from pairs."""
    if method_named(settings.method).needs != "pair" or example.rejected is not None:
        return example
    listed = [str(answer) for answer in example.facts.get(LISTED, ()) if answer != example.completion]
    family = family_of(example)
    if listed:
        return replace(example, rejected=listed[0])
    return example if family is None else with_rejected(family, example, settings.seed)


def _expert(
    planned: Planned, settings: TrainingSettings, first: Fitted, again: Fitted | None, *, given_up: bool
) -> TrainedExpert:
    better = first if again is None or first.score > again.score else again
    curve = [EpochFigures.of_row(row) for row in better.history]
    best = next(row for row in curve if row.step == better.best_step)
    return TrainedExpert(
        name=planned.name,
        kind=settings.kind,
        adapter=better.adapter,
        folder=better.folder,
        target=planned.target,
        reached=best.accuracy >= planned.target,
        accuracy=best.accuracy,
        low=best.low,
        high=best.high,
        best_step=better.best_step,
        steps=better.steps,
        stopped=(again or first).stopped,
        restarts=int(again is not None),
        parameters=better.parameters,
        curve=curve,
        earlier=[] if better is first else [EpochFigures.of_row(row) for row in first.history],
        given_up=given_up,
    )


def _number(value: Any) -> float | None:
    return None if value is None or not math.isfinite(float(value)) else float(value)
