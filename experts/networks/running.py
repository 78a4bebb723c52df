"""Which lanes still train, whatever is trained as lanes: what was measured, who stopped and why.

Networks on tables and graphs and adapters on texts go through the same evaluations: a better checkpoint is kept, a lane
that became undefined, that waited too long or that halving leaves behind ends.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

import torch
from torch import Tensor

from experts.networks.checkpoints import Checkpoints
from tasks.task import HIDDEN, TaskView

LaneState = Literal["completed", "pruned", "early_stopped", "failed"]
BROKEN = "The loss or the weights became infinite or undefined"


class Limits(Protocol):
    """What the budgets of all kinds of lanes say."""

    @property
    def steps(self) -> int:
        """Optimiser steps."""
        ...

    @property
    def eval_every(self) -> int:
        """Steps between evaluations; the last step is always evaluated."""
        ...

    @property
    def patience(self) -> int:
        """Evaluations without a better checkpoint after which a lane stops."""
        ...

    @property
    def batch_rows(self) -> int:
        """Rows of a mini-batch."""
        ...

    @property
    def rungs(self) -> tuple[float, ...]:
        """Fractions of ``steps`` at which lanes are ranked and the worse ones pruned."""
        ...

    @property
    def keep(self) -> float:
        """Share of the running lanes that a rung keeps."""
        ...


class Weighted(Protocol):
    """A configuration of a lane: its weights of fairness terms."""

    @property
    def lambdas(self) -> Mapping[str, float]:
        """Weight by name."""
        ...


@dataclass
class LaneOutcomes:
    """What came out of K lanes, in the order of their configurations.

    Attributes
    ----------
    metrics : list of dict
        Metric id to value at the chosen checkpoint, on the evaluation rows.
    objective : list of float
        Role score there: utility@1 or final@1 (higher is better), fair_res@1 or fair_proc@1 (lower is better).
    feasible : list of bool
        Whether utility@1 there reaches the floor.
    state : list of {"completed", "pruned", "early_stopped", "failed"}
    reason : list of str
        Why a lane was pruned, stopped or failed; "" when completed.
    step : list of int
        Step of the chosen checkpoint.
    history : list of dict
        One row per lane and evaluation: "lane", "step" and every metric id.
    """

    metrics: list[dict[str, float]]
    objective: list[float]
    feasible: list[bool]
    state: list[LaneState]
    reason: list[str]
    step: list[int]
    history: list[dict[str, float]]

    def failure(self, lane: int) -> str:
        """Why a lane has no expert; "" if it has one."""
        if self.state[lane] != "failed" and self.step[lane] > 0:
            return ""
        return self.reason[lane] or "its metrics are not estimable on the validation rows."


class RunningLanes:
    """The lanes of one training run that still train.

    Parameters
    ----------
    checkpoints : Checkpoints
    limits : Limits
    warm_up : int
        Steps before which no lane is pruned: there is no checkpoint with fairness terms yet.
    studies : sequence of int, optional
        Study of each lane: halving ranks the lanes of a study among themselves; default: all are of one.

    Attributes
    ----------
    alive : [k] int64
        The lanes that still train.
    """

    def __init__(
        self, checkpoints: Checkpoints, limits: Limits, warm_up: int, studies: Sequence[int] | None = None
    ) -> None:
        count = len(checkpoints.step)
        self.alive = torch.arange(count)
        self._checkpoints, self._limits = checkpoints, limits
        self._studies = torch.zeros(count, dtype=torch.int64) if studies is None else torch.tensor(list(studies))
        self._states: list[LaneState] = ["completed"] * count
        self._reasons = [""] * count
        self._history: list[dict[str, float]] = []
        self._rungs = sorted(max(math.ceil(fraction * limits.steps), warm_up + 1) for fraction in limits.rungs)

    @property
    def failed(self) -> Tensor:
        """[K] bool: lanes that became undefined."""
        return torch.tensor([state == "failed" for state in self._states])

    @property
    def ended(self) -> Tensor:
        """[K] bool: lanes that neither failed nor were pruned."""
        return torch.tensor([state in ("completed", "early_stopped") for state in self._states])

    def record(self, step: int, values: Mapping[str, Tensor]) -> None:
        """Remember the metrics [k] of an evaluation."""
        names = list(values)
        table = torch.stack([values[name] for name in names], 1).tolist()
        for lane, row in zip(self.alive.tolist(), table, strict=True):
            self._history.append({"lane": lane, "step": step, **dict(zip(names, row, strict=True))})

    def judge(self, step: int, broken: Tensor) -> Tensor | None:
        """Let failed, patient-less and pruned lanes go, after their checkpoints were offered.

        Parameters
        ----------
        step : int
        broken : [k] bool
            Lanes whose loss or weights are not finite.

        Returns
        -------
        [l] int64 or None
            Places of the lanes that go on among those that trained; None: all do.
        """
        stale = self._checkpoints.waited(self.alive) >= self._limits.patience
        pruned = self._pruned(step, ~broken & ~stale)
        text = f"at step {step}"
        self._end(broken, "failed", f"{BROKEN} {text}; lower the learning rate.")
        self._end(
            stale & ~broken, "early_stopped", f"No better checkpoint in {self._limits.patience} evaluations {text}."
        )
        self._end(pruned, "pruned", f"Outside the best {self._limits.keep:.0%} of the running lanes {text}.")
        keep = ~(broken | stale | pruned)
        if bool(keep.all()):
            return None
        places = torch.nonzero(keep)[:, 0]
        self.alive = self.alive[places]
        return places

    def fail(self, broken: Tensor) -> None:
        """Mark lanes whose last weights are not finite."""
        self._end(broken, "failed", f"{BROKEN}; lower the learning rate.")

    def _pruned(self, step: int, running: Tensor) -> Tensor:
        """[k] bool: lanes outside the kept share, when this evaluation is a rung (successive halving)."""
        pruned = torch.zeros(len(self.alive), dtype=torch.bool)
        if not self._rungs or step < self._rungs[0] or step >= self._limits.steps:
            return pruned
        while self._rungs and step >= self._rungs[0]:
            self._rungs.pop(0)
        for study in sorted(set(self._studies.tolist())):
            places = torch.nonzero(running & (self._studies[self.alive] == study))[:, 0]
            order = self._checkpoints.rank(self.alive[places])
            pruned[places[order[math.ceil(self._limits.keep * len(places)) :]]] = True
        return pruned

    def _end(self, which: Tensor, state: LaneState, reason: str) -> None:
        for lane in self.alive[which].tolist():
            self._states[lane], self._reasons[lane] = state, reason

    def outcomes(self, values: Mapping[str, Tensor], score: str, order: Sequence[int] | None = None) -> LaneOutcomes:
        """Every lane at its chosen checkpoint; a failed lane has no metrics.

        Parameters
        ----------
        values : mapping of str to [K]
        score : str
            The metric that the role is judged by.
        order : sequence of int, optional
            Configuration of each lane, where lanes were sorted; default: its own.
        """
        best, failed = self._checkpoints, self.failed
        order = range(len(failed)) if order is None else order
        place = [order.index(lane) for lane in range(len(order))]
        names = list(values)
        table = torch.stack([torch.where(failed, torch.nan, values[name]) for name in names], 1)
        metrics = [dict(zip(names, row, strict=True)) for row in table[place].tolist()]
        history = [{**row, "lane": order[int(row["lane"])]} for row in self._history]
        return LaneOutcomes(
            metrics=metrics,
            objective=[row[score] for row in metrics],
            feasible=(best.feasible & ~failed)[place].tolist(),
            state=[self._states[lane] for lane in place],
            reason=[self._reasons[lane] for lane in place],
            step=best.step[place].tolist(),
            history=sorted(history, key=lambda row: (row["step"], row["lane"])),
        )


class Steps(Protocol):
    """A training run of lanes, step by step."""

    running: RunningLanes

    def step(self, step: int, last: int) -> int:
        """Optimiser steps of all running lanes: from ``step``, at most to ``last``; the last one taken."""
        ...

    def evaluate(self, step: int) -> None:
        """Score the running lanes, keep better checkpoints and let lanes go."""
        ...


def run_steps(
    run: Steps,
    limits: Limits,
    progress: Callable[[int, int], None] | None,
    last: Callable[[int], None] | None = None,
) -> None:
    """Step and evaluate until the last step, or until no lane is left.

    Parameters
    ----------
    run, limits
    progress : callable or None
        Called with (steps done, steps in all).
    last : callable, optional
        Called with the last step instead of every evaluation.
    """
    step = 0
    while step < limits.steps:
        evaluation = min(step + limits.eval_every - step % limits.eval_every, limits.steps)
        step = run.step(step + 1, evaluation)
        if last is not None:
            if step == limits.steps:
                last(step)
        elif step % limits.eval_every == 0 or step == limits.steps:
            run.evaluate(step)
        if progress is not None:
            progress(step, limits.steps)
        if not len(run.running.alive):
            break


def check_lanes(role: str, names: Sequence[str], configs: Sequence[Weighted], limits: Limits) -> None:
    """Raise ``ValueError`` for what cannot be trained as lanes; ``names`` are the role's weights."""
    if not configs:
        raise ValueError("There is no configuration to train; pass at least one LaneConfig.")
    if limits.steps < 1 or limits.eval_every < 1 or limits.batch_rows < 2:
        raise ValueError("Budget needs steps ≥ 1, eval_every ≥ 1 and batch_rows ≥ 2.")
    for lane, config in enumerate(configs):
        if unknown := set(config.lambdas) - set(names):
            raise ValueError(
                f"Lane {lane} has {sorted(unknown)}, but the {role} role has {sorted(names) or 'no weights'}."
            )
        if any(not (math.isfinite(value) and value >= 0) for value in config.lambdas.values()):
            raise ValueError(f"Lane {lane} has a negative or infinite weight: {dict(config.lambdas)}.")


def evaluation_rows(view: TaskView, given: Tensor | None) -> Tensor:
    """[r] labelled rows that choose checkpoints: those given, or the validation rows."""
    rows = view.split.validation if given is None else given
    if len(rows) == 0 or bool((view.labels[rows] == HIDDEN).any()):
        raise ValueError(
            f"Task {view.name}: the evaluation rows are empty or hold hidden labels; pass labelled eval_rows."
        )
    return rows
