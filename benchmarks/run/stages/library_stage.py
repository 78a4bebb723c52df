"""Stages 2 to 4 on a library of bags: weights, and what the decision layer is fitted on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from benchmarks.run.levels import OutOfFold
from experts.bagging import Bag, HonestBag, bag_rows
from experts.expert import Expert
from gates.fitting import fit_gate
from gates.static import SimplexWeights, as_point
from gates.static_simplex import StaticSimplexGate
from moe.decision import DecisionProblem
from moe.mixture import Mixture
from tasks.task import TaskView

WEIGHED = "utility"
"""Role of the members that are weighed by how likely they make labels; fair ones wait for the decision layer."""


@dataclass(frozen=True, eq=False)
class ByFamily:
    """The routing of a mixture to families: :class:`moe.routing.Routed`.

    Attributes
    ----------
    experts : tuple of Expert
        The mean of each family's members, by their weights.
    mixture : Mixture
    member : [members, families] float32
        1 where a member is of a family.
    """

    experts: tuple[Expert, ...]
    mixture: Mixture
    member: Tensor

    def weights(self, task: TaskView, rows: Tensor, keep: Tensor | None = None) -> Tensor:
        """[r, families] weights on the simplex; those that ignore the row ask no model for it."""
        gate = self.mixture.gate
        if isinstance(gate, SimplexWeights):
            totals: Tensor = gate.point @ self.member
            return totals.expand(len(rows), -1)
        return self.mixture.weights(task, rows, keep) @ self.member


@dataclass(frozen=True, eq=False)
class LibraryStage:
    """A weighed library.

    Attributes
    ----------
    mixture : Mixture
        Of the members that have a weight.
    members : tuple of HonestBag
        All that are weighed, then the fair ones.
    weights : dict
        Name of a weighed member → its weight; for gates that look at rows, the mean over out-of-fold rows.
    rows : [n] int64
        Training rows, then validation rows.
    margins : [n] float32
        Of the mixture on these rows, by models that have not seen them.
    fold : [n] int64
    """

    mixture: Mixture
    members: tuple[HonestBag, ...]
    weights: dict[str, float]
    rows: Tensor
    margins: Tensor
    fold: Tensor

    @property
    def fair(self) -> tuple[HonestBag, ...]:
        """Members of fair roles."""
        return tuple(member for member in self.members if member.role != WEIGHED)

    def out_of_fold(self, view: TaskView) -> OutOfFold:
        """What thresholds are fitted on and applied to."""
        return OutOfFold(self.rows, self.margins, self.mixture.logits(view, view.split.test))

    def problem(self, view: TaskView, seed: int) -> DecisionProblem:
        """What the decision layer is fitted on: the mixture first, then the fair members."""
        return DecisionProblem(
            members=torch.stack([self.margins, *(member.bag.oof for member in self.fair)]),
            roles=(WEIGHED, *(member.role for member in self.fair)),
            labels=view.labels[self.rows],
            groups=view.groups[self.rows],
            n_groups=len(view.group_names),
            fold=self.fold,
            new_rows=len(view.split.test),
            seed=seed,
        )

    def member_margins(self, view: TaskView, rows: Tensor) -> Tensor:
        """[m, r] margins of the members of the problem."""
        models: tuple[Expert, ...] = (self.mixture, *self.fair)
        return torch.stack([model.logits(view, rows).detach() for model in models])

    @property
    def by_family(self) -> ByFamily:
        """What is told of its routing: the weights of all members of a family together."""
        kinds = list(dict.fromkeys((m.family, m.role) for m in self.mixture.experts))
        mean, parts = torch.tensor(list(self.weights.values()), dtype=torch.float64), []
        member = torch.tensor([[float((m.family, m.role) == k) for k in kinds] for m in self.mixture.experts])
        for column, (family, role) in zip(member.T, kinds, strict=True):
            own = torch.nonzero(column).flatten().tolist()
            experts = tuple(self.mixture.experts[k] for k in own)
            parts.append(Mixture(experts, StaticSimplexGate(as_point(mean[own])), role=role, family=family))
        return ByFamily(tuple(parts), self.mixture, member)


def weighed_library(
    view: TaskView, bags: Sequence[Bag], fold: Tensor, gate: str, *, seed: int, floor: float
) -> LibraryStage:
    """Weigh a library on out-of-fold rows.

    Parameters
    ----------
    view : TaskView
    bags : sequence of Bag
        Of all roles.
    fold : [n] int64
        That the bags were made with.
    gate : str
        Name of a gate.
    seed : int
    floor : float
        Validation utility that choices must reach where a gate looks at it.
    """
    ordered = sorted(bags, key=lambda bag: bag.role != WEIGHED)  # stable: the order of the studies otherwise
    members = tuple(HonestBag.of(view, bag, fold) for bag in ordered)
    weighed = [member for member in members if member.role == WEIGHED]
    oof, train = torch.stack([member.bag.oof for member in weighed], 1), len(view.split.train)
    fitted = fit_gate(
        view, oof[:train], gate, seed=seed, utility_floor=floor, logits_validation=oof[train:],
        families=[member.family for member in weighed],
    ).gate  # fmt: skip
    rows = bag_rows(view)
    whole = Mixture(tuple(weighed), fitted)
    mean = whole.weights(view, rows).double().mean(0)
    used = [k for k, weight in enumerate(mean.tolist()) if weight > 0]
    mixture = whole
    if isinstance(fitted, SimplexWeights):
        mixture = Mixture(tuple(weighed[k] for k in used), StaticSimplexGate(as_point(fitted.point[used])))
    else:
        used = list(range(len(weighed)))  # a gate that looks at rows has seen all members
    weights = {weighed[k].bag.name: float(mean[k]) for k in used}
    return LibraryStage(mixture, members, weights, rows, mixture.logits(view, rows), fold)
