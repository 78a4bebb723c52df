"""Sizes of a run under a budget: planned when it begins, and again after each step from what was used."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from benchmarks.discovering.settings import DiscoverySettings
from benchmarks.discovering.sizing.sizes import FACTORS, KEPT, Rates, estimated, scaled, with_sizes

SIZES: Mapping[str, tuple[str, ...]] = {
    "1_capability": ("items",),
    "3_data": ("count",),
    "4_training": ("steps", "watching", "probes"),
    "5_search": ("generations", "search_items", "candidates"),
    "6_examination": ("scenarios",),
    "7_preserve": ("preserve_items",),
}
"""Sizes that are settled once a step begins."""
PRIOR = 0.1
"""Share of the budget that the first estimate weighs like, where it is compared with what steps took."""


@dataclass
class Course:
    """Sizes of every step, and how the time is used.

    A step keeps the sizes that it began with, also when it is resumed. Later ones are only ever lowered: drafts of step
    3 are kept apart from as many items as were planned then.

    Attributes
    ----------
    asked : DiscoverySettings
    domains : int
        How many.
    minutes : float or None
        None: nothing is lowered.
    factor : float
        Of the first plan.
    sizes : dict
        That differ from what was asked for, as they are planned now.
    steps : dict
        By step, those with which it began.
    rates : Rates or None
        Of the first plan.
    """

    asked: DiscoverySettings
    domains: int
    minutes: float | None = None
    factor: float = 1.0
    sizes: dict[str, int] = field(default_factory=dict)
    steps: dict[str, dict[str, int]] = field(default_factory=dict)
    rates: Rates | None = None
    _spent: dict[str, float] = field(default_factory=dict)

    def settings(self, step: str) -> DiscoverySettings:
        """What a step is asked for; from now on its sizes stay."""
        return with_sizes(self.asked, self.steps.setdefault(step, dict(self.sizes)))

    def used(self, step: str, seconds: float) -> None:
        """A step was done in so many seconds."""
        self._spent[step] = seconds

    def plan_again(self, left: float) -> str:
        """Lower sizes of steps that have not begun until they are estimated to need no more than ``left`` seconds.

        Where the time is over nothing is lowered: the run ends, and the same command has its whole budget again.

        Returns
        -------
        str
            What was lowered, for people; "" if nothing.
        """
        if self.minutes is None or self.rates is None or left <= 0:
            return ""
        settings, pace = with_sizes(self.asked, self.sizes), self.pace()
        open_sizes = [name for step, names in SIZES.items() if step not in self.steps for name in names]
        needed = 0.0
        for factor in FACTORS:
            lower = scaled(settings, factor, self.domains)
            found = settings.model_copy(update={name: getattr(lower, name) for name in open_sizes})
            seconds = estimated(found, self.domains, self.rates)
            needed = pace * sum(value for name, value in seconds.items() if name not in self.steps)
            if needed <= KEPT * left:
                break
        changed = {name: getattr(found, name) for name in open_sizes if getattr(found, name) != getattr(settings, name)}
        self.sizes |= changed
        return _told(changed, settings, left, needed)

    def pace(self) -> float:
        """How many times longer steps take than they were estimated to, at least 1.

        Few seconds say little: the first estimate counts as if it had been right for a tenth of the budget.
        """
        if self.rates is None or self.minutes is None:
            return 1.0
        prior, planned = 60 * PRIOR * self.minutes, 0.0
        for step in self._spent:
            planned += estimated(with_sizes(self.asked, self.steps[step]), self.domains, self.rates).get(step, 0.0)
        return max(1.0, (sum(self._spent.values()) + prior) / (planned + prior))

    def as_dict(self) -> dict[str, Any]:
        """JSON-able form, for the record of the discovery."""
        rates = None if self.rates is None else asdict(self.rates)
        return {
            "sizes": self.sizes,
            "factor": self.factor,
            "minutes": self.minutes,
            "steps": self.steps,
            "rates": rates,
        }

    @classmethod
    def of_record(
        cls, asked: DiscoverySettings, domains: int, minutes: float | None, found: Mapping[str, Any]
    ) -> Course:
        """That of a discovery which began earlier; steps that had not begun are planned for these ``minutes``."""
        steps = {step: dict(sizes) for step, sizes in found.get("steps", {}).items()}
        rates = None if found.get("rates") is None else Rates(**found["rates"])
        return cls(asked, domains, minutes, float(found.get("factor", 1.0)), dict(found["sizes"]), steps, rates)


def _told(changed: Mapping[str, int], before: DiscoverySettings, left: float, needed: float) -> str:
    if not changed:
        return ""
    short = "" if needed <= left else (
        f" Even so {needed:.0f} seconds are estimated: the budget will end the run, and the same command goes on."
    )  # fmt: skip
    sizes = ", ".join(f"{name} {value} (of {getattr(before, name)})" for name, value in changed.items())
    return f"{left:.0f} seconds are left; sizes of what follows are lowered: {sizes}.{short}"
