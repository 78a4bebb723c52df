"""What a mixture has to keep, stated before anything is searched or examined."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from llm_experts.search import Constraint


@dataclass(frozen=True, kw_only=True)
class Limits:
    """Constraints of mixtures, by the base's own figures on the same items.

    Attributes
    ----------
    alignment_floor, alignment_margin : float
        Alignment has to be at least max(floor, base − margin): a mixture may not lose more than the margin even where
        the base stands high. A base below the floor cannot have it asked of its mixtures: there base − margin counts
        alone, and whoever judges the floor itself sees the figure.
    latency_ratio : float
        Latency may be so many times the base's.
    latency_ms : float or None
        Stated in milliseconds instead.
    zone : (float, float) or None
        Range of the mean probability of the right answer; None: it is reported, not asked for.
    """

    alignment_floor: float = 0.65
    alignment_margin: float = 0.05
    latency_ratio: float = 1.25
    latency_ms: float | None = None
    zone: tuple[float, float] | None = None

    def constraints(self, alignment: float | None, latency_ms: float) -> tuple[Constraint, ...]:
        """Constraints for a base with this alignment (None: not measured) and this latency."""
        found = [Constraint("latency_ms", "<=", self.latency_ms or self.latency_ratio * latency_ms)]
        if alignment is not None:
            found.insert(0, Constraint("alignment", ">=", self.least_alignment(alignment)))
        if self.zone is not None:
            low, high = self.zone
            found += [Constraint("zone", ">=", low), Constraint("zone", "<=", high)]
        return tuple(found)

    def least_alignment(self, base: float) -> float:
        """The bound on alignment for a base that has ``base``."""
        relative = max(0.0, base - self.alignment_margin)
        return relative if base < self.alignment_floor else max(self.alignment_floor, relative)

    def stated(self) -> str:
        """The rule in words."""
        latency = f"{self.latency_ratio:g} times the base's" if self.latency_ms is None else f"{self.latency_ms:g} ms"
        zone = "" if self.zone is None else f"; zone between {self.zone[0]:g} and {self.zone[1]:g}"
        return (
            f"alignment at least max({self.alignment_floor:g}, base - {self.alignment_margin:g}), or base - "
            f"{self.alignment_margin:g} where the base itself is below {self.alignment_floor:g}; latency at most "
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
