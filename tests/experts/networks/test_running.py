"""Which lanes go on, by hand: failures, patience, halving within studies, and the order that outcomes come back in."""

from __future__ import annotations

import dataclasses
import math

import pytest
import torch

from experts.networks.checkpoints import Checkpoints
from experts.networks.running import RunningLanes, check_lanes, run_steps
from experts.networks.trainer import Budget, LaneConfig

BUDGET = Budget(steps=100, eval_every=10, patience=2, warm_up=0, rungs=(0.2,), keep=0.5)


def lanes_of(count: int, studies: list[int] | None = None) -> tuple[Checkpoints, RunningLanes]:
    checkpoints = Checkpoints(torch.zeros(count, 1), "utility@1", None)
    return checkpoints, RunningLanes(checkpoints, BUDGET, 0, studies)


def offer(checkpoints: Checkpoints, running: RunningLanes, step: int, utilities: list[float]) -> torch.Tensor | None:
    values = {"utility@1": torch.tensor(utilities, dtype=torch.float64)}
    running.record(step, values)
    checkpoints.offer(running.alive, torch.zeros(len(utilities), 1), values, step)
    return running.judge(step, torch.tensor([math.isinf(value) for value in utilities]))


def test_halving_keeps_the_better_half_once_and_patience_ends_the_rest() -> None:
    checkpoints, running = lanes_of(4)
    assert offer(checkpoints, running, 10, [0.5, 0.6, 0.7, 0.8]) is None
    kept = offer(checkpoints, running, 20, [0.5, 0.6, 0.9, 0.8])
    assert kept is not None and kept.tolist() == [2, 3] and running.alive.tolist() == [2, 3]
    kept = offer(checkpoints, running, 30, [0.95, 0.8])
    assert kept is not None and kept.tolist() == [0] and running.alive.tolist() == [2]
    found = running.outcomes({"utility@1": checkpoints.values["utility@1"]}, "utility@1")
    assert found.state == ["pruned", "pruned", "completed", "early_stopped"]
    assert found.objective == [0.5, 0.6, 0.95, 0.8] and found.step == [10, 10, 30, 10]
    assert "best 50%" in found.reason[0] and "2 evaluations at step 30" in found.reason[3]
    assert [row["lane"] for row in found.history if row["step"] == 30] == [2, 3]
    assert running.ended.tolist() == [False, False, True, True]


def test_studies_are_halved_among_themselves() -> None:
    checkpoints, running = lanes_of(4, [0, 0, 1, 1])
    offer(checkpoints, running, 20, [0.1, 0.2, 0.8, 0.9])
    assert running.alive.tolist() == [1, 3]


def test_a_lane_that_becomes_undefined_fails_without_metrics_and_order_is_the_callers() -> None:
    checkpoints, running = lanes_of(2)
    offer(checkpoints, running, 10, [0.5, math.inf])
    found = running.outcomes({"utility@1": checkpoints.values["utility@1"]}, "utility@1", order=[1, 0])
    assert found.state == ["failed", "completed"] and math.isnan(found.objective[0]) and found.objective[1] == 0.5
    assert "lower the learning rate" in found.failure(0) and found.failure(1) == ""
    assert [row["lane"] for row in found.history] == [0, 1] and math.isinf(found.history[0]["utility@1"])


class Counting:
    """A run that remembers what it was asked, and takes at most so many steps at once."""

    def __init__(self, at_once: int = 1) -> None:
        self.running, self.calls, self.at_once = lanes_of(1)[1], list[str](), at_once

    def step(self, step: int, last: int) -> int:
        self.calls.append(f"step {step}")
        return min(last, step + self.at_once - 1)

    def evaluate(self, step: int) -> None:
        self.calls.append(f"evaluate {step}")


def test_the_last_step_is_always_evaluated_or_kept_as_it_is() -> None:
    budget, seen = dataclasses.replace(BUDGET, steps=5, eval_every=2), list[tuple[int, int]]()
    run = Counting()
    run_steps(run, budget, lambda *steps: seen.append(steps))
    assert [call for call in run.calls if "evaluate" in call] == ["evaluate 2", "evaluate 4", "evaluate 5"]
    assert seen == [(step, 5) for step in range(1, 6)]
    run = Counting(at_once=10)
    run_steps(run, budget, None)
    assert run.calls == ["step 1", "evaluate 2", "step 3", "evaluate 4", "step 5", "evaluate 5"]
    kept, run = list[int](), Counting()
    run_steps(run, budget, None, last=kept.append)
    assert kept == [5] and not any("evaluate" in call for call in run.calls)


def test_what_cannot_be_trained_is_said() -> None:
    with pytest.raises(ValueError, match="no configuration"):
        check_lanes("result", (), [], BUDGET)
    with pytest.raises(ValueError, match="steps ≥ 1"):
        check_lanes("result", (), [LaneConfig(0.1, 0.0, {}, 0)], dataclasses.replace(BUDGET, steps=0))
    with pytest.raises(ValueError, match=r"has \['lambda_cf'\], but the result role has \['lambda_fair'\]"):
        check_lanes("result", ["lambda_fair"], [LaneConfig(0.1, 0.0, {"lambda_cf": 1.0}, 0)], BUDGET)
