"""Names and values of a discovery's metrics, as tests ask for them."""

from __future__ import annotations

from collections.abc import Iterable

from benchmarks.discovering.names import METRICS
from benchmarks.discovering.numbers.all import points_of
from reports.discovery.reading import Discovery


def ids_of(name: str) -> list[str]:
    """Ids of the registered metrics that a full name is of."""
    return [metric.id for metric in METRICS.values() if metric.pattern.fullmatch(name)]


def full_names(parts: dict[str, Iterable[str]]) -> list[str]:
    """Every name that there is for given domains, checks and so on, by the name of the part."""
    found = list(METRICS)
    for part, values in parts.items():
        slugs, slot = list(values), f"{{{part}}}"
        found = [made for id in found for made in ([id.replace(slot, v) for v in slugs] if slot in id else [id])]
    return found


def metrics_of(found: Discovery) -> dict[str, float]:
    """Full name → value, of all that are no series."""
    return {one.name: one.value for one in points_of(found) if not METRICS[one.id].series}
