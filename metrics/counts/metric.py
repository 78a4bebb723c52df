"""One definition per metric of counts: value, differentiable surrogate, interval, null and words follow from it.

* the value: :func:`metrics.points.count_values` on a count table;
* the surrogate: :func:`metrics.surrogates.surrogate` on probabilities, for losses;
* the interval: the value on resampled tables, with :func:`metrics.deviations.count_deviations`;
* the words: :attr:`CountMetric.spec`, in the registry and on every page.

A new metric is one file of the room ``metrics/count_metrics`` that defines ``METRIC``, in the project or in a plug-in
folder (:mod:`foundation.discovery`).
"""

from __future__ import annotations

from dataclasses import dataclass

from foundation import discovery
from metrics.counts.rates import Rate
from metrics.counts.statistics import Statistic
from metrics.spec import TWO_GROUPS, Condition, Kind, MetricSpec

ROOM = "metrics.count_metrics"
_CONDITIONS: dict[tuple[int, ...], Condition] = {(0, 1): "all", (1,): "positive", (0,): "negative"}


@dataclass(frozen=True)
class CountMetric:
    """A metric of counts.

    Attributes
    ----------
    id, name, symbol, source : str
        See :class:`metrics.spec.MetricSpec`.
    statistic : Statistic
        What it says of which rates; gives direction, target, interval and null.
    kind : str, optional
        Default: that of the statistic.
    estimable : str, optional
        What makes it not estimable; default: fewer than two groups with enough relevant rows.
    undefined : str, optional
        The reason of a value that is not estimable although there are rows enough.
    """

    id: str
    name: str
    symbol: str
    source: str
    statistic: Statistic
    kind: Kind | None = None
    estimable: str = TWO_GROUPS
    undefined: str = "fewer than two groups have the rates that are compared"

    @property
    def spec(self) -> MetricSpec:
        """What the registry declares of it."""
        statistic = self.statistic
        return MetricSpec(
            id=self.id,
            name=self.name,
            symbol=self.symbol,
            kind=self.kind or statistic.kind,
            direction=statistic.direction,
            target=1.0 if statistic.direction == "higher" else 0.0,
            range=(0.0, 1.0),
            interval="counts",
            bias=statistic.bias,
            null=statistic.null,
            estimable=self.estimable,
            source=self.source,
            conditions=_conditions(statistic.rates) if statistic.by_group else (),
        )


def find_count_metrics() -> dict[str, CountMetric]:
    """The metrics of all files of the room, by id, those of plug-in folders last.

    Raises
    ------
    DiscoveryError
        If two files define the same id.
    """
    found: dict[str, CountMetric] = {}
    for item, path in discovery.items(ROOM, "METRIC").items():
        metric: CountMetric = discovery.load(ROOM, "METRIC", item)
        if metric.id in found:
            raise discovery.DiscoveryError(f"{path}: there is a metric {metric.id} already. Give it another id.")
        found[metric.id] = metric
    return found


def _conditions(rates: tuple[Rate, ...]) -> tuple[Condition, ...]:
    return tuple(dict.fromkeys(_CONDITIONS[rate.labels] for rate in rates))
