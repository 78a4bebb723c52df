"""What a mixture has to keep, stated before anything is searched or examined.

A measured share is never held to a bound as if it were exact: .932 of 118 items is not told from .933. The examination
tests non-inferiority, with an interval; the search, which only proposes, goes by figures and leaves room for noise.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from llm_experts.discovery.mixtures.paired import Difference
from llm_experts.search import Constraint

Measured = Mapping[str, float]
"""``estimate``, ``low`` and ``high`` of a measure."""


@dataclass(frozen=True, kw_only=True)
class Limits:
    """Constraints of mixtures, by the base's own figures on the same items.

    Attributes
    ----------
    alignment_margin : float
        A mixture may not lose so much of the base's alignment: the lower end of the paired difference's interval has
        to lie above −margin. In the search its figure may lie half of it below the base's: the other half is what an
        interval of a hundred items takes.
    alignment_floor : float
        Nor may it surely fall below this where the base is not: its whole interval would have to lie there.
    latency_ratio : float
        Latency may be so many times the base's.
    latency_ms : float or None
        Stated in milliseconds instead.
    zone : (float, float) or None
        Range of the mean probability of the right answer; None: it is reported, not asked for.
    """

    alignment_margin: float = 0.10
    alignment_floor: float = 0.65
    latency_ratio: float = 1.25
    latency_ms: float | None = None
    zone: tuple[float, float] | None = None

    def constraints(self, alignment: float | None, latency_ms: float) -> tuple[Constraint, ...]:
        """Constraints of a search for a base with this alignment (None: not measured) and this latency."""
        found = [Constraint("latency_ms", "<=", self.latency_ms or self.latency_ratio * latency_ms)]
        if alignment is not None:
            found.insert(0, Constraint("alignment", ">=", self.least_alignment(alignment)))
        if self.zone is not None:
            low, high = self.zone
            found += [Constraint("zone", ">=", low), Constraint("zone", "<=", high)]
        return tuple(found)

    def least_alignment(self, base: float) -> float:
        """The bound on the figure of alignment in a search, for a base that has ``base``."""
        return max(0.0, base - self.alignment_margin / 2)

    def unaligned(self, change: Difference, own: Measured, base: float) -> str:
        """Why alignment is not shown to be kept; "" if it is.

        Parameters
        ----------
        change : Difference
            Alignment less that of the base.
        own : mapping
            Alignment: ``estimate``, ``low``, ``high``.
        base : float
        """
        if change.low <= -self.alignment_margin:
            word = "is" if change.high < -self.alignment_margin else "may be"
            return f"its alignment {word} worse than the base's by {self.alignment_margin:g} or more ({change.words()})"
        return self._sunk(own, base)

    def surely_unaligned(self, change: Difference, own: Measured, base: float) -> bool:
        """Whether alignment is surely not kept, and not only not shown to be."""
        return change.high < -self.alignment_margin or bool(self._sunk(own, base))

    def _sunk(self, own: Measured, base: float) -> str:
        if not own["high"] < self.alignment_floor <= base:
            return ""
        return f"its alignment of {own['estimate']:.3f} is surely below {self.alignment_floor:g}, where the base is not"

    def stated(self) -> str:
        """The rule in words."""
        latency = f"{self.latency_ratio:g} times the base's" if self.latency_ms is None else f"{self.latency_ms:g} ms"
        zone = "" if self.zone is None else f"; zone between {self.zone[0]:g} and {self.zone[1]:g}"
        return (
            f"alignment that is not worse than the base's by {self.alignment_margin:g} or more (lower end of the "
            f"paired difference), nor surely below {self.alignment_floor:g} where the base's is not; latency at most "
            f"{latency}{zone}"
        )

    def as_dict(self) -> dict[str, Any]:
        """JSON-able form."""
        return {**asdict(self), "zone": None if self.zone is None else list(self.zone)}

    @classmethod
    def from_dict(cls, given: Mapping[str, Any]) -> Limits:
        """The inverse of :meth:`as_dict`."""
        zone = given.get("zone")
        return cls(**{**given, "zone": None if zone is None else (float(zone[0]), float(zone[1]))})
