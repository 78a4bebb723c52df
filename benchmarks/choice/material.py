"""What a method has to say of the rows that choose, and the ways to keep a limit that follow from it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from benchmarks.choice.asked import Asked
from benchmarks.choice.candidate import AS_IT_IS, UNKNOWN, Cost, Tried
from benchmarks.choice.cross_fit.held import Held, as_it_is, held_out
from benchmarks.choice.cross_fit.new_rows import ceiling, foreseen
from benchmarks.choice.cross_fit.rows import Rows
from benchmarks.choice.cross_fit.ways import Cuts, Layer, Plain, Way
from benchmarks.choice.cross_fit.worth import worth_of
from benchmarks.choice.reasons import Told
from foundation.seeding import derive_seed, numpy_generator
from moe.decision import DecisionProblem
from moe.decision.group_model import unseen_joint


@dataclass(frozen=True, eq=False)
class Ground:
    """What all methods of a split share.

    Attributes
    ----------
    rows : Rows
        Training rows, then validation rows.
    validation : Rows
        The last of them.
    features : [n, d] float32
        Of ``rows``.
    ids : [v] int64
        Published numbers of the validation rows: the same rows of several splits are told by them.
    new_rows : int
        Rows of the test part.
    """

    rows: Rows
    validation: Rows
    features: Tensor
    ids: Tensor
    new_rows: int


@dataclass(frozen=True, eq=False)
class Material:
    """What one method says on one split.

    Attributes
    ----------
    method : str
    chosen : [v] float
        Probabilities of the chosen model on validation rows.
    trained : [K, v] float or None
        Of every trained configuration; nan for a failed one.
    trials : sequence of int
        Their numbers in the study.
    oof : [n] float or None
        Out-of-fold margins of its bag.
    members : [m, n] float or None
        Out-of-fold margins of the mixture and of the members of its decision layer.
    roles : tuple of str
        Of these members.
    told : Told
    knows_group : bool
        Whether the model itself is told the group of a row.
    cost : Cost
    """

    method: str
    chosen: Tensor
    told: Told
    trained: Tensor | None = None
    trials: Sequence[int] = ()
    oof: Tensor | None = None
    members: Tensor | None = None
    roles: tuple[str, ...] = ()
    knows_group: bool = False
    cost: Cost = UNKNOWN


def ways_of(material: Material, ground: Ground, asked: Asked) -> list[Way]:
    """The ways of a method that can keep the metric, with what it has stored.

    Under a bound on reasons a plain way is the chosen model alone, and a decision layer gives no other member a share:
    reasons of others are not stored.
    """
    found: list[Way] = [_plain(material, ground, asked)]
    if not asked.by_thresholds:
        return found
    found.append(Cuts(ground.validation, material.chosen.to(torch.float64)))
    if material.oof is not None:
        found.append(Cuts(ground.rows, torch.sigmoid(material.oof.to(torch.float64)), smooth=True))
    if material.members is not None:
        found.append(Layer(ground.rows, _problem(material, ground, asked)))
        if asked.without_group and not asked.higher and asked.bound is None:
            found.append(
                Layer(
                    ground.rows, with_joint(_problem(material, ground, asked), ground.rows, ground.features), blind=True
                )
            )
    return found


def _plain(material: Material, ground: Ground, asked: Asked) -> Plain:
    said, trials = material.chosen[None].to(torch.float64), material.trials
    if material.trained is None or asked.bound is not None:
        return Plain(ground.validation, said, needs_group=material.knows_group)
    said = torch.cat((said, material.trained.to(torch.float64)))
    return Plain(ground.validation, said, trials, needs_group=material.knows_group)


def _problem(material: Material, ground: Ground, asked: Asked) -> DecisionProblem:
    assert material.members is not None  # asked for where there are members
    used, rows = members_used(asked, len(material.members)), ground.rows
    return DecisionProblem(
        members=material.members[:used], roles=material.roles[:used], labels=rows.labels, groups=rows.groups,
        n_groups=rows.n_groups, fold=rows.fold, new_rows=asked.new_rows or ground.new_rows, seed=asked.seed,
    )  # fmt: skip


def members_used(asked: Asked, count: int) -> int:
    """How many members may have a share: the mixture alone where reasons are bounded or the group is not told."""
    return 1 if asked.bound is not None or asked.without_group else count


def group_seed(seed: int) -> int:
    """Seed of the model of the group, the one that is measured and the one that is delivered."""
    return derive_seed(seed, "choose", "groups")


def with_joint(problem: DecisionProblem, rows: Rows, features: Tensor) -> DecisionProblem:
    """A problem with a model of the group that has not seen its rows, whose features [n, d] are given."""
    probability = torch.sigmoid(problem.members[0].to(torch.float64))
    known = rows.labels, rows.groups, rows.n_groups
    joint = unseen_joint(features, *known, probability, rows.fold, group_seed(problem.seed))
    return replace(problem, joint=joint)


def tried(way: Way, material: Material, ground: Ground, asked: Asked) -> list[Tried]:
    """A way cross-fitted: one value per margin of ``asked.kappas``."""
    return [_tried(held, way.name, material, ground, asked) for held in held_out(way, asked)]


def untouched(material: Material, ground: Ground, asked: Asked) -> Tried:
    """The chosen model at its own cut."""
    held = as_it_is(ground.validation, material.chosen, asked.metric)
    return _tried(held, AS_IT_IS, material, ground, asked)


def _tried(held: Held, way: str, material: Material, ground: Ground, asked: Asked) -> Tried:
    count = asked.new_rows or ground.new_rows
    words = "choose", asked.metric, repr(asked.limit)
    common = held.table, asked.metric, asked.limit, count
    own = held.probability[-len(ground.ids) :]
    reasons = torch.nan
    if asked.bound is not None and held.fit is not None:
        reasons = material.told.value(way, held.fit, asked.bound.metric)
    return Tried(
        held,
        worth_of(ground.validation, own, ground.ids),
        foreseen(*common, numpy_generator(asked.seed, *words, "new rows")),
        ceiling(*common, numpy_generator(asked.seed, *words, "ceiling")) if bool(held.table.sum()) else torch.nan,
        reasons,
    )
