"""How one of several mixtures is chosen: on validation rows, by utility minus unfairness, above a utility floor."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from metrics.points import DEGENERATE_SHARE, point_values, rarer_share


@dataclass(frozen=True)
class ValidationScore:
    """What the rule saw of one candidate.

    Attributes
    ----------
    utility : float
        utility@1, (accuracy + F1 + AUC) / 3.
    fair_res : float
        fair_res@1, mean of the DP and EO gaps; nan when the rows cannot tell.
    fair_proc : float
        Procedural unfairness; nan when it was not measured.
    rarer : float
        Share of rows in the rarer predicted class; nearly 0 for a constant, which no rule may choose for its lack
        of gaps.
    """

    utility: float
    fair_res: float
    fair_proc: float = math.nan
    rarer: float = 0.5

    @property
    def parts(self) -> dict[str, float]:
        """What a history records of it, by name."""
        return {"utility": self.utility, "fair_res": self.fair_res, "fair_proc": self.fair_proc}

    @property
    def final(self) -> float:
        """Utility minus the disparities that are known, for people: to compare two scores ask :meth:`better_than`."""
        return self.utility - sum(v for v in (self.fair_res, self.fair_proc) if not math.isnan(v))

    def better_than(self, other: ValidationScore, floor: float) -> bool:
        """Whether this score wins under the rule (see :func:`choose`); a tie keeps ``other``."""
        names = ("utility", "fair_res", "fair_proc", "rarer")
        pair = (torch.tensor([getattr(s, name) for s in (self, other)], dtype=torch.float64) for name in names)
        mine, theirs = ValidationScores(*pair).rank_key(floor)
        return bool(mine > theirs)


@dataclass(frozen=True)
class ValidationScores:
    """Scores of c candidates on the same validation rows: [c] float64 each; see :class:`ValidationScore`."""

    utility: Tensor
    fair_res: Tensor
    fair_proc: Tensor
    rarer: Tensor | None = None

    @property
    def final(self) -> Tensor:
        """[c] utility minus the disparities that the rows can tell; -inf for a candidate that diverged."""
        final = self.utility - _known(self.fair_res) - _known(self.fair_proc)
        return torch.where(torch.isnan(self.utility), -torch.inf, final)

    def rank_key(self, floor: float) -> Tensor:
        """[c] sort key of the rule: candidates at or above the floor by ``final``, the rest below them by utility."""
        reach = self.utility >= floor
        if self.rarer is not None:
            reach = reach & (self.rarer >= DEGENERATE_SHARE)
        low = torch.nan_to_num(self.utility, nan=-torch.inf) - 10.0  # final >= 0 - 1 - 4/3 for those above
        return torch.where(reach, self.final, low)

    def __getitem__(self, index: int) -> ValidationScore:
        rarer = 0.5 if self.rarer is None else float(self.rarer[index])
        return ValidationScore(
            float(self.utility[index]), float(self.fair_res[index]), float(self.fair_proc[index]), rarer
        )


def _known(values: Tensor) -> Tensor:
    """0 where no candidate has a value; +inf for single candidates without one, so that silence never wins."""
    missing = torch.isnan(values)
    if bool(missing.all()):
        return torch.zeros_like(values)
    return torch.where(missing, torch.inf, values)


def validation_scores(
    margins: Tensor, labels: Tensor, groups: Tensor, n_groups: int, fair_proc: Tensor | None = None
) -> ValidationScores:
    """Score c candidates from their margins on validation rows.

    Parameters
    ----------
    margins : [c, n]
    labels, groups : [n] int64
    n_groups : int
    fair_proc : [c] float, optional
        Procedural unfairness of the candidates; None: not measured.

    Raises
    ------
    ValueError
        If the validation rows have one class only: no rule can choose on them.
    """
    probability = torch.sigmoid(margins)
    values = point_values(probability, labels, groups, n_groups, metrics=("utility@1", "fair_res@1"))
    if len(torch.unique(labels)) < 2:
        raise ValueError(
            f"the {len(labels)} validation rows have a single class, so utility cannot be measured on them; "
            "use a stratified split or more validation rows"
        )
    missing = torch.full_like(values["utility@1"], torch.nan)
    reasons = missing if fair_proc is None else fair_proc.to(missing)
    return ValidationScores(values["utility@1"], values["fair_res@1"], reasons, rarer_share(probability))


def choose(scores: ValidationScores, floor: float) -> int:
    """Index of the winner: the largest final score among candidates with utility >= floor that predict both classes.

    If none reaches the floor, the one with the largest utility: fairness is never bought with a useless model.
    """
    return int(scores.rank_key(floor).argmax())
