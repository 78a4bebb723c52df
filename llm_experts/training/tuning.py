"""Tuning of an LLM expert: batches of trials are asked at once, trained at once as lanes, told at once.

The same trials, rules and records as for networks (:mod:`experts.tuning.trials`, :mod:`experts.tuning.trial_store`):
an LLM expert and a tabular one that stand beside each other in a table were chosen by one rule.
"""

from __future__ import annotations

import dataclasses
import logging
import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from experts.expert import Role
from experts.tuning.results import file_stem
from experts.tuning.trial_store import Row, TrialStore
from experts.tuning.trials import (
    Asked,
    Weights,
    choose,
    direction_of,
    floor_of,
    pareto_front,
    quiet_optuna,
    role_named,
    run_batches,
    trial_row,
)
from foundation.files import atomic_path, write_json
from foundation.seeding import derive_seed
from llm_experts.adapters.registry import kind_named
from llm_experts.decoder.lanes import AdapterLanes
from llm_experts.reading.expert import LLMExpert
from llm_experts.training.objectives import Options
from llm_experts.training.out_of_fold import Recipe
from llm_experts.training.search_space import describe, search_space
from llm_experts.training.trainer import Budget, LaneConfig, train_lanes

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution

    from llm_experts.training.text_blocks import TaskTexts

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Tuning:
    """A tuned role: the chosen trial with the adapter that it had when it was chosen.

    Attributes
    ----------
    best_score : float
        Role score of the chosen trial on validation rows: utility@1, fair_res@1, fair_proc@1 or final@1.
    expert : LLMExpert
        The chosen trial itself, never retrained, calibrated on the validation rows.
    recipe : Recipe
        What it takes to train the same lane again, as a twin or on folds.
    trials, pareto, floor, epsilon, feasible, note, place
        As in :class:`experts.tuning.study.Tuning`.
    notes : list of str
        What had to be given up in the batches trained by this call, such as a batch that did not fit in memory.
    """

    role: Role
    kind: str
    dataset: str
    seed: int
    best_trial: int
    best_params: dict[str, Any]
    best_metrics: dict[str, float | None]
    best_score: float
    expert: LLMExpert
    recipe: Recipe
    trials: list[Row]
    pareto: list[int]
    floor: float | None
    epsilon: float | None
    feasible: bool
    note: str
    view_hash: str
    notes: list[str]
    place: str = ""


def tune(texts: TaskTexts, role: Role | str, *, seed: int, **settings: Any) -> Tuning:
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
    utility_floor: float | Tuning | None = None,
    epsilon: float | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> list[Tuning]:
    """Tune one role for several seeds at once: their batches train as lanes of one program.

    Parameters
    ----------
    texts : TaskTexts
        Training rows fit the lanes, validation rows choose; test rows are not touched. Made once, shared by the roles.
    role : str
        A role or its alias (``expert1|2|3``).
    seeds : sequence of int
        One independent study each; halving ranks the lanes of a study among themselves.
    folder : Path
        Gets the results, the chosen expert and the trials so far; the same call with the same folder goes on after a
        kill and ends in the same numbers. Several seeds: results in ``seed_<n>`` below it.
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
    utility_floor : float or Tuning, optional
        Required for fair roles. A float is the floor itself; the tuned utility expert of the same view gives
        ``its validation utility − epsilon``, and the first half of the first batch starts from it: first weights,
        learning rate, decay and rank are its own, so that these trials differ by their fairness terms alone.
    epsilon : float, optional
        Default 0.02 with a Tuning; with a float it is only stated in the results.
    progress : callable, optional
        Called with (steps done, steps in all).

    Raises
    ------
    TuningError
        If every trial of a seed failed; the text gives the reasons.
    ResumeError
        If the folder was made under other settings.
    """
    name = role_named(role)
    reached = utility_floor.best_score if isinstance(utility_floor, Tuning) else None
    given = None if isinstance(utility_floor, Tuning) else utility_floor
    floor, margin = floor_of(name, given, reached, epsilon)
    anchor = utility_floor.recipe.lane if isinstance(utility_floor, Tuning) and utility_floor.kind == kind else None
    shared = (budget or Budget(), options or Options(), dict(adapter_options or {}), anchor)
    plan = _Plan(texts, name, kind_named(kind).name, tuple(seeds), trials, batch, floor, *shared)
    notes: list[str] = []
    with quiet_optuna():
        store = TrialStore(plan.trial_folder(folder), plan.settings(), plan.seeds, plan.space(), direction_of(name))
        run_batches(
            store,
            name,
            plan.space(),
            trials=trials,
            batch=batch,
            train=lambda asked, finished: _train(plan, asked, notes, _shifted(progress, plan, finished)),
            first=plan.first(),
        )
    results = [_conclude(plan, store, seed, margin, notes) for seed in plan.seeds]
    for result in results:
        save_tuning(result, folder)
    return results


@dataclass(frozen=True)
class _Plan:
    texts: TaskTexts
    role: Role
    kind: str
    seeds: tuple[int, ...]
    trials: int
    batch: int
    floor: float | None
    budget: Budget
    options: Options
    adapter_options: Mapping[str, Any]
    anchor: LaneConfig | None

    @property
    def anchored(self) -> int:
        """Trials of a fair role that differ from the tuned utility expert by their fairness terms alone."""
        return 0 if self.anchor is None or self.role == "utility" else min(self.batch, self.trials) // 2

    def first(self) -> list[dict[str, Any]]:
        if self.anchor is None:
            return []
        known = {"lr": self.anchor.lr, "weight_decay": self.anchor.weight_decay, "rank": self.anchor.rank}
        return [{name: known[name] for name in self.space() if name in known}] * self.anchored

    @property
    def train_seed(self) -> int:
        return derive_seed(self.seeds[0], "adapter lanes")

    @property
    def counterfactual(self) -> bool:
        return self.texts.view.flip is not None

    @property
    def width(self) -> int:
        return self.texts.reader.base.hidden_size

    def space(self) -> dict[str, BaseDistribution]:
        return search_space(self.kind, self.role, counterfactual=self.counterfactual, width=self.width)

    def trial_folder(self, folder: Path) -> Path:
        return folder / f"{stem(self.texts.view.name, self.kind, self.role)}_trials"

    def lane(self, seed: int, number: int, params: Mapping[str, Any]) -> LaneConfig:
        lambdas = {key: value for key, value in params.items() if key.startswith("lambda_")}
        rank = params["rank"] if "rank" in params else kind_named(self.kind).rank_choices[0]
        lane_seed = derive_seed(seed, "adapter", self.role, number)
        if self.anchor is not None and number < self.anchored:
            lane_seed = self.anchor.seed
        return LaneConfig(params["lr"], params["weight_decay"], rank, lambdas, lane_seed)

    def settings(self) -> dict[str, Any]:
        """What determines the trials; the number of trials does not, so that a study can be prolonged."""
        reader = self.texts.reader
        what = {"role": self.role, "kind": self.kind, "view": self.texts.view.hash, "floor": self.floor}
        how = {"base": reader.base.hash, "template": reader.template, "start": reader.start}
        shared = {"seeds": self.seeds, "batch": self.batch, "adapter_options": repr(dict(self.adapter_options))}
        anchor = None if self.anchor is None else repr(self.anchor)
        records = {
            "budget": dataclasses.asdict(self.budget),
            "options": dataclasses.asdict(self.options),
            "anchor": anchor,
        }
        return {**what, **how, **shared, **records}


def _train(
    plan: _Plan, asked: Asked, notes: list[str], progress: Callable[[int, int], None] | None
) -> tuple[list[Row], list[Weights]]:
    """Rows and weights of a batch of trials, trained as lanes of one program."""
    lanes = train_lanes(
        plan.texts,
        plan.role,
        [plan.lane(seed, trial.number, trial.params) for seed, trial in asked],
        plan.budget,
        seed=plan.train_seed,
        studies=[plan.seeds.index(seed) for seed, _ in asked],
        kind=plan.kind,
        options=plan.options,
        adapter_options=plan.adapter_options,
        utility_floor=plan.floor,
        progress=progress,
    )
    notes += [note for note in lanes.notes if note not in notes]
    shares = lanes.rarer_shares()
    rows = [
        trial_row(
            trial,
            plan.role,
            metrics=lanes.metrics[lane],
            objective=lanes.objective[lane],
            state=lanes.state[lane],
            reason=lanes.reason[lane],
            step=int(lanes.step[lane]),
            rarer_share=shares[lane],
            floor=plan.floor,
        )
        for lane, (_, trial) in enumerate(asked)
    ]
    weights: list[Weights] = [
        {"theta": lanes.theta[lane].cpu(), "temperature": temperature, "bias": bias}
        for lane, (temperature, bias) in enumerate(zip(*lanes.calibration, strict=True))
    ]
    return rows, weights


def _shifted(
    progress: Callable[[int, int], None] | None, plan: _Plan, finished: int
) -> Callable[[int, int], None] | None:
    if progress is None:
        return None
    batches, before = math.ceil(plan.trials / plan.batch), math.ceil(finished / plan.batch)
    return lambda done, steps: progress(before * steps + done, batches * steps)


def _conclude(plan: _Plan, store: TrialStore, seed: int, epsilon: float | None, notes: list[str]) -> Tuning:
    rows, view = store.rows[seed], plan.texts.view
    best, note = choose(rows, plan.role, plan.floor)
    if note:
        log.warning("%s, %s role, %s: %s", view.name, plan.role, plan.kind, note)
    lane = plan.lane(seed, best["number"], best["params"])
    recipe = Recipe(
        plan.role, plan.kind, lane, best["step"], plan.budget, plan.train_seed, plan.options, plan.adapter_options
    )
    return Tuning(
        role=plan.role,
        kind=plan.kind,
        dataset=view.name,
        seed=seed,
        best_trial=best["number"],
        best_params=best["params"],
        best_metrics=best["metrics"],
        best_score=best["objective"],
        expert=_expert(plan, lane, store.weights(seed, best["number"])),
        recipe=recipe,
        trials=rows,
        pareto=pareto_front(rows, plan.role),
        floor=plan.floor,
        epsilon=epsilon,
        feasible=best["feasible"],
        note=note,
        view_hash=view.hash,
        notes=list(notes),
        place=f"seed_{seed}" if len(plan.seeds) > 1 else "",
    )


def _expert(plan: _Plan, lane: LaneConfig, weights: Weights) -> LLMExpert:
    texts = plan.texts
    ids = texts.prompts.answer_ids
    lanes = AdapterLanes.fresh(texts.cut, ids, plan.kind, [lane.rank], [lane.seed], plan.adapter_options)
    adapter = lanes.adapter(0, weights["theta"].to(texts.cut.base.device))
    return LLMExpert(plan.role, texts.reader, adapter, float(weights["temperature"]), float(weights["bias"]))


def stem(dataset: str, kind: str, role: str) -> str:
    """Start of the file names of a tuned role."""
    return f"{file_stem(dataset)}_llm_{re.sub(r'[^a-z0-9_]', '_', kind)}_{role}"


def results(tuning: Tuning) -> dict[str, Any]:
    """A tuning as JSON: deterministic, without times and paths."""
    recipe, expert = tuning.recipe, tuning.expert
    reader = expert.reader
    return {
        "dataset": tuning.dataset,
        "task_hash": tuning.view_hash,
        "role": tuning.role,
        "family": expert.family,
        "kind": tuning.kind,
        "base": {"id": reader.base.id, "hash": reader.base.hash, "quantisation": reader.base.quantisation},
        "template": reader.template,
        "start": reader.start,
        "parameters": expert.parameter_count,
        "adapter_bytes": expert.adapter_bytes,
        "temperature": expert.temperature,
        "bias": expert.bias,
        "seed": tuning.seed,
        "n_trials": len(tuning.trials),
        "best_trial": tuning.best_trial,
        "best_params": tuning.best_params,
        "best_score": tuning.best_score,
        "best_metrics": tuning.best_metrics,
        "best_step": recipe.steps,
        "feasible": tuning.feasible,
        "note": tuning.note,
        "notes": tuning.notes,
        "utility_floor": tuning.floor,
        "epsilon": tuning.epsilon,
        "space": describe(
            tuning.kind, tuning.role, counterfactual="lambda_cf" in tuning.best_params, width=reader.base.hidden_size
        ),
        "budget": dataclasses.asdict(recipe.budget),
        "options": dataclasses.asdict(recipe.options),
        "adapter_options": {key: repr(value) for key, value in recipe.adapter_options.items()},
        "pareto_front": tuning.pareto,
        "trials": tuning.trials,
    }


def save_tuning(tuning: Tuning, folder: Path) -> None:
    """Write the chosen expert, then the results: whoever finds results finds the expert."""
    folder, name = folder / tuning.place, stem(tuning.dataset, tuning.kind, tuning.role)
    with atomic_path(folder / f"{name}_best") as temporary:
        temporary.mkdir()
        tuning.expert.save(temporary)
    write_json(folder / f"{name}_tuning_results.json", results(tuning))
