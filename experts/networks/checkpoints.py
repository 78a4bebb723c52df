"""The best checkpoint of every lane, by the rule of its role."""

from __future__ import annotations

import torch
from torch import Tensor

from experts.scores import HIGHER_IS_BETTER, RARER_SHARE
from metrics.points import DEGENERATE_SHARE


class Checkpoints:
    """Keeps each lane's best weights, chosen on the evaluation rows.

    A checkpoint is feasible when its utility@1 reaches the floor and, in fair roles, when its predictions are not
    nearly constant (a constant has no gap and, where one class is common, much utility). A feasible one beats an
    infeasible one; among feasible ones the role's score decides, among infeasible ones utility@1 does. So a small gap
    never buys a bad model. Undefined scores never win.

    Parameters
    ----------
    initial : [K, P]
        Weights before training, kept for a lane that never has a valid checkpoint.
    score : str
        One of ``HIGHER_IS_BETTER``, or a gap (lower is better).
    floor : float or None
        None: every checkpoint with a defined score is feasible.
    """

    def __init__(self, initial: Tensor, score: str, floor: float | None) -> None:
        lanes = len(initial)
        self.theta = initial.clone()
        self.values: dict[str, Tensor] = {}
        self.feasible = torch.zeros(lanes, dtype=torch.bool)
        self.step = torch.zeros(lanes, dtype=torch.int64)
        self._score = score
        self._fair = score != "utility@1"
        self._floor = float("-inf") if floor is None else floor
        self._merit = torch.full((lanes,), float("-inf"), dtype=torch.float64)
        self._waited = torch.zeros(lanes, dtype=torch.int64)

    def offer(
        self, lanes: Tensor, theta: Tensor, values: dict[str, Tensor], step: int, allowed: Tensor | None = None
    ) -> None:
        """Take over the weights [k, P] of those ``lanes`` [k] whose checkpoint is better than their best so far.

        ``allowed`` [k] bool: checkpoints that meet what else is asked of a feasible one; None: all do.
        """
        feasible, merit = self._judge(values)
        if allowed is not None:
            feasible, merit = feasible & allowed, torch.where(allowed, merit, values["utility@1"])
        old_feasible, old_merit = self.feasible[lanes], self._merit[lanes]
        better = (feasible & ~old_feasible & merit.isfinite()) | ((feasible == old_feasible) & (merit > old_merit))
        self._waited[lanes] = torch.where(better, 0, self._waited[lanes] + 1)
        chosen = lanes[better]
        self.theta[chosen] = theta[better]
        self.feasible[chosen], self._merit[chosen], self.step[chosen] = feasible[better], merit[better], step
        for name, value in values.items():
            self._kept(name)[chosen] = value[better]

    def take(self, lanes: Tensor, theta: Tensor, values: dict[str, Tensor], step: int) -> None:
        """Take over weights of ``lanes`` [k] whatever they score: their number of steps was chosen before."""
        self.theta[lanes], self.step[lanes], self.feasible[lanes] = theta, step, True
        for name, value in values.items():
            self._kept(name)[lanes] = value

    def _kept(self, name: str) -> Tensor:
        return self.values.setdefault(name, torch.full((len(self.step),), torch.nan, dtype=torch.float64))

    def _judge(self, values: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
        """Feasibility [k] and merit [k], higher is better among checkpoints of equal feasibility."""
        utility, score = values["utility@1"], values[self._score]
        feasible = (utility >= self._floor) & ~score.isnan()
        if self._fair:
            feasible &= values[RARER_SHARE] >= DEGENERATE_SHARE
        gain = score if self._score in HIGHER_IS_BETTER else -score
        return feasible, torch.where(feasible, gain, utility)

    def waited(self, lanes: Tensor) -> Tensor:
        """[k] evaluations since the lanes' last better checkpoint."""
        return self._waited[lanes]

    def rank(self, lanes: Tensor) -> Tensor:
        """[k] positions in ``lanes``, best first: feasible ones first, then by merit, then by lane."""
        by_merit = torch.argsort(self._merit[lanes], descending=True, stable=True)
        return by_merit[torch.argsort(self.feasible[lanes][by_merit].to(torch.int8), descending=True, stable=True)]
