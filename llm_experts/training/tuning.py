"""Tuning of an LLM expert: batches of trials are trained at once, as lanes of one program.

The study is that of networks (:mod:`experts.tuning.study`): an LLM expert and a tabular one that stand beside each
other in a table were chosen by one rule.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from optuna.distributions import BaseDistribution
from torch import Tensor

from experts.expert import Role
from experts.tuning.study import Plan, Progress, Trained, run_study
from experts.tuning.trials import ANSWER_MASS, Asked, Weights
from experts.tuning.tuned import Choice, Tuned, file_stem
from foundation.seeding import derive_seed
from llm_experts.adapters.registry import kind_named
from llm_experts.bases.identify import base_key
from llm_experts.decoder.entry import FULL
from llm_experts.decoder.lanes import AdapterLanes
from llm_experts.decoder.products import products_of
from llm_experts.decoder.verbaliser import LOW_MASS
from llm_experts.reading.expert import LLMExpert, asking_facts, base_facts
from llm_experts.reading.origin import Origin
from llm_experts.training.objectives import Options, Teacher
from llm_experts.training.objectives.answering import SHARE
from llm_experts.training.out_of_fold import Recipe
from llm_experts.training.search_space import describe, search_space
from llm_experts.training.text_blocks import TaskTexts
from llm_experts.training.trainer import Budget, LaneConfig, train_lanes

if TYPE_CHECKING:
    from experts.tuning.shared import StudyServer


@dataclass(frozen=True, kw_only=True)
class TunedAdapter(Tuned):
    """A tuned role: the chosen trial with the adapter that it had when it was chosen.

    Attributes
    ----------
    expert : LLMExpert
        The chosen trial itself, never retrained, calibrated on the validation rows.
    recipe : Recipe
        What it takes to train the same lane again, as a twin or on folds.
    notes : list of str
        What had to be given up in the batches trained by this call, such as a batch that did not fit in memory.
    """

    expert: LLMExpert
    kind: str
    recipe: Recipe
    notes: list[str]

    def details(self) -> dict[str, Any]:
        """Base, adapter, space, budget and variants of the objective."""
        recipe, expert = self.recipe, self.expert
        reader = expert.reader
        counterfactual, width = "lambda_cf" in self.best_params, reader.base.hidden_size
        return {
            "family": expert.family,
            "kind": self.kind,
            "base": base_facts(reader.base),
            "template": reader.template,
            **asking_facts(reader.asking),
            "start": reader.start,
            "scope": reader.scope,
            "products": products_of(reader.base),
            "parameters": expert.parameter_count,
            "adapter_bytes": expert.adapter_bytes,
            "temperature": expert.temperature,
            "bias": expert.bias,
            "notes": self.notes,
            "space": describe(self.kind, self.role, counterfactual=counterfactual, width=width),
            "budget": dataclasses.asdict(recipe.budget),
            "options": dataclasses.asdict(recipe.options),
            **teacher_facts(recipe.teacher),
            "adapter_options": {key: repr(value) for key, value in recipe.adapter_options.items()},
        }


def tune(texts: TaskTexts, role: Role | str, *, seed: int, **settings: Any) -> TunedAdapter:
    """Tune one role with one seed: :func:`tune_seeds` for a single seed."""
    return tune_seeds(texts, role, seeds=(seed,), **settings)[0]


def tune_seeds(
    texts: TaskTexts,
    role: Role | str,
    *,
    seeds: Sequence[int],
    folder: Path,
    kind: str = "lora",
    budget: Budget | None = None,
    trials: int = 8,
    batch: int = 8,
    options: Options | None = None,
    adapter_options: Mapping[str, Any] | None = None,
    teacher: Teacher | None = None,
    utility_floor: float | Tuned | None = None,
    epsilon: float | None = None,
    progress: Progress | None = None,
    server: StudyServer | None = None,
) -> list[TunedAdapter]:
    """Tune one role for several seeds at once: their batches train as lanes of one program.

    Parameters
    ----------
    texts : TaskTexts
        Training rows fit the lanes, validation rows choose; test rows are not touched. Made once, shared by the roles.
    role : str
        A role or its alias (``expert1|2|3``).
    seeds : sequence of int
        One independent study each; halving ranks the lanes of a study among themselves.
    folder, progress, server
        As :func:`experts.tuning.study.run_study` takes them.
    kind : str
        Of :data:`llm_experts.adapters.registry.ADAPTERS`.
    budget : Budget, optional
        Of a batch of lanes.
    trials, batch : int
        Trials per seed, and how many of them are trained at once; the first batch is drawn at random.
    options : Options, optional
        Variants of the objective.
    adapter_options : mapping, optional
        Of the adapter's configuration.
    teacher : Teacher, optional
        What the lanes learn of the training rows beside their labels; margins of a model that has not seen them.
    utility_floor, epsilon
        As :meth:`experts.tuning.study.Plan.of` takes them; fair roles need a floor. With the tuned utility expert of
        the same kind the first half of the first batch starts from it: first weights, learning rate, decay and rank
        are its own, so that these trials differ by their fairness terms alone.

    Raises
    ------
    TuningError
        If every trial of a seed failed; the text gives the reasons.
    ResumeError
        If the folder was made under other settings.
    """
    plan = Plan.of(texts.view, role, seeds, trials, batch, utility_floor, epsilon)
    shared = (budget or Budget(), options or Options(), dict(adapter_options or {}), teacher)
    anchor = _anchor(utility_floor, kind)
    return run_study(_Adapters(plan, texts, kind_named(kind).name, *shared, anchor), folder, progress, server)


def _anchor(utility: float | Tuned | None, kind: str) -> LaneConfig | None:
    """The lane of the tuned utility expert, if it is of the same kind of adapter."""
    return utility.recipe.lane if isinstance(utility, TunedAdapter) and utility.kind == kind else None


@dataclass(frozen=True)
class _Adapters:
    """Adapter lanes as the subject of a study."""

    plan: Plan
    texts: TaskTexts
    kind: str
    budget: Budget
    options: Options
    adapter_options: Mapping[str, Any]
    teacher: Teacher | None
    anchor: LaneConfig | None
    notes: list[str] = field(default_factory=list)

    @property
    def owner(self) -> str:
        return owner(self.plan.view.name, self.kind)

    @property
    def anchored(self) -> int:
        """Trials of a fair role that differ from the tuned utility expert by their fairness terms alone."""
        none = self.anchor is None or self.plan.role == "utility"
        return 0 if none else min(self.plan.batch, self.plan.trials) // 2

    @property
    def train_seed(self) -> int:
        return derive_seed(self.plan.seeds[0], "adapter lanes")

    def first(self) -> Sequence[Mapping[str, Any]]:
        if self.anchor is None:
            return ()
        known = {"lr": self.anchor.lr, "weight_decay": self.anchor.weight_decay, "rank": self.anchor.rank}
        return [{name: known[name] for name in self.space() if name in known}] * self.anchored

    def space(self) -> dict[str, BaseDistribution]:
        movable, width = self.plan.view.flip is not None, self.texts.reader.base.hidden_size
        return search_space(self.kind, self.plan.role, counterfactual=movable, width=width)

    def lane(self, seed: int, number: int, params: Mapping[str, Any]) -> LaneConfig:
        lambdas = {key: value for key, value in params.items() if key.startswith("lambda_")}
        rank = params["rank"] if "rank" in params else kind_named(self.kind).rank_choices[0]
        lane_seed = derive_seed(seed, "adapter", self.plan.role, number)
        if self.anchor is not None and number < self.anchored:
            lane_seed = self.anchor.seed
        return LaneConfig(params["lr"], params["weight_decay"], rank, lambdas, lane_seed)

    def settings(self) -> dict[str, Any]:
        reader = self.texts.reader
        return {
            "kind": self.kind,
            **base_key(reader.base),
            "template": reader.template,
            **asking_facts(reader.asking),
            "start": reader.start,
            **({} if reader.scope == FULL else {"scope": reader.scope}),
            "adapter_options": repr(dict(self.adapter_options)),
            "budget": dataclasses.asdict(self.budget),
            "options": dataclasses.asdict(self.options),
            **teacher_facts(self.teacher),
            "kept answer mass": f"{SHARE:g} of the base's, at most {LOW_MASS:g}",
            "anchor": None if self.anchor is None else repr(self.anchor),
        }

    def train(self, asked: Asked, progress: Progress | None) -> Trained:
        plan = self.plan
        lanes = train_lanes(
            self.texts,
            plan.role,
            [self.lane(seed, trial.number, trial.params) for seed, trial in asked],
            self.budget,
            seed=self.train_seed,
            studies=[plan.seeds.index(seed) for seed, _ in asked],
            kind=self.kind,
            options=self.options,
            adapter_options=self.adapter_options,
            teacher=self.teacher,
            utility_floor=plan.floor,
            progress=progress,
        )
        self.notes.extend(note for note in lanes.notes if note not in self.notes)
        weights: list[Weights] = [
            {"theta": lanes.theta[lane].cpu(), "temperature": temperature, "bias": bias}
            for lane, (temperature, bias) in enumerate(zip(*lanes.calibration, strict=True))
        ]
        short = [{ANSWER_MASS: lanes.least_mass - mass} for mass in lanes.mass.tolist()]
        return Trained(lanes, lanes.rarer_shares(), weights, short)

    def tuned(self, choice: Choice, weights: Callable[[int], dict[str, Tensor]]) -> TunedAdapter:
        lane = self.lane(choice.seed, choice.best_trial, choice.best_params)
        shared = (self.budget, self.train_seed, self.options, self.adapter_options, self.teacher)
        return TunedAdapter(
            **vars(choice),
            expert=self._expert(lane, weights(choice.best_trial)),
            kind=self.kind,
            recipe=Recipe(self.plan.role, self.kind, lane, choice.step, *shared),
            notes=list(self.notes),
        )

    def _expert(self, lane: LaneConfig, weights: Weights) -> LLMExpert:
        texts = self.texts
        ids = texts.prompts.answer_ids
        lanes = AdapterLanes.fresh(texts.cut, ids, self.kind, [lane.rank], [lane.seed], self.adapter_options)
        adapter = lanes.adapter(0, weights["theta"].to(texts.cut.base.device))
        calibration = (float(weights["temperature"]), float(weights["bias"]))
        return LLMExpert(self.plan.role, texts.reader, adapter, *calibration, (Origin.of_training(texts.view),))


def teacher_facts(teacher: Teacher | None) -> dict[str, Any]:
    """What settings and results say of a teacher; nothing where there is none."""
    return {} if teacher is None else {"teacher": teacher.as_dict()}


def owner(dataset: str, kind: str) -> str:
    """Start of the names of the files of all roles that were tuned with a kind of adapter."""
    return f"{file_stem(dataset)}_llm_{re.sub(r'[^a-z0-9_]', '_', kind)}"


def stem(dataset: str, kind: str, role: str) -> str:
    """Start of the names of the files of a tuned role."""
    return f"{owner(dataset, kind)}_{role}"
