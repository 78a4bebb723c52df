"""Experts of equal shape that train together, as lanes over one base."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from experts.networks.adam import clip_lanes
from experts.networks.running import BROKEN
from foundation.hashing import hash_json
from llm_experts.bases.base import Base
from llm_experts.bases.memory import until_it_fits
from llm_experts.training.loop import checkpoint
from llm_experts.training.loop.assignment import NEVER, Assignment, Fitted, Progress, Score, Verdict
from llm_experts.training.loop.earlier import earlier_adapter
from llm_experts.training.loop.judging import Examiner
from llm_experts.training.loop.method import Run, method_named
from llm_experts.training.loop.optimiser import optimiser_of, rate_factor
from llm_experts.training.loop.order import MICRO_TOKENS, Order, items_of, micro_batches
from llm_experts.training.loop.presets import learning_rate
from llm_experts.training.loop.writing import CHECKPOINT, key_of, note
from llm_experts.training.sequences.batch import Item
from llm_experts.training.sequences.lanes import SequenceLanes
from llm_experts.training.sequences.lower import LowerLayers

log = logging.getLogger(__name__)

CHECKPOINT_SECONDS = 60.0
"""A checkpoint is written after every evaluation, and when the last one is older than this."""


class TrainingStopped(RuntimeError):
    """Training was asked to stop; what it had is in its checkpoint."""


def group_key(base: Base, assignments: Sequence[Assignment]) -> str:
    """What a run is known by: its experts, in their order."""
    return hash_json([[given.name, key_of(base, given)] for given in assignments])


class _Lane:
    """What one expert has besides its weights."""

    def __init__(self, base: Base, assignment: Assignment, items: Sequence[Item], folder: Path, need: Any) -> None:
        self.assignment, self.folder = assignment, folder
        self.settings = assignment.settings
        self.order = Order(items, self.settings)
        self.examiner = None if assignment.watch else Examiner(base, assignment, need)
        self.best, self.best_step, self.steps, self.waited = NEVER, 0, 0, 0
        self.stopped = ""
        self.history: list[dict[str, Any]] = []
        self.sums: dict[str, float] = {}
        self.summed = 0

    def add(self, figures: Mapping[str, float]) -> None:
        """Figures of a step, for the next row of the history."""
        self.summed += 1
        for name, value in figures.items():
            self.sums[name] = self.sums.get(name, 0.0) + value

    def record(self, step: int, score: Score, seen: Mapping[str, float]) -> None:
        """A row of the history; ``seen`` is what the expert's watch measured."""
        means = {name: value / self.summed for name, value in self.sums.items()}
        epoch = step / self.order.per_epoch
        row = {"step": step, "epoch": epoch, "score": score.value, "logprob": score.logprob, **seen, **means}
        self.history.append(row)
        self.sums, self.summed = {}, 0
        told = ", ".join(f"{name} {value:.6g}" for name, value in row.items() if name != "step")
        note(self.folder, f"step {step} of {self.order.steps}: {told}")

    def facts(self) -> dict[str, Any]:
        """What a checkpoint keeps; numbers as text, which keeps every bit and what is undefined.

        Figures are pairs of name and value, not objects: a file of JSON has its names sorted, and their order is that
        of the columns of the history.
        """
        return {
            "best": [repr(value) for value in self.best],
            "history": [[[name, repr(value)] for name, value in row.items()] for row in self.history],
            "sums": [[name, repr(value)] for name, value in self.sums.items()],
            **{name: getattr(self, name) for name in ("best_step", "steps", "waited", "stopped", "summed")},
        }

    def load(self, facts: Mapping[str, Any]) -> None:
        """Go on from :meth:`facts`."""
        self.best = Score(*(float(value) for value in facts["best"]))
        self.history = [
            {name: int(value) if name == "step" else float(value) for name, value in row} for row in facts["history"]
        ]
        self.sums = {name: float(value) for name, value in facts["sums"]}
        for name in ("best_step", "steps", "waited", "stopped", "summed"):
            setattr(self, name, facts[name])


def _lanes_of(base: Base, assignments: Sequence[Assignment], lower: LowerLayers) -> SequenceLanes:
    """Fresh lanes, or those of earlier experts that train on."""
    settings = [assignment.settings for assignment in assignments]
    first, earlier = settings[0], [assignment.after for assignment in assignments]
    if earlier[0] is not None:
        return SequenceLanes.of(
            base, [earlier_adapter(folder, base, first) for folder in earlier if folder], first.start, lower
        )
    return SequenceLanes.fresh(
        base, first.kind, [own.rank for own in settings], [own.seed for own in settings], first.start,
        first.adapter_options, lower,
    )  # fmt: skip


class Group:
    """One run of experts whose settings have one shape.

    Parameters
    ----------
    base : Base
    assignments : sequence of Assignment
    folders : sequence of Path
        Of the experts, locked by the caller.
    lower : LowerLayers
        Shared with other groups of the same ``start``.
    """

    def __init__(
        self, base: Base, assignments: Sequence[Assignment], folders: Sequence[Path], lower: LowerLayers
    ) -> None:
        settings = [assignment.settings for assignment in assignments]
        first = settings[0]
        record = method_named(first.method)
        self.method = record.with_options(first.options)
        need = self.method.needs
        made: dict[int, list[Item]] = {}
        for given in assignments:
            made.setdefault(id(given.train), items_of(given.train, base, first, need))
        self.every = [
            _Lane(base, given, made[id(given.train)], folder, need)
            for given, folder in zip(assignments, folders, strict=True)
        ]
        self.whole = _lanes_of(base, assignments, lower)
        self.whole.layers.checkpointing = first.checkpointing
        self.lanes, self.running = self.whole, list(range(len(self.every)))
        self.rates = [own.lr or learning_rate(own.kind, base) for own in settings]
        self.optimiser = optimiser_of(settings, self.rates, self.whole.start, self.whole.anchor)
        self.best = self.whole.start.clone()
        device = base.device.type
        self.tokens = MICRO_TOKENS.get(device, MICRO_TOKENS["cpu"])
        self.notes: list[str] = []
        self.seconds, self._since, self._saved = 0.0, time.perf_counter(), time.perf_counter()
        self.step = 0
        self.key = group_key(base, assignments)
        self.method.start(Run(base, self.whole, assignments, first, folders))

    # -- the run ------------------------------------------------------------------------------------------------------

    def run(self, progress: Callable[[Progress], None] | None, stop: Callable[[], bool] | None) -> list[Fitted]:
        """Train to the end, from the checkpoint if there is one."""
        if not self._resume():
            for lane in self.every:
                note(lane.folder, f"begins: {lane.order.steps} steps, {len(lane.order.items)} rows an epoch")
            self._examine(range(len(self.every)))
        began = self.step
        while self.running:
            if stop is not None and stop():
                self._save()
                raise TrainingStopped(
                    f"Training stopped at step {self.step}. Its checkpoint is kept: the same command goes on there."
                )
            self.step += 1
            self._advance()
            if progress is not None:
                progress(self._progress(began))
        return [self._fitted(index) for index in range(len(self.every))]

    def _advance(self) -> None:
        """One optimiser step, and what is due after it."""
        broken = self._learn()
        asked = self.method.stopped()
        evaluated = [self.every[index].order.evaluates(self.step) for index in self.running]
        due = [at for at, now in enumerate(evaluated) if now or at in asked]
        for at, index in enumerate(self.running):
            self.every[index].steps = self.step
            if at in asked:
                self.every[index].stopped = f"Stopped at step {self.step}: {asked[at]}."
            if broken[at]:
                self.every[index].stopped = f"{BROKEN} at step {self.step}; the best checkpoint before it is kept."
        self._examine([at for at in due if not broken[at]])
        ended = [index for index in self.running if self._has_ended(self.every[index])]
        self._keep([at for at, index in enumerate(self.running) if index not in ended])
        if due or ended or time.perf_counter() - self._saved > CHECKPOINT_SECONDS:
            self._save()

    def _has_ended(self, lane: _Lane) -> bool:
        if not lane.stopped and lane.waited >= lane.settings.patience and self.step < lane.order.steps:
            lane.stopped = f"No better score in {lane.waited} evaluations."
        if lane.stopped:
            note(lane.folder, lane.stopped)
        return bool(lane.stopped) or self.step >= lane.order.steps

    def _learn(self) -> list[bool]:
        """One optimiser step of the running lanes; which of them broke."""
        running = [self.every[index] for index in self.running]
        items = [lane.order.at(self.step) for lane in running]
        if all(own is items[0] or own == items[0] for own in items[1:]):
            items = items[:1]  # one batch that lanes share
        gradient, loss, figures = until_it_fits(lambda: self._gradients(items), self._give_way)
        gradient = self.lanes.precondition(gradient)
        norm = gradient.norm(dim=1)
        broken = ~(loss.isfinite() & norm.isfinite())
        for at, lane in enumerate(running):  # a lane alone and in company is clipped by the same numbers
            clip_lanes(gradient[at : at + 1], lane.settings.clip)
        gradient[broken] = 0
        factors = [rate_factor(lane.settings, self.step, lane.order.steps) for lane in running]
        self.optimiser.step(gradient, torch.tensor(factors, device=gradient.device))
        self.method.after_step(figures)
        values = {"loss": loss, "gradient": norm, **figures}
        for at, lane in enumerate(running):
            lr = self.rates[self.running[at]] * factors[at]
            lane.add({**{name: float(value[at]) for name, value in values.items()}, "lr": lr})
        found: list[bool] = broken.tolist()
        return found

    def _gradients(self, items: Sequence[Sequence[Item]]) -> tuple[Tensor, Tensor, dict[str, Tensor]]:
        """Gradient [K, P], loss [K] and figures [K] of a step, summed over its micro-batches."""
        theta, least = self.optimiser.theta, self.every[self.running[0]].settings.accumulation
        gradient, loss = torch.zeros_like(theta), theta.new_zeros(len(theta))
        figures: dict[str, Tensor] = {}
        for batch in micro_batches(items, theta.device, at_least=least, tokens=self.tokens):
            own = theta.detach().clone().requires_grad_()
            part, told = self.method.loss(self.lanes, own, batch)
            (found,) = torch.autograd.grad(part.sum(), own)  # lanes do not meet: the gradient of the sum is each one's
            gradient += found
            loss += part.detach()
            for name, value in told.items():
                figures[name] = figures.get(name, torch.zeros_like(loss)) + value.detach()
        return gradient, loss, figures

    def _give_way(self) -> bool:
        if self.tokens <= 1:
            return False
        self.tokens //= 2
        text = f"A micro-batch did not fit in memory; went on with {self.tokens} tokens at once."
        log.warning("%s", text)
        self.notes.append(text)
        for index in self.running:
            note(self.every[index].folder, text)
        return True

    @torch.no_grad()
    def _examine(self, places: Sequence[int]) -> None:
        """Score some of the running lanes and keep better checkpoints."""
        seen = self._look([at for at in places if self.every[self.running[at]].assignment.watch])
        hold: dict[int, float] = {}
        for at in places:
            index = self.running[at]
            lane, theta, told = self.every[index], self.optimiser.theta[at : at + 1], seen.get(at, {})
            found = Score(told.pop("score"), told.pop("logprob")) if told else self._score(index, theta)
            lane.record(self.step, found, told)
            verdict = Verdict(True) if lane.assignment.watch is None else lane.assignment.watch.verdict(lane.history)
            if verdict.stop and not lane.stopped:
                lane.stopped = f"Stopped at step {self.step}: {verdict.stop}."
            hold[at] = verdict.hold
            if verdict.sound and found.better_than(lane.best):
                lane.best, lane.best_step, lane.waited = found, self.step, 0
                self.best[index] = theta[0]
            elif self.step:
                lane.waited += 1
        self.method.after_look(hold)

    def _score(self, index: int, theta: Tensor) -> Score:
        """Of a lane with weights [1, P], by its judge or its method."""
        lane, alone = self.every[index], self.whole.select(torch.tensor([index]))
        told = self.method.examine(index, alone, theta) if lane.assignment.judge is None else None
        if told is not None:
            return Score(*told)
        assert lane.examiner is not None, "a watched lane is not scored"
        return lane.examiner.score(alone, theta)

    def _look(self, places: Sequence[int]) -> dict[int, dict[str, float]]:
        """What the watches of some of the running lanes measure, all in one pass."""
        if not places:
            return {}
        indices = [self.running[at] for at in places]
        watches: list[Any] = [self.every[index].assignment.watch for index in indices]
        told = watches[0].look(watches, self.whole.select(torch.tensor(indices)), self.optimiser.theta[list(places)])
        return dict(zip(places, told, strict=True))

    def _keep(self, places: Sequence[int]) -> None:
        """Go on with some of the running lanes."""
        if len(places) == len(self.running):
            return
        self.running = [self.running[at] for at in places]
        if not places:
            return
        chosen = torch.tensor(places)
        self.lanes = self.lanes.select(chosen)
        self.optimiser.select(chosen)
        self.method.select(chosen)

    # -- its checkpoint -----------------------------------------------------------------------------------------------

    @property
    def _folder(self) -> Path:
        return self.every[0].folder / CHECKPOINT

    def _save(self) -> None:
        now = time.perf_counter()
        tensors = {"theta": self.optimiser.theta, "best": self.best}
        tensors |= {f"optimiser.{name}": value for name, value in self.optimiser.state().items()}
        tensors |= {f"method.{name}": value for name, value in self.method.state().items()}
        facts = {
            "running": self.running,
            "lanes": [lane.facts() for lane in self.every],
            "notes": self.notes,
            "tokens": self.tokens,
            "seconds": self.seconds + now - self._since,
        }
        checkpoint.save(self._folder, self.step, self.key, tensors, facts)
        self._saved = now

    def _resume(self) -> bool:
        """Go on from the checkpoint, if there is one of this run."""
        found = checkpoint.load(self._folder, self.key)
        if found is None:
            return False
        self.step, tensors, facts = found
        device = self.best.device
        for lane, own in zip(self.every, facts["lanes"], strict=True):
            lane.load(own)
            note(lane.folder, f"goes on from the checkpoint of step {self.step}")
        self.notes, self.tokens, self.seconds = facts["notes"], facts["tokens"], facts["seconds"]
        self._keep(facts["running"])
        self.running = facts["running"]
        self.best.copy_(tensors["best"])
        if self.running:
            self.optimiser.theta.copy_(tensors["theta"])
        parts: dict[str, dict[str, Tensor]] = {"optimiser": {}, "method": {}}
        for name, value in tensors.items():
            part, dot, rest = name.partition(".")
            if dot:
                parts[part][rest] = value.to(device)
        if self.running:
            self.optimiser.load(parts["optimiser"])
            self.method.load(parts["method"])
        return True

    # -- what it says -------------------------------------------------------------------------------------------------

    def _progress(self, began: int) -> Progress:
        lanes = [self.every[index] for index in self.running] or self.every
        steps = max(lane.order.steps for lane in lanes)
        taken = time.perf_counter() - self._since
        left = taken / (self.step - began) * (steps - self.step) if self.running else 0.0
        figures = {
            lane.assignment.name: {
                "loss": lane.sums["loss"] / lane.summed if lane.summed else lane.history[-1].get("loss", math.nan),
                "score": lane.history[-1]["score"],
            }
            for lane in lanes
        }
        return Progress(tuple(figures), self.step, steps, left, figures)

    def _fitted(self, index: int) -> Fitted:
        lane = self.every[index]
        return Fitted(
            lane.assignment.name,
            self.whole.adapter(index, self.best[index]),
            lane.best.value,
            lane.best_step,
            lane.steps,
            lane.history,
            lane.stopped,
            lane.folder,
            self.whole.parameter_count,
            self.seconds + time.perf_counter() - self._since,
            tuple(self.notes),
        )
