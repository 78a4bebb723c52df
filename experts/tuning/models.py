"""Tuning of models that are fitted one by one, such as boosted trees or linear models.

A family says how it fits a model of a role and what may be chosen; study, store, choice, files, twins, repeats and
out-of-fold outputs are those of all families.
"""

from __future__ import annotations

import dataclasses
import json
import math
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import torch
from optuna.distributions import BaseDistribution, distribution_to_json
from torch import Tensor

from experts.bagging.bag import Bag, bag_name
from experts.bagging.fitting import bag_fit
from experts.evidence import collect_evidence
from experts.expert import Expert, Role
from experts.networks.running import LaneOutcomes
from experts.networks.trainer import Budget
from experts.scores import FINAL, OUTCOME_METRICS, RARER_SHARE, REASON_METRICS, SCORES
from experts.tuning.folds import fold_of_rows
from experts.tuning.repeats import check_repeats, infeasible_note
from experts.tuning.study import Plan, Progress, Trained, run_study
from experts.tuning.trial_store import ResumeError, Row
from experts.tuning.trials import TRAINED, Asked, TuningError, Weights, trained_row
from experts.tuning.tuned import Choice, Tuned, file_stem
from foundation.seeding import derive_seed
from metrics.composites import final
from metrics.points import DEGENERATE_SHARE, point_values, rarer_share
from metrics.procedural import procedural_points
from tasks.task import TaskView
from tasks.thinning import thinned_rows

if TYPE_CHECKING:
    from experts.tuning.shared import StudyServer

Params = Mapping[str, Any]
SAME = 1e-4
"""Margins of one model fitted twice may differ by this much: threads add up numbers in another order."""


class Fit(Protocol):
    """How a family fits a model."""

    def __call__(self, view: TaskView, role: Role, params: Params, seed: int) -> Expert:
        """A model of a role, fitted on ``view.split.train``; the same arguments give the same model."""
        ...


@dataclass(frozen=True, kw_only=True)
class TunedModel(Tuned):
    """A tuned model.

    Attributes
    ----------
    fit_seed, study_seed : int
        Of the chosen model, and of the study that its trials belong to.
    space : dict
        What a trial could choose, as JSON.
    fitted : dict
        Models of trials by their number, as far as they were fitted by this process.
    """

    fit_seed: int
    study_seed: int
    space: dict[str, Any]
    fitted: dict[int, Expert] = field(repr=False)

    def details(self) -> dict[str, Any]:
        """Family and space."""
        return {"family": self.expert.family, "space": self.space}


@dataclass(frozen=True)
class ModelTuner:
    """:class:`experts.tuning.tuner.Tuner` of a family that fits one model per trial.

    Attributes
    ----------
    family : str
        Its name, in file names and seeds.
    fit : callable
    space : callable
        From a role to what a trial may choose. The twin of a fair role is a utility model with those of the chosen
        parameters that the utility role has too.
    explained_rows : int
        Validation rows on which reasons are measured, for roles whose score looks at them.
    """

    family: str
    fit: Fit
    space: Callable[[Role], Mapping[str, BaseDistribution]]
    explained_rows: int = 512

    def tune(
        self,
        view: TaskView,
        role: Role,
        *,
        seeds: Sequence[int],
        folder: Path,
        budget: Budget,  # noqa: ARG002
        trials: int,
        batch: int,
        space: str,  # noqa: ARG002
        utility_floor: float | Tuned | None,
        epsilon: float | None,
        layers: int,  # noqa: ARG002
        progress: Progress | None = None,
        server: StudyServer | None = None,
    ) -> list[TunedModel]:
        """A model is fitted for every trial; what goes wrong in one is on record and does not end the others."""
        plan = Plan.of(view, role, seeds, trials, batch, utility_floor, epsilon)
        return run_study(_Models(plan, self), folder, progress, server)

    def repeat(self, view: TaskView, tuned: TunedModel, seeds: Sequence[int]) -> list[TunedModel]:
        """The chosen parameters, fitted with other seeds."""
        check_repeats(view, tuned.view_hash, seeds)
        return [self._repeated(view, tuned, seed) for seed in seeds]

    def _repeated(self, view: TaskView, tuned: TunedModel, seed: int) -> TunedModel:
        fit_seed = self.fit_seed(seed, tuned.role, tuned.best_trial)
        expert = self.fit(view, tuned.role, tuned.best_params, fit_seed)
        metrics = self.judged(view, tuned.role, expert)
        share, score = metrics.pop(RARER_SHARE), metrics[SCORES[tuned.role]]
        if not math.isfinite(score):
            raise TuningError(
                f"The {tuned.role} role on {view.name}, trained again with seed {seed}, failed: its metrics are not "
                "estimable on the validation rows."
            )
        feasible = tuned.floor is None or (metrics["utility@1"] >= tuned.floor and share >= DEGENERATE_SHARE)
        return dataclasses.replace(
            tuned,
            seed=seed,
            fit_seed=fit_seed,
            expert=expert,
            best_metrics={name: value if math.isfinite(value) else None for name, value in metrics.items()},
            best_score=score,
            feasible=feasible,
            note="" if feasible else infeasible_note(seed),
            place=f"seed_{seed}",
        )

    def twin(self, view: TaskView, tuned: TunedModel) -> Expert:
        """A utility model with the chosen parameters and seed."""
        known = self.space("utility")
        shared = {name: value for name, value in tuned.best_params.items() if name in known}
        return self.fit(view, "utility", shared, tuned.fit_seed)

    def out_of_fold(
        self,
        view: TaskView,
        tuned_roles: Sequence[TunedModel],
        *,
        budget: Budget,  # noqa: ARG002
        folds: int,
        seed: int,
    ) -> Tensor:
        """[n_train, roles]; a model is fitted for every role and fold."""
        fold = fold_of_rows(view, folds, seed)
        return torch.stack([self._held_out(view, tuned, fold) for tuned in tuned_roles], dim=1)

    def _held_out(self, view: TaskView, tuned: TunedModel, fold: Tensor) -> Tensor:
        train, logits = view.split.train, torch.empty(len(fold))
        for number in range(int(fold.max()) + 1):
            held_out = fold == number
            others = dataclasses.replace(view, split=dataclasses.replace(view.split, train=train[~held_out]))
            expert = self.fit(others, tuned.role, tuned.best_params, tuned.fit_seed)
            logits[held_out] = expert.logits(view, train[held_out]).detach().float()
        return logits

    def bag(
        self,
        view: TaskView,
        tuned: TunedModel,
        trials: Sequence[int],
        *,
        budget: Budget,  # noqa: ARG002
        fold: Tensor,
    ) -> list[Bag]:
        """A model is fitted for every trial and fold, with the seed that the trial had."""
        return [self._bag(view, tuned, number, fold) for number in trials]

    def _bag(self, view: TaskView, tuned: TunedModel, number: int, fold: Tensor) -> Bag:
        row = trained_row(tuned, number)
        best, role = number == tuned.best_trial, tuned.role
        seed = tuned.fit_seed if best else self.fit_seed(tuned.study_seed, role, number)
        name = bag_name(self.family, role, number)

        def fit(part: TaskView) -> Expert:
            return self.fit(part, role, row["params"], seed)

        return bag_fit(view, fit, fold, name, self.family, role, number)

    def trial_probabilities(self, view: TaskView, tuned: TunedModel, rows: Tensor) -> Tensor:
        """[trials, r]; trials of an earlier process are fitted again, and one that failed is a row of nan."""
        found = torch.full((len(tuned.trials), len(rows)), torch.nan)
        for place, row in enumerate(tuned.trials):
            if row["state"] in TRAINED:
                expert = self._fitted(view, tuned, row)
                found[place] = torch.sigmoid(expert.logits(view, rows).detach())
        return found

    def trial_expert(self, view: TaskView, tuned: TunedModel, number: int) -> Expert:
        """The model of a trial, fitted again where an earlier process did it."""
        return tuned.expert if number == tuned.best_trial else self._fitted(view, tuned, trained_row(tuned, number))

    def trial_again(self, view: TaskView, tuned: TunedModel, number: int, seed: int) -> Expert:
        """The parameters of a trial, fitted with the seed that it has in a study of another seed."""
        params = trained_row(tuned, number)["params"]
        return self.fit(view, tuned.role, params, self.fit_seed(seed, tuned.role, number))

    def _fitted(self, view: TaskView, tuned: TunedModel, row: Row) -> Expert:
        number = row["number"]
        if number not in tuned.fitted:
            seed = self.fit_seed(tuned.study_seed, tuned.role, number)
            tuned.fitted[number] = self.fit(view, tuned.role, row["params"], seed)
        return tuned.fitted[number]

    def fit_seed(self, seed: int, role: Role, number: int) -> int:
        """Seed of the model of a trial."""
        return derive_seed(seed, self.family, role, number)

    def judged(self, view: TaskView, role: Role, expert: Expert) -> dict[str, float]:
        """Metrics of a model on validation rows, and the share of rows in its rarer predicted class."""
        rows = view.split.validation
        probability = torch.sigmoid(expert.logits(view, rows).detach())[None]
        groups, n_groups = view.groups[rows], len(view.group_names)
        values = point_values(probability, view.labels[rows], groups, n_groups, metrics=OUTCOME_METRICS)
        values = {**values, RARER_SHARE: rarer_share(probability)}
        if role in ("procedural", "combined"):
            values |= self._reasons(view, expert)
        if role == "combined":
            values[FINAL] = final(values["utility@1"], values["fair_res@1"], values["fair_proc@1"])
        return {name: float(value[0]) for name, value in values.items()}

    def _reasons(self, view: TaskView, expert: Expert) -> dict[str, Tensor]:
        rows, n_groups = view.split.validation, len(view.group_names)
        picked = thinned_rows(view, rows, self.explained_rows, 0, "explained rows")
        evidence = collect_evidence(expert, view, picked)
        assert evidence.masked is not None and evidence.attributions is not None  # experts explain themselves
        values = procedural_points(
            evidence.probability[None],
            evidence.masked[None],
            evidence.attributions[None],
            view.groups[picked],
            n_groups,
            view.labels[picked],
        )
        return {name: values[name] for name in REASON_METRICS}


@dataclass(frozen=True)
class _Models:
    """Models of a family as the subject of a study."""

    plan: Plan
    tuner: ModelTuner
    fitted: dict[tuple[int, int], Expert] = field(default_factory=dict)

    @property
    def owner(self) -> str:
        return f"{file_stem(self.plan.view.name)}_{self.tuner.family}"

    def settings(self) -> dict[str, Any]:
        return {"space": self._described()}

    def _described(self) -> dict[str, Any]:
        return {name: json.loads(distribution_to_json(values)) for name, values in self.space().items()}

    def space(self) -> Mapping[str, BaseDistribution]:
        return self.tuner.space(self.plan.role)

    def first(self) -> Sequence[Params]:
        return ()

    def train(self, asked: Asked, progress: Progress | None) -> Trained:
        outcomes = LaneOutcomes([], [], [], [], [], [], [])
        shares: list[float] = []
        weights: list[Weights] = []
        for done, (seed, trial) in enumerate(asked, 1):
            shares.append(self._fit(seed, trial.number, trial.params, outcomes))
            weights.append({"margins": self._margins(seed, trial.number)})
            if progress is not None:
                progress(done, len(asked))
        return Trained(outcomes, shares, weights)

    def _fit(self, seed: int, number: int, params: Params, outcomes: LaneOutcomes) -> float:
        """Fit a trial, enter it among the outcomes, and give the share of rows in its rarer predicted class."""
        plan, metrics, reason = self.plan, dict[str, float](), ""
        try:
            expert = self.tuner.fit(plan.view, plan.role, params, self.tuner.fit_seed(seed, plan.role, number))
            metrics = self.tuner.judged(plan.view, plan.role, expert)
            self.fitted[seed, number] = expert
        except (ArithmeticError, ValueError, RuntimeError) as error:
            reason = "".join(traceback.format_exception_only(error)).strip()
        share = metrics.pop(RARER_SHARE, 0.0)
        utility = metrics.get("utility@1", math.nan)
        outcomes.metrics.append(metrics)
        outcomes.objective.append(metrics.get(SCORES[plan.role], math.nan))
        outcomes.feasible.append(plan.floor is None or utility >= plan.floor)
        outcomes.state.append("failed" if reason else "completed")
        outcomes.reason.append(reason)
        outcomes.step.append(0)
        return share

    def _margins(self, seed: int, number: int) -> Tensor:
        """[r] what is stored of a trial: margins of the validation rows; [0] of one that failed."""
        expert = self.fitted.get((seed, number))
        view = self.plan.view
        return torch.empty(0) if expert is None else expert.logits(view, view.split.validation).detach().float()

    def tuned(self, choice: Choice, weights: Callable[[int], dict[str, Tensor]]) -> TunedModel:
        fit_seed = self.tuner.fit_seed(choice.seed, choice.role, choice.best_trial)
        fitted = {number: expert for (seed, number), expert in self.fitted.items() if seed == choice.seed}
        if choice.best_trial not in fitted:
            fitted[choice.best_trial] = self._again(choice, fit_seed, weights(choice.best_trial)["margins"])
        return TunedModel(
            **vars(choice),
            expert=fitted[choice.best_trial],
            fit_seed=fit_seed,
            study_seed=choice.seed,
            space=self._described(),
            fitted=fitted,
        )

    def _again(self, choice: Choice, fit_seed: int, margins: Tensor) -> Expert:
        """The chosen model of an earlier process; it must say what it said then."""
        view = self.plan.view
        expert = self.tuner.fit(view, choice.role, choice.best_params, fit_seed)
        said = expert.logits(view, view.split.validation).detach().float()
        if not torch.allclose(said, margins, atol=SAME, rtol=SAME):
            raise ResumeError(
                f"Trial {choice.best_trial} of the {choice.role} role ({self.tuner.family}) fitted again does not give "
                "the margins that are stored: its fit or the libraries have changed. Tune into another folder."
            )
        return expert
