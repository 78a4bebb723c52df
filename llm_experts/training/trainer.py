"""Training of adapters as lanes: all configurations of a role at once, on the same minibatches."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import torch
from torch import Tensor

from experts.expert import Role
from experts.networks.adam import LaneAdam, clip_lanes
from experts.networks.checkpoints import Checkpoints
from experts.networks.running import LaneOutcomes, RunningLanes, check_lanes, evaluation_rows, run_steps
from experts.scores import FINAL, OUTCOME_METRICS, RARER_SHARE, REASON_METRICS, SCORES
from foundation.seeding import derive_seed, torch_generator
from llm_experts.adapters.registry import kind_named
from llm_experts.bases.memory import activation_floats, until_it_fits
from llm_experts.decoder.entry import check_scope
from llm_experts.decoder.lanes import AdapterLanes
from llm_experts.decoder.layout import Answers, TopInput
from llm_experts.decoder.program import Adapter
from llm_experts.reading.calibration import Calibration, calibrated, fit_calibration
from llm_experts.training.accumulation import PART_TOKENS, Accumulation, rows_in_parts
from llm_experts.training.batches import TrainingTexts
from llm_experts.training.objectives import LAMBDAS, Answering, Objective, Options, Teacher, TextBatch
from llm_experts.training.text_blocks import TaskTexts, TextBlock
from metrics.composites import final
from metrics.points import point_values, rarer_share
from metrics.procedural import procedural_points
from tasks.task import TaskView
from tasks.thinning import thinned, thinned_rows

log = logging.getLogger(__name__)

EVALUATION_TOKENS = {False: 1 << 13, True: 1 << 10}
"""Padded tokens of an evaluation batch; of a wide base on a CPU (True) as few as its allocator keeps."""
MASS_ROWS = 128
"""Most evaluation rows on which the answer mass of lanes is measured."""


@dataclass(frozen=True)
class LaneConfig:
    """Hyperparameters of one lane; ``seed`` decides its adapter's first weights.

    Attributes
    ----------
    lr : float
        Peak learning rate.
    weight_decay : float
        L2 coefficient towards the first weights' identity (0 for matrices, 1 for IA³'s gains), added to the gradient.
    rank : int or None
        As the kind takes it.
    lambdas : mapping
        Weights of the role's fairness terms.
    """

    lr: float
    weight_decay: float = 0.0
    rank: int | None = 8
    lambdas: Mapping[str, float] = field(default_factory=dict)
    seed: int = 0


@dataclass(frozen=True)
class Budget:
    """How long and how wide lanes train; equal for all lanes of a call.

    Attributes
    ----------
    steps : int
        Optimiser steps.
    eval_every : int
        Steps between evaluations on the evaluation rows; the last step is always evaluated.
    patience : int
        Evaluations without a better checkpoint after which a lane stops.
    warm_up : int
        Steps in which the learning rate rises; fairness terms set in after it, and checkpoints of fair roles are chosen
        after it.
    batch_rows : int
        Rows of a minibatch, in which every (label, group) cell stands in proportion.
    schedule : str
        ``cosine`` (to a tenth of the peak) or ``constant`` after the warm-up.
    horizon : int or None
        Steps that the schedule is laid out for, where a run stops before its end; None: ``steps``.
    clip : float
        Largest Euclidean norm of a lane's gradient.
    rungs : tuple of float
        Fractions of ``steps`` at which lanes are ranked and the worse ones pruned; () prunes none.
    keep : float
        Share of the running lanes that a rung keeps.
    explained_rows : int
        Evaluation rows whose reasons are measured while lanes of a procedural role train: one text per row and column.
    final_rows : int
        The same for the chosen checkpoints of all roles, once at the end; 0 leaves reasons out there where the role's
        score does not need them.
    """

    steps: int = 144
    eval_every: int = 16
    patience: int = 4
    warm_up: int = 12
    batch_rows: int = 48
    schedule: Literal["cosine", "constant"] = "cosine"
    horizon: int | None = None
    clip: float = 1.0
    rungs: tuple[float, ...] = (0.34, 0.67)
    keep: float = 0.5
    explained_rows: int = 64
    final_rows: int = 128


def with_reasons(budget: Budget, role: str, wide: bool, rows: int | None = None) -> Budget:
    """The budget with reasons of so many rows at the end.

    None: as the budget has it, and none on a wide base for roles that reasons do not choose, where they would take
    longer than all training.
    """
    if rows is None:
        rows = 0 if wide and role not in ("procedural", "combined") else budget.final_rows
    return replace(budget, final_rows=rows)


@dataclass(kw_only=True)
class LaneResult(LaneOutcomes):
    """What came out of K lanes, in the order of the configurations; metrics are of calibrated probabilities.

    Attributes
    ----------
    lanes : AdapterLanes
    theta : [K, P]
        Weights at each lane's chosen checkpoint; see :meth:`adapter`.
    calibration : Calibration
        Of each lane there, fitted on the evaluation rows; [K].
    margins : [K, r] float64
        Of the evaluation rows there, before calibration.
    mass : [K] float64
        Mean probability of the two answers there, on at most ``MASS_ROWS`` evaluation rows.
    least_mass : float
        What it must be for a lane to be feasible.
    notes : list of str
        What had to be given up, such as a batch that did not fit in memory.
    """

    lanes: AdapterLanes
    theta: Tensor
    calibration: Calibration
    margins: Tensor
    mass: Tensor
    least_mass: float
    notes: list[str] = field(default_factory=list)

    def adapter(self, lane: int) -> Adapter:
        """A lane's configuration and weights at its chosen checkpoint."""
        return self.lanes.adapter(lane, self.theta[lane])

    def rarer_shares(self) -> list[float]:
        """Share of evaluation rows in each lane's rarer predicted class."""
        shares: list[float] = rarer_share(torch.sigmoid(calibrated(self.margins, *self.calibration))).tolist()
        return shares


def train_lanes(
    texts: TaskTexts,
    role: Role,
    configs: Sequence[LaneConfig],
    budget: Budget,
    *,
    seed: int,
    studies: Sequence[int] | None = None,
    kind: str = "lora",
    options: Options | None = None,
    adapter_options: Mapping[str, Any] | None = None,
    utility_floor: float | None = None,
    row_weights: Tensor | None = None,
    teacher: Teacher | None = None,
    eval_rows: Tensor | None = None,
    keep_last: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> LaneResult:
    """Train K adapters of one kind and role at once and keep each lane's best checkpoint.

    Parameters
    ----------
    texts : TaskTexts
        Task, base and template.
    role : {"utility", "result", "procedural", "combined"}
    configs : sequence of LaneConfig
    budget : Budget
    seed : int
        Of the batches, the groups that rows are moved to and the adversaries; shared by lanes and roles.
    studies : sequence of int, optional
        Study of each lane: halving ranks the lanes of a study among themselves; default: all are of one.
    kind : str
        Of :data:`llm_experts.adapters.registry.ADAPTERS`.
    options : Options, optional
        Variants of the objective.
    adapter_options : mapping, optional
        Of the adapter's configuration.
    utility_floor : float, optional
        utility@1 that a fair role's checkpoint must reach to be feasible.
    row_weights : [K, n_train] float, optional
        Weight of each training row in each lane's loss; 0 leaves the row out (out-of-fold lanes).
    teacher : Teacher, optional
        What the lanes learn of the training rows beside their labels.
    eval_rows : [r] int64, optional
        Rows that choose checkpoints; default: the validation rows.
    keep_last : bool
        Choose no checkpoint: every lane keeps its last weights, and only predictions are scored, once.
    progress : callable, optional
        Called with (steps done, steps in all).

    Raises
    ------
    ValueError
        If a configuration, the budget or the rows do not fit the role or the task.
    """
    view = texts.view
    check(role, configs, budget)
    rows = evaluation_rows(view, eval_rows)
    order = sorted(range(len(configs)), key=lambda lane: (configs[lane].rank is None, configs[lane].rank or 0))
    in_order = [configs[lane] for lane in order]
    weights = None if row_weights is None else row_weights[order].to(torch.float32)
    in_studies = None if studies is None else [studies[lane] for lane in order]
    shared = (options or Options(), adapter_options, utility_floor, weights, teacher, rows, in_studies)
    run = _Run(texts, role, in_order, budget, seed, kind, *shared)
    run_steps(run, budget, progress, last=run.keep if keep_last else None)
    return run.result(order)


def check(role: Role, configs: Sequence[LaneConfig], budget: Budget) -> None:
    """Raise ``ValueError`` for configurations and budgets that cannot be trained."""
    if role not in LAMBDAS:
        raise ValueError(f"There is no role {role!r}; roles are {', '.join(LAMBDAS)}.")
    check_lanes(role, LAMBDAS[role], configs, budget)
    if not 0 <= budget.warm_up < budget.steps:
        raise ValueError(f"warm_up = {budget.warm_up} leaves nothing of {budget.steps} steps; lower it or raise steps.")


def mass_rows(view: TaskView, rows: Tensor, seed: int = 0) -> Tensor:
    """At most ``MASS_ROWS`` of some labelled rows, in which every (label, group) cell stands in proportion."""
    return thinned_rows(view, rows, MASS_ROWS, seed, "answer mass")


def answering_on(texts: TaskTexts, rows: Tensor) -> Answering:
    """How much answer mass experts must keep, by what the base itself has on some rows."""
    words: Tensor = texts.cut.base.model.get_output_embeddings().weight  # type: ignore[no-untyped-call]
    return Answering.on(words, texts.base_mass(rows))


class _Evaluator:
    """Margins, reasons and fixed metrics of lanes on the evaluation rows."""

    def __init__(self, texts: TaskTexts, rows: Tensor, seed: int, floats: int) -> None:
        view = texts.view
        self._texts, self._rows, self.floats = texts, rows, floats
        self._labels, self._groups, self._n_groups = view.labels[rows], view.groups[rows], len(view.group_names)
        self._seed = seed
        weighed = mass_rows(view, rows, seed)
        self._weighed = torch.isin(rows, weighed)
        self.answering = answering_on(texts, weighed)

    def margins(self, lanes: AdapterLanes, theta: Tensor) -> Tensor:
        """[K, r] margins of the evaluation rows, float64."""
        return block_margins(lanes, theta, self._texts.rows(self._rows), self.floats)

    @torch.no_grad()
    def measured(self, lanes: AdapterLanes, theta: Tensor) -> tuple[Tensor, Tensor]:
        """:meth:`margins`, and in the same pass the mean answer mass [K] float64.

        The mass is that of rows in which every (label, group) cell stands in proportion.
        """
        block = self._texts.rows(self._rows)
        margins, masses = (torch.zeros(len(lanes), len(block), dtype=torch.float64) for _ in range(2))
        for chunk, batch, answers in block_answers(lanes, theta, block, self.floats):
            margins[chunk, batch] = answers.margin.double().cpu()
            places = torch.nonzero(self._weighed[batch])[:, 0]
            if len(places):
                some = answers._replace(logits=answers.logits[:, places], final=answers.final[:, places])
                masses[chunk, batch[places]] = self.answering.mass(some).double().cpu()
        return margins, masses[:, self._weighed].mean(1)

    def outcomes(self, margins: Tensor) -> dict[str, Tensor]:
        """Metric id to [K] values of calibrated probabilities."""
        probability = torch.sigmoid(calibrated(margins, *fit_calibration(margins, self._labels)))
        values = point_values(probability, self._labels, self._groups, self._n_groups, metrics=OUTCOME_METRICS)
        return {**values, RARER_SHARE: rarer_share(probability)}

    def reasons(self, lanes: AdapterLanes, theta: Tensor, margins: Tensor, most: int) -> dict[str, Tensor]:
        """Metric id to [K] values of the procedural metrics on at most ``most`` rows.

        The rows hold every (label, group) cell in proportion. A row is explained by occlusion:
        what its margin loses when one column is unknown.
        """
        picked = thinned(self._labels, self._groups, most, torch_generator(self._seed, "explained rows"))
        temperature, bias = fit_calibration(margins, self._labels)
        if self._texts.branches:
            adapters = [lanes.adapter(lane, theta[lane]) for lane in range(len(lanes))]
            masked = self._texts.masked_margins(adapters, self._rows[picked])
        else:
            masked = block_margins(lanes, theta, self._texts.masked(self._rows[picked]), self.floats)
        without = calibrated(masked, temperature, bias).view(len(lanes), len(picked), -1)
        kept = calibrated(margins[:, picked], temperature, bias)
        attributions = kept[..., None] - without
        top = attributions.abs().argmax(-1, keepdim=True)
        values = procedural_points(
            torch.sigmoid(kept),
            torch.sigmoid(without.gather(-1, top)[..., 0]),
            attributions,
            self._groups[picked],
            self._n_groups,
        )
        return {name: values[name] for name in REASON_METRICS}

    def calibration(self, margins: Tensor) -> Calibration:
        """Of each lane, fitted on the evaluation rows."""
        return fit_calibration(margins, self._labels)


def block_margins(
    lanes: AdapterLanes, theta: Tensor, block: TextBlock, floats: int, places: Tensor | None = None
) -> Tensor:
    """[K, n] float64 margins of the texts of a block, or of those at ``places`` [n], on the CPU."""
    chosen = block if places is None else block.select(places)
    return block_measures(lanes, theta, chosen, floats, lambda answers: answers.margin)


@torch.no_grad()
def block_measures(
    lanes: AdapterLanes, theta: Tensor, block: TextBlock, floats: int, measure: Callable[[Answers], Tensor]
) -> Tensor:
    """[K, n] float64, on the CPU: a measure [k, n] of the answers to the texts of a block."""
    found = torch.empty(len(lanes), len(block), dtype=torch.float64)
    for chunk, batch, answers in block_answers(lanes, theta, block, floats):
        found[chunk, batch] = measure(answers).double().cpu()
    return found


def block_answers(
    lanes: AdapterLanes, theta: Tensor, block: TextBlock, floats: int
) -> Iterator[tuple[slice, Tensor, Answers]]:
    """Some lanes, places [n] of some texts on the CPU and those lanes' answers to them, until all were asked."""
    base = lanes.cut.base
    for batch in block.batches(EVALUATION_TOKENS[base.wide and base.device.type == "cpu"]):
        given = block.take(batch)
        for chunk in lanes.chunks(floats, *given.columns.shape):
            yield chunk, batch.cpu(), lanes.answers(theta[chunk], chunk, given)


class _Kept:
    """What lanes said at their chosen checkpoints, so that nothing is asked again at the end.

    Attributes
    ----------
    margins : [K, r] float64
    mass : [K] float64
    known : [K] bool
        Lanes that have a checkpoint.
    """

    def __init__(self, lanes: int, rows: int) -> None:
        self.margins = torch.zeros(lanes, rows, dtype=torch.float64)
        self.mass = torch.zeros(lanes, dtype=torch.float64)
        self.known = torch.zeros(lanes, dtype=torch.bool)

    def take(self, lanes: Tensor, margins: Tensor, mass: Tensor) -> None:
        """Of lanes [k], margins [k, r] and mass [k]."""
        self.margins[lanes], self.mass[lanes], self.known[lanes] = margins, mass, True


class _Run:
    """The state of one call of :func:`train_lanes`."""

    def __init__(
        self,
        texts: TaskTexts,
        role: Role,
        configs: Sequence[LaneConfig],
        budget: Budget,
        seed: int,
        kind: str,
        options: Options,
        adapter_options: Mapping[str, Any] | None,
        floor: float | None,
        row_weights: Tensor | None,
        teacher: Teacher | None,
        rows: Tensor,
        studies: Sequence[int] | None,
    ) -> None:
        check_scope(texts.reader.scope, kind_named(kind), options.attribution)
        self.texts, self.role, self.budget = texts, role, budget
        view, base = texts.view, texts.cut.base
        self.device = base.device
        self.floats = activation_floats(base.model)
        self.every = AdapterLanes.fresh(
            texts.cut,
            texts.prompts.answer_ids,
            kind,
            [config.rank for config in configs],
            [config.seed for config in configs],
            adapter_options,
        )
        self.lanes = self.every
        seeds = [derive_seed(seed, config.seed) for config in configs]
        sizes = (base.hidden_size, len(view.group_names))
        self.evaluator = _Evaluator(texts, rows, seed, self.floats)
        answering = self.evaluator.answering
        self.objective = Objective(role, [c.lambdas for c in configs], options, *sizes, seeds, self.device, answering)
        moved = self.objective.needs_moved and view.flip is not None
        self.batches = TrainingTexts(texts, budget.batch_rows, seed, moved=moved, weights=row_weights, teacher=teacher)
        if options.kl > 0:
            self.batches.base = self._base_margins()
        self.accumulation = Accumulation(self.objective)
        self.checkpoints = Checkpoints(self.every.start, SCORES[role], floor)
        self.optimiser = LaneAdam(
            self.every.start.clone(),
            torch.tensor([config.lr for config in configs], device=self.device),
            torch.tensor([config.weight_decay for config in configs], device=self.device),
        )
        self.decay = torch.tensor([config.weight_decay for config in configs], device=self.device)[:, None]
        self.running = RunningLanes(self.checkpoints, budget, budget.warm_up, studies)
        self.kept = _Kept(len(self.every), len(rows))
        self.notes: list[str] = []

    def _base_margins(self) -> Tensor:
        """[n_train] margins of the base itself."""
        block, top = self.batches.block, self.texts.cut.top(self.texts.prompts.answer_ids)
        found = torch.empty(len(block), device=self.device)
        with torch.no_grad():
            for batch in block.batches(EVALUATION_TOKENS[False]):
                given = block.take(batch)
                found[batch] = top(given.hidden, given.layout, past=given.past or None).margin.float()
        return found

    def step(self, step: int, last: int) -> int:  # noqa: ARG002 - the contract has it
        """One optimiser step of all running lanes; what does not fit in memory is halved until it does."""
        self.batches.draw()
        gradient = until_it_fits(lambda: self._gradients(self.batches.batch(), step), self._give_way)
        gradient = clip_lanes(self.lanes.precondition(gradient), self.budget.clip)
        gradient.sub_(self.lanes.anchor * self.decay)
        self.optimiser.step(gradient, self._rate(step))
        if step > self.budget.warm_up:
            self.objective.after_step()
        return step

    def _gradients(self, batch: TextBatch, step: int) -> Tensor:
        """[K, P] gradient of every lane's loss, a chunk of lanes at a time."""
        gradient = torch.empty_like(self.optimiser.theta)
        fair = step > self.budget.warm_up
        for chunk in self.lanes.chunks(self.floats, *batch.given.columns.shape):

            def ask(theta: Tensor, given: TopInput, chunk: slice = chunk) -> Answers:
                return self.lanes.answers(theta, chunk, given)

            parts = self._parts(batch.given, chunk, fair)
            gradient[chunk] = self.accumulation.gradient(ask, self.optimiser.theta[chunk], batch, chunk, fair, parts)
        return gradient

    def _parts(self, given: TopInput, chunk: slice, fair: bool) -> list[Tensor]:
        """Rows of a batch that go through a chunk of lanes together; all of them on a small base, or where they fit."""
        texts, own = given.hidden.shape[:2]
        floats = self.lanes.floats(texts, own, given.columns.shape[1])
        fits = not self.texts.cut.base.wide or floats <= self.floats
        tokens = PART_TOKENS.get(self.device.type, PART_TOKENS["cpu"])
        return rows_in_parts(given.lengths, tokens, fits or self.objective.differentiates(chunk, fair))

    def _give_way(self) -> bool:
        """Fewer lanes at once or, where lanes go one by one already, half the rows."""
        places = self.batches.places
        longest = int(self.batches.block.lengths[places].max())
        at_once = max(c.stop - c.start for c in self.lanes.chunks(self.floats, len(places), longest))
        if at_once > 1:
            self.floats = self.evaluator.floats = self.lanes.floats(len(places), longest) * (at_once // 2)
            note = f"{at_once} lanes at once did not fit in memory; went on with {at_once // 2}."
        elif self.batches.halve():
            note = f"A batch did not fit in memory; went on with {self.batches.rows} rows."
        else:
            return False
        log.warning("%s, %s role: %s", self.texts.view.name, self.role, note)
        self.notes.append(note)
        return True

    def _rate(self, step: int) -> float:
        """Factor on the learning rates: a linear rise, then constant or half a cosine down to a tenth."""
        budget = self.budget
        if step <= budget.warm_up:
            return step / (budget.warm_up + 1)
        if budget.schedule == "constant":
            return 1.0
        done = (step - budget.warm_up) / ((budget.horizon or budget.steps) - budget.warm_up)
        return 0.55 + 0.45 * math.cos(math.pi * done)

    def evaluate(self, step: int) -> None:
        """Score the running lanes, keep better checkpoints, and let failed, patient-less and pruned lanes go."""
        theta = self.optimiser.theta
        counts = self.role == "utility" or step > self.budget.warm_up
        margins, mass = self._asked(counts)
        values = self.evaluator.outcomes(margins)
        broken = ~(margins.isfinite().all(1) & theta.isfinite().all(1).cpu())
        if self.role in ("procedural", "combined") and counts:
            values |= self.evaluator.reasons(self.lanes, theta, margins, self.budget.explained_rows)
        if self.role == "combined" and counts:
            values[FINAL] = final(values["utility@1"], values["fair_res@1"], values["fair_proc@1"])
        self.running.record(step, values)
        if counts:
            allowed = mass >= self.evaluator.answering.least
            self.checkpoints.offer(self.running.alive, theta, values, step, allowed=allowed)
            chosen = self.checkpoints.step[self.running.alive] == step
            self.kept.take(self.running.alive[chosen], margins[chosen], mass[chosen])
        lanes = self.running.judge(step, broken)
        if lanes is not None:
            self._select(lanes)

    def keep(self, step: int) -> None:
        """Take the weights as they are, whatever they score."""
        theta = self.optimiser.theta
        margins, mass = self.evaluator.measured(self.lanes, theta)
        values = self.evaluator.outcomes(margins)
        self.running.record(step, values)
        self.checkpoints.take(self.running.alive, theta, values, step)
        self.kept.take(self.running.alive, margins, mass)
        self.running.fail(~(margins.isfinite().all(1) & theta.isfinite().all(1).cpu()))

    def _asked(self, counts: bool) -> tuple[Tensor, Tensor]:
        """Margins of the running lanes, and their mass where it decides about a checkpoint (else undefined)."""
        theta = self.optimiser.theta
        if counts:
            return self.evaluator.measured(self.lanes, theta)
        return self.evaluator.margins(self.lanes, theta), torch.full((len(theta),), torch.nan, dtype=torch.float64)

    def _select(self, lanes: Tensor) -> None:
        self.lanes = self.lanes.select(lanes)
        self.decay = self.decay[lanes]
        for part in (self.optimiser, self.objective, self.batches):
            part.select(lanes)

    def result(self, order: Sequence[int]) -> LaneResult:
        """Every lane at its chosen checkpoint, in the order of the caller; a failed lane has no metrics."""
        best, kept = self.checkpoints, self.kept
        rest = torch.nonzero(~kept.known)[:, 0]
        if len(rest):
            kept.take(rest, *self.evaluator.measured(self.every.select(rest), best.theta[rest]))
        margins = kept.margins
        outcomes = self.running.outcomes(self._final_values(margins), SCORES[self.role], order)
        place = torch.argsort(torch.tensor(order))
        return LaneResult(
            **vars(outcomes),
            lanes=self.every.select(place),
            theta=best.theta[place],
            calibration=Calibration(*(part[place] for part in self.evaluator.calibration(margins))),
            margins=margins[place],
            mass=kept.mass[place],
            least_mass=self.evaluator.answering.least,
            notes=self.notes,
        )

    def _final_values(self, margins: Tensor) -> dict[str, Tensor]:
        """Metrics of all checkpoints; reasons on ``final_rows`` rows for lanes that ran to their end."""
        ended = self.running.ended
        lanes = torch.nonzero(ended)[:, 0]
        unknown = torch.full((len(ended),), torch.nan, dtype=torch.float64)
        names = (*OUTCOME_METRICS, *REASON_METRICS)
        found = {name: self.checkpoints.values.get(name, unknown).clone() for name in names}
        if self.budget.final_rows and len(lanes):
            new = self.evaluator.reasons(
                self.every.select(lanes), self.checkpoints.theta[lanes], margins[lanes], self.budget.final_rows
            )
            for name, values in new.items():
                found[name][lanes] = values
        if self.role == "combined":
            found[FINAL] = final(found["utility@1"], found["fair_res@1"], found["fair_proc@1"])
        return found
