"""A job's library after it was weighed: what its decision layer is fitted on, and what is told of its routing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from benchmarks.run.levels import OutOfFold
from experts.bagging import Bag, HonestBag
from experts.expert import Expert
from gates.static import StaticWeights, as_point
from gates.static_simplex import StaticSimplexGate
from moe.decision import DecisionProblem
from moe.joint import JointConfig
from moe.library import Library, Weighed, library_mixture
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
        if isinstance(gate, StaticWeights):
            totals: Tensor = gate.point @ self.member
            return totals.expand(len(rows), -1)
        return self.mixture.weights(task, rows, keep) @ self.member


@dataclass(frozen=True, eq=False)
class LibraryStage:
    """A weighed library with the fair members beside it.

    Attributes
    ----------
    view : TaskView
    weighed : Weighed
    fair : tuple of HonestBag
        Members of fair roles.
    fold : [n] int64
        That all bags were made with.
    """

    view: TaskView
    weighed: Weighed
    fair: tuple[HonestBag, ...]
    fold: Tensor

    @property
    def mixture(self) -> Mixture:
        """Of the members that have a weight."""
        return self.weighed.mixture

    @property
    def out_of_fold(self) -> OutOfFold:
        """What thresholds are fitted on and applied to."""
        test = self.mixture.logits(self.view, self.view.split.test)
        return OutOfFold(self.weighed.rows, self.weighed.margins, test, own=True, fold=self.fold, expert=self.mixture)

    def problem(self, seed: int) -> DecisionProblem:
        """What the decision layer is fitted on: the mixture first, then the fair members."""
        view, rows = self.view, self.weighed.rows
        return DecisionProblem(
            members=torch.stack([self.weighed.margins, *(member.bag.oof for member in self.fair)]),
            roles=(WEIGHED, *(member.role for member in self.fair)),
            labels=view.labels[rows],
            groups=view.groups[rows],
            n_groups=len(view.group_names),
            fold=self.fold,
            new_rows=len(view.split.test) or len(rows),  # a refit has no test rows
            seed=seed,
        )

    def member_margins(self, rows: Tensor) -> Tensor:
        """[m, r] margins of the members of the problem."""
        models: tuple[Expert, ...] = (self.mixture, *self.fair)
        return torch.stack([model.logits(self.view, rows).detach() for model in models])

    @property
    def by_family(self) -> ByFamily:
        """What is told of its routing: the weights of all members of a family together."""
        experts = self.mixture.experts
        kinds = list(dict.fromkeys((m.family, m.role) for m in experts))
        mean = torch.tensor(list(self.weighed.weights.values()), dtype=torch.float64)
        member = torch.tensor([[float((m.family, m.role) == kind) for kind in kinds] for m in experts])
        parts = []
        for column, (family, role) in zip(member.T, kinds, strict=True):
            own: list[int] = torch.nonzero(column).flatten().tolist()
            gate = StaticSimplexGate(as_point(mean[own]))
            parts.append(Mixture(tuple(experts[k] for k in own), gate, role=role, family=family))
        return ByFamily(tuple(parts), self.mixture, member)


def weighed_library(
    view: TaskView, bags: Sequence[Bag], fold: Tensor, gate: str, *, seed: int, floor: float
) -> LibraryStage:
    """Weigh a library on out-of-fold rows, row by row or tuned together with its members where these rows ask for it.

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
    library = Library.of(view, [bag for bag in bags if bag.role == WEIGHED], fold)
    weighed = library_mixture(library, gate, seed=seed, floor=floor, row_wise=True, joint=JointConfig())
    fair = tuple(HonestBag.of(view, bag, fold) for bag in bags if bag.role != WEIGHED)
    return LibraryStage(view, weighed, fair, fold)
