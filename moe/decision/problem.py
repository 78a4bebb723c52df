"""What a decision layer is fitted on: what members say of rows that they have not seen."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from metrics.evidence import Evidence
from moe.decision.masked_columns import Ask

UTILITY, RESULT, PROCEDURAL = "utility", "result", "procedural"


@dataclass(frozen=True)
class ExplainedRows:
    """Reasons of every member on some of the rows.

    Attributes
    ----------
    rows : [e] int64
        Places among the n rows of the problem.
    members : sequence of Evidence
        One per member, of these rows: probability, attributions and masked probabilities; counterfactual probabilities
        where flips are to be bounded.
    ask : callable, optional
        What members say of rows with a column unknown (:data:`moe.decision.masked_columns.Ask`). With it a mixture's
        own most important column is masked, as when it is scored, and members need no masked probabilities; without
        it, each member's own.
    """

    rows: Tensor
    members: Sequence[Evidence]
    ask: Ask | None = None


@dataclass(frozen=True)
class DecisionProblem:
    """Out-of-fold outputs of a mixture and of members that may be mixed into it.

    Attributes
    ----------
    members : [m, n] float
        Margins; the first is the utility mixture.
    roles : tuple of str
        One per member: "utility" for the first; "result" members may get a share where it pays, any member where a
        bound on reasons asks for it.
    labels, groups : [n] int64
    n_groups : int
    fold : [n] int64
        Fold of each row: shares are chosen across them.
    new_rows : int
        Rows that the limit is to be kept on, such as those of the test part.
    seed : int
        Of the resamples that transfer probabilities come from.
    joint : [n, g, 2] float64 or None
        Out-of-fold P(group, label | x), for "blind" (:class:`moe.decision.group_model.GroupModel`).
    explained : ExplainedRows or None
        For procedural bounds.
    """

    members: Tensor
    roles: tuple[str, ...]
    labels: Tensor
    groups: Tensor
    n_groups: int
    fold: Tensor
    new_rows: int
    seed: int = 0
    joint: Tensor | None = None
    explained: ExplainedRows | None = None

    def __post_init__(self) -> None:
        m, n = self.members.shape
        if len(self.roles) != m or self.roles[0] != UTILITY:
            raise ValueError(f"roles are {self.roles} for {m} members; name one each, the first of them {UTILITY!r}")
        if any(part.shape != (n,) for part in (self.labels, self.groups, self.fold)):
            shapes = [tuple(part.shape) for part in (self.labels, self.groups, self.fold)]
            raise ValueError(f"labels, groups and fold have shapes {shapes}; members have {n} rows")
        if bool(torch.isnan(self.members).any()):
            raise ValueError("members have margins that are no number; leave a member out that has failed")

    def of_role(self, role: str) -> list[int]:
        """Places of the members of a role."""
        return [k for k, own in enumerate(self.roles) if own == role]

    def corner(self, member: int = 0) -> Tensor:
        """[m] float64 all weight on one member."""
        return torch.nn.functional.one_hot(torch.tensor(member), len(self.roles)).to(torch.float64)


def blend(members: Tensor, shares: Tensor) -> Tensor:
    """[n] float64 probability of members' margins [m, n] mixed by shares [m]."""
    used = torch.nonzero(shares).flatten()
    return shares[used].to(torch.float64) @ torch.sigmoid(members[used].to(torch.float64))
