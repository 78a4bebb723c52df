"""What each step of the mixture adds: from the first step that records name to the last, at each allowed gap."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from reports.levels.contenders import Contender
from reports.levels.levels import Levels
from reports.levels.standing import differences_of
from reports.stats.contrasts import Pooled


@dataclass(frozen=True)
class Step:
    """A contender that stands for a step (``MethodRow.ablation``)."""

    order: int
    label: str
    contender: Contender


@dataclass(frozen=True)
class Ablation:
    """Steps in their order, and what each adds.

    Attributes
    ----------
    steps : tuple of Step
    added : dict
        (place of the step ≥ 1, level) → this step minus the one before, in utility; Holm-corrected over the steps of a
        level, the whole way among them.
    whole : dict
        Level → last step minus the first.
    """

    steps: tuple[Step, ...]
    added: Mapping[tuple[int, str], Pooled]
    whole: Mapping[str, Pooled]


def ablation(found: Levels) -> Ablation | None:
    """The ablation of the run; None with fewer than two steps."""
    steps = steps_of(found)
    if len(steps) < 2:
        return None
    added: dict[tuple[int, str], Pooled] = {}
    whole: dict[str, Pooled] = {}
    ids = [step.contender.id for step in steps]
    for level, there in found.values.items():
        pairs = [*zip(ids[1:], ids[:-1], strict=True), (ids[-1], ids[0])]
        *single, last = differences_of([there.difference(a, b) for a, b in pairs], there.sources)
        added |= {(place, level): d for place, d in enumerate(single, start=1) if d.tasks}
        if last.tasks:
            whole[level] = last
    return Ablation(steps, added, whole)


def steps_of(found: Levels) -> tuple[Step, ...]:
    """Steps that have rows."""
    named = [
        Step(order, label, c)
        for c in found.contenders
        for order, variant, label in c.method.row.ablation
        if variant == c.variant
    ]
    return tuple(sorted(named, key=lambda step: step.order))
