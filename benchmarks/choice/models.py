"""The recommended model itself, made again from the run, with its thresholds on top."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor

from benchmarks.choice.asked import Asked
from benchmarks.choice.candidate import Candidate
from benchmarks.choice.cross_fit.held import Held
from benchmarks.choice.cross_fit.rows import choosing_rows
from benchmarks.choice.cross_fit.ways import BLIND, OUT_OF_FOLD, PLAIN, THRESHOLDS, Cuts, Fit, Layer, Way
from benchmarks.choice.error import ChoiceError
from benchmarks.choice.material import group_seed, members_used, with_joint
from benchmarks.run.rebuild import Rebuilt
from benchmarks.run.rebuild.rebuilt import SAME
from experts.bagging import bag_rows
from experts.expert import Expert
from metrics.thresholds import Thresholds
from moe.decision import Decided, Decision, Demand
from moe.decision.group_model import GroupModel


def model_of(rebuilt: Rebuilt, best: Candidate, held: Held, asked: Asked) -> Expert:
    """The model that a way has chosen.

    Parameters
    ----------
    rebuilt : Rebuilt
        The method.
    best : Candidate
    held : Held
        Its choice on the split.
    asked : Asked

    Raises
    ------
    ChoiceError
        If the run has no such model any more.
    """
    assert held.fit is not None  # what is recommended has been fitted
    return _MAKERS.get(best.way, _layer)(rebuilt, held, held.fit, asked)


def _plain(rebuilt: Rebuilt, held: Held, fit: Fit, asked: Asked) -> Expert:  # noqa: ARG001
    return rebuilt.expert(fit.trial)


def _thresholds(rebuilt: Rebuilt, held: Held, fit: Fit, asked: Asked) -> Expert:
    return _cut(rebuilt.expert(), held, fit, asked)


def _bag(rebuilt: Rebuilt, held: Held, fit: Fit, asked: Asked) -> Expert:
    bag = rebuilt.bag()
    if bag is None:
        raise ChoiceError(f"{rebuilt.method} has no models on folds any more. Run the same bench command again.")
    _check_same(rebuilt, rebuilt.handle.seen().oof, rebuilt.bag_margins)
    return _cut(bag, held, fit, asked)


def _cut(model: Expert, held: Held, fit: Fit, asked: Asked) -> Decided:
    """Thresholds on top of any model: a decision of one member."""
    assert fit.cuts is not None  # a way of thresholds has them
    return Decided.of([model], cut_decision(fit.cuts, held, asked))


def cut_decision(cuts: Thresholds, held: Held, asked: Asked) -> Decision:
    """The record of thresholds on one model."""
    table = held.table
    return Decision(
        demand=Demand(asked.metric, asked.limit, held.kappa), shares=torch.ones(1, dtype=torch.float64), rule=cuts,
        rates=table[..., 1].sum(-1) / table.sum((-2, -1)).clamp(min=1), kappa=held.kappa, disparity=cuts.disparity,
        worth=cuts.worth, transfer=math.nan, ceiling=math.nan,
    )  # fmt: skip


def _layer(rebuilt: Rebuilt, held: Held, fit: Fit, asked: Asked) -> Expert:  # noqa: ARG001
    assert fit.decision is not None  # the way of the decision layer has one
    _check_members(rebuilt)
    return Decided.of(rebuilt.members()[: len(fit.decision.shares)], fit.decision)


def _check_members(rebuilt: Rebuilt) -> None:
    problem = rebuilt.problem()
    _check_same(rebuilt, rebuilt.handle.seen().members, None if problem is None else problem.members)


def _check_same(rebuilt: Rebuilt, stored: Tensor | None, now: Tensor | None) -> None:
    """Refuse models on folds that do not say of the rows that choose what the run has stored; refits say other things.

    Raises
    ------
    ChoiceError
        If they differ.
    """
    if rebuilt.refit:
        return
    if stored is None or now is None or stored.shape != now.shape or not _same(stored, now):
        raise ChoiceError(
            f"The models of {rebuilt.method} on folds, made again, do not say what the run has stored of the rows that "
            "choose. Run the same bench command again with this version, then choose from that."
        )


def _same(stored: Tensor, now: Tensor) -> bool:
    first, second = (torch.sigmoid(part.to(torch.float64)) for part in (stored, now))
    return bool(((first - second).abs() <= SAME).all())


def _blind(rebuilt: Rebuilt, held: Held, fit: Fit, asked: Asked) -> Expert:  # noqa: ARG001
    assert fit.decision is not None  # the way of the decision layer has one
    _check_members(rebuilt)
    view = rebuilt.view
    rows = bag_rows(view)
    known = view.features[rows], view.labels[rows], view.groups[rows], len(view.group_names)
    return Decided.of(rebuilt.members()[:1], fit.decision, GroupModel.fit(*known, group_seed(asked.seed)))


def chosen_again(rebuilt: Rebuilt, best: Candidate, held: Held, asked: Asked) -> Held:
    """The same way fitted again on a refitted model: thresholds and shares at the margin that was chosen.

    Parameters
    ----------
    rebuilt : Rebuilt
        Refitted on all rows.
    best : Candidate
    held : Held
        The choice of the split.
    asked : Asked

    Raises
    ------
    ChoiceError
        If nothing keeps the limit on the rows that choose after the refit.
    """
    if best.way == PLAIN:
        return held
    way = _way_again(rebuilt, best, asked)
    fit = way.fit(way.rows.all, asked)[asked.kappas.index(held.kappa)]
    if fit is None:
        raise ChoiceError(
            f"After the refit nothing of {best.name} keeps the limit on the rows that choose. Deliver the model that "
            "was measured: leave out --refit."
        )
    return replace(held, fit=fit)


def _way_again(rebuilt: Rebuilt, best: Candidate, asked: Asked) -> Way:
    view = rebuilt.view
    rows = choosing_rows(view, asked.seed)
    if best.way == THRESHOLDS:
        said = torch.sigmoid(rebuilt.expert().logits(view, view.split.validation).detach().to(torch.float64))
        return Cuts(rows.last(len(said)), said)
    if best.way == OUT_OF_FOLD:
        margins = rebuilt.bag_margins
        assert margins is not None  # it had some before the refit
        return Cuts(rows, torch.sigmoid(margins.to(torch.float64)), smooth=True)
    problem = rebuilt.problem()
    assert problem is not None  # it had one before the refit
    used = members_used(asked, len(problem.members))
    problem = replace(problem, members=problem.members[:used], roles=problem.roles[:used])
    if best.way == BLIND:
        problem = with_joint(problem, rows, view.features[bag_rows(view)])
    return Layer(rows, problem, blind=best.way == BLIND)


_MAKERS: dict[str, Callable[[Rebuilt, Held, Fit, Asked], Expert]] = {
    PLAIN: _plain, THRESHOLDS: _thresholds, OUT_OF_FOLD: _bag, BLIND: _blind,
}  # fmt: skip
