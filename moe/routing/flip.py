"""Counterfactual stability of the routing."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from moe.routing.routed import Routed
from tasks.task import TaskView


@dataclass(frozen=True)
class RoutingFlip:
    """What happens to the routing of a row when its sensitive columns are set to those of another group.

    ``tv`` is the mean, over rows and other groups, of the total variation between the two weight vectors;
    ``top1`` the share of (row, other group) pairs whose largest-weight expert changes.
    """

    tv: float
    top1: float


def routing_flip(mixture: Routed, view: TaskView, rows: Tensor) -> RoutingFlip | None:
    """Counterfactual stability of the routing; None when the sensitive columns are not features."""
    if view.flip is None:
        return None
    here = mixture.weights(view, rows)
    distances, changes, count = 0.0, 0.0, 0
    for group in range(len(view.flip.values)):
        others = view.groups[rows] != group
        there = mixture.weights(view.moved_to(group), rows)[others]
        distances += float((there - here[others]).abs().sum()) / 2
        changes += float((there.argmax(-1) != here[others].argmax(-1)).sum())
        count += int(others.sum())
    return RoutingFlip(distances / count, changes / count) if count else None
