"""Ways to keep a limit with what a method says of the rows that choose: each can be fitted on any part of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import torch
from torch import Tensor

from benchmarks.choice.asked import Asked
from benchmarks.choice.cross_fit.rows import Rows
from metrics.expected_labels import expected_labels
from metrics.points import DEGENERATE_SHARE, point_values, rarer_share
from metrics.thresholds import FINE_RATES, FINE_STEPS, Thresholds, fit_thresholds, keeps
from moe.decision import Decision, DecisionProblem, Demand, fit_decisions
from moe.decision.demand import Mode

UTILITY = "utility@1"
PLAIN, THRESHOLDS, OUT_OF_FOLD, DECISION, BLIND = "plain", "thresholds", "oof", "decision", "blind"


@dataclass(frozen=True, eq=False)
class Fit:
    """What a way has chosen.

    Attributes
    ----------
    trial : int or None
        Number in the study of the configuration that was chosen; None: the method's chosen model.
    cuts : Thresholds or None
        By which the model's probabilities are moved.
    decision : Decision or None
        The mixture's own decision layer.
    """

    trial: int | None = None
    cuts: Thresholds | None = None
    decision: Decision | None = None


class Way(Protocol):
    """A way to keep a limit.

    Attributes
    ----------
    name : str
        As the variants of the table "levels" are called.
    rows : Rows
        That choose.
    needs_group : bool
        Whether its decisions need the group of a row.
    """

    @property
    def name(self) -> str: ...  # noqa: D102
    @property
    def rows(self) -> Rows: ...  # noqa: D102
    @property
    def needs_group(self) -> bool: ...  # noqa: D102

    def fit(self, places: Tensor, asked: Asked) -> list[Fit | None]:
        """One per margin of ``asked.kappas``, from the rows at some places; None where nothing keeps the limit."""
        ...

    def decide(self, fit: Fit, places: Tensor) -> Tensor:
        """[r] float64 probabilities of the rows at some places; their cut at 0.5 is the decision."""
        ...


@dataclass(frozen=True, eq=False)
class Plain:
    """The best of a method's models that keeps the limit, as it is.

    Attributes
    ----------
    rows : Rows
    said : [1 + K, n] float
        Probabilities of the chosen model, then of every trained configuration; nan for a failed one.
    trials : sequence of int
        Numbers in the study of the K configurations.
    """

    rows: Rows
    said: Tensor
    trials: Sequence[int] = ()
    name: str = PLAIN
    needs_group: bool = False

    def fit(self, places: Tensor, asked: Asked) -> list[Fit | None]:
        """The highest utility among those that keep the limit and are not nearly constant; of equals the first.

        Without a limit it does not matter whether some of the rows are enough for the metric.
        """
        said = self.said[:, places]
        values = point_values(said, *self.rows.known(places), metrics=(UTILITY, asked.metric))
        worth, gap = values[UTILITY], values[asked.metric]
        able = (rarer_share(said) >= DEGENERATE_SHARE) & ~torch.isnan(worth)
        found: list[Fit | None] = []
        for kappa in asked.kappas:
            kept = able if asked.unlimited else able & keeps(gap, asked.inner(kappa), asked.metric)
            best = int(torch.where(kept, worth, -torch.inf).argmax())
            found.append(Fit(trial=None if best == 0 else self.trials[best - 1]) if bool(kept[best]) else None)
        return found

    def decide(self, fit: Fit, places: Tensor) -> Tensor:
        """[r] what the chosen configuration says."""
        at = 0 if fit.trial is None else 1 + list(self.trials).index(fit.trial)
        return self.said[at, places].to(torch.float64)


@dataclass(frozen=True, eq=False)
class Cuts:
    """Group thresholds on one model.

    Attributes
    ----------
    rows : Rows
    said : [n] float64
        Its probabilities.
    smooth : bool
        Whether rows are out-of-fold ones, where calibrated labels stand for labels in all counts.
    """

    rows: Rows
    said: Tensor
    smooth: bool = False
    needs_group: bool = True

    @property
    def name(self) -> str:
        """Of the variant."""
        return OUT_OF_FOLD if self.smooth else THRESHOLDS

    def fit(self, places: Tensor, asked: Asked) -> list[Fit | None]:
        """The thresholds of the highest utility that keep the limit."""
        said, known = self.said[places], self.rows.known(places)
        limits = [asked.inner(kappa) for kappa in asked.kappas]
        if self.smooth:
            expected = expected_labels(torch.logit(said), *known)
            found = fit_thresholds(
                said, *known, limits, gap=asked.metric, expected=expected, rates=FINE_RATES, steps=FINE_STEPS
            )
        else:
            found = fit_thresholds(said, *known, limits, gap=asked.metric)
        return [None if cuts is None else Fit(cuts=cuts) for cuts in found]

    def decide(self, fit: Fit, places: Tensor) -> Tensor:
        """[r] moved probabilities."""
        assert fit.cuts is not None  # its own fit has cuts
        return fit.cuts.apply(self.said[places], self.rows.groups[places])


@dataclass(frozen=True, eq=False)
class Layer:
    """A mixture's decision layer, which may give fair members a share.

    Attributes
    ----------
    rows : Rows
    problem : DecisionProblem
        Of all rows; with ``joint`` for decisions that do not know the group.
    blind : bool
    """

    rows: Rows
    problem: DecisionProblem
    blind: bool = False

    @property
    def name(self) -> str:
        """Of the variant."""
        return BLIND if self.blind else DECISION

    @property
    def needs_group(self) -> bool:
        """Whether decisions know it."""
        return not self.blind

    def fit(self, places: Tensor, asked: Asked) -> list[Fit | None]:
        """The decision layer of these rows."""
        mode: Mode = "blind" if self.blind else "aware"
        demands = [Demand(asked.metric, asked.limit, kappa, mode=mode) for kappa in asked.kappas]
        found = fit_decisions(_part(self.problem, places), demands)
        return [None if one is None else Fit(decision=one) for one in found]

    def decide(self, fit: Fit, places: Tensor) -> Tensor:
        """[r] what the decision says."""
        assert fit.decision is not None  # its own fit has a decision
        joint = None if self.problem.joint is None else self.problem.joint[places]
        return fit.decision.apply(self.problem.members[:, places], self.rows.groups[places], joint)


def _part(problem: DecisionProblem, places: Tensor) -> DecisionProblem:
    """The problem of some of its rows."""
    joint = None if problem.joint is None else problem.joint[places]
    return replace(
        problem, members=problem.members[:, places], labels=problem.labels[places], groups=problem.groups[places],
        fold=problem.fold[places], joint=joint,
    )  # fmt: skip
