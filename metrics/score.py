"""Scores: every fixed metric of one prediction, with interval, null and status.

Three kinds of resampling, all from the same seed for every prediction, so that predictions of the same rows are
compared on the same samples: metrics of counts resample the count table (10,000 draws, no rows touched); AUC has
DeLong's interval; everything that needs rows, and every composite of such metrics, uses one set of bootstrap weights.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from foundation.seeding import numpy_generator
from metrics import composites
from metrics.auc import ONE_CLASS, auc_value, projected_auc, weighted_auc
from metrics.calibration import BINS, bins_of, brier, calibration_gap, ece
from metrics.composites import combine
from metrics.counts.rates import ACCURACY, FALSE_POSITIVE_RATE, SELECTION_RATE, TRUE_POSITIVE_RATE, Rate
from metrics.counts.tables import cell_totals, count_table, permute_counts, resample_counts
from metrics.deviations import count_deviations
from metrics.evidence import Evidence
from metrics.points import COUNT_METRICS, DEGENERATE_SHARE, count_values, rarer_share
from metrics.procedural import procedural_draws
from metrics.proportions import unseen_share, wilson
from metrics.registry import CFA_METRICS, COUNTS, METRICS
from metrics.resample import Resampled, row_weights, shuffled_groups, weighted_sums
from metrics.spec import MIN_GROUP_ROWS, Condition, MetricSpec
from metrics.value import Value

COUNT_DRAWS = 10_000
EXACT_AUC_ROWS = 2000
"""Rows up to which every draw of AUC is counted out; beyond, its projection is as good and one matrix product."""
_GROUP_RATES = (SELECTION_RATE, TRUE_POSITIVE_RATE, FALSE_POSITIVE_RATE, ACCURACY)
_CONDITION_WORDS: dict[Condition, str] = {
    "all": "rows",
    "positive": "rows with label 1",
    "negative": "rows with label 0",
}


@dataclass(frozen=True, slots=True)
class GroupRow:
    """One statistic of one group; rates with Wilson's 95 % interval, counts without (nan)."""

    group: str
    statistic: str  # count, positives, or the name of a rate
    estimate: float
    low: float
    high: float


@dataclass(frozen=True)
class Scores:
    """All fixed metrics of one prediction.

    Attributes
    ----------
    values : dict of id -> Value
        In the order of the registry. A group below ``MIN_GROUP_ROWS`` is left out of gaps; the reason then names it
        although the status is "ok".
    groups : list of GroupRow
        All groups, whatever their size.
    degenerate : bool
        The prediction is (nearly) constant: its gaps are small because it does not tell rows apart.
    """

    values: dict[str, Value]
    groups: list[GroupRow]
    degenerate: bool


@dataclass(frozen=True)
class _Rows:
    """What all predictions of the same rows share."""

    labels: Tensor
    groups: Tensor
    names: tuple[str, ...]
    sizes: Tensor  # [g, 2] rows per (group, label)
    weights: Tensor  # [B, n]
    permutations: int
    seed: int
    cfa: bool
    _shuffled: dict[bytes, Tensor] = field(default_factory=dict)

    def shuffled(self, explained: Tensor | None) -> Tensor:
        """[P, e] group ids of the explained rows (None: of all), dealt out anew; made once."""
        key = b"" if explained is None else explained.numpy().tobytes()
        if key not in self._shuffled:
            groups = self.groups if explained is None else self.groups[explained]
            generator = numpy_generator(self.seed, "shuffled groups")
            self._shuffled[key] = shuffled_groups(groups, len(self.names), self.permutations, generator)
        return self._shuffled[key]


def score(
    evidence: Evidence,
    labels: Tensor,
    groups: Tensor,
    group_names: Sequence[str],
    *,
    seed: int,
    draws: int = 1000,
    permutations: int = 500,
    cfa: bool = False,
) -> Scores:
    """Scores of one prediction; parameters as in :func:`score_many`."""
    settings = {"seed": seed, "draws": draws, "permutations": permutations}
    return score_many({"": evidence}, labels, groups, group_names, **settings, cfa=cfa)[""]


def score_many(
    evidences: Mapping[str, Evidence],
    labels: Tensor,
    groups: Tensor,
    group_names: Sequence[str],
    *,
    seed: int,
    draws: int = 1000,
    permutations: int = 500,
    cfa: bool = False,
) -> dict[str, Scores]:
    """Scores of several predictions of the same r rows, on the same resamples.

    Parameters
    ----------
    evidences : mapping of name -> Evidence
        Predictions (and reasons) for the r rows.
    labels, groups : [r] int64
        Labels in {0, 1} and group ids in 0..g-1 of these rows.
    group_names : g names
    seed : int
        The same seed gives the same resamples for every prediction, alone or together.
    draws, permutations : int
        Bootstrap samples of rows and shuffles of groups.
    cfa : bool
        Also compute ``CFA_METRICS``.

    Raises
    ------
    ValueError
        If there are no rows, lengths disagree, a label is hidden, or a probability lies outside [0, 1].
    """
    for name, evidence in evidences.items():
        _check(name, evidence, labels, groups)
    names, n = tuple(group_names), labels.numel()
    rows = _Rows(
        labels,
        groups,
        names,
        cell_totals(labels, groups, len(names)),
        row_weights(n, draws, numpy_generator(seed, "rows")),
        permutations,
        seed,
        cfa,
    )
    return {name: _score(evidence, rows) for name, evidence in evidences.items()}


def _check(name: str, evidence: Evidence, labels: Tensor, groups: Tensor) -> None:
    probability = evidence.probability
    where = f"the prediction {name!r}" if name else "the prediction"
    if labels.numel() == 0:
        raise ValueError("there are no rows to score; pass at least one row")
    if not probability.shape == labels.shape == groups.shape:
        shapes = [tuple(t.shape) for t in (probability, labels, groups)]
        raise ValueError(f"{where}, labels and groups have shapes {shapes}; pass one entry per row to all three")
    if bool((probability < 0).any()) or bool((probability > 1).any()):
        raise ValueError(f"{where} has probabilities outside [0, 1]; pass torch.sigmoid(margin), not margins")


def _score(evidence: Evidence, rows: _Rows) -> Scores:
    broken = int(torch.isnan(evidence.probability).sum())
    if broken:
        reason = f"{broken} of {rows.labels.numel()} probabilities are nan"
        return Scores({id: Value.not_estimable(reason) for id in _ids(rows)}, [], False)
    table = count_table(evidence.probability[None], rows.labels, rows.groups, len(rows.names))
    parts = _parts(evidence, table, rows)
    constant = _degenerate(evidence.probability)
    values = {id: _value(METRICS[id], parts[id], rows, constant) for id in _ids(rows)}
    area = auc_value(evidence.probability, rows.labels)
    return Scores({**values, "auc@1": area}, _group_rows(table[0], rows.names), bool(constant))


def _ids(rows: _Rows) -> list[str]:
    return [id for id in METRICS if rows.cfa or id not in CFA_METRICS]


def _parts(evidence: Evidence, table: Tensor, rows: _Rows) -> dict[str, Resampled]:
    """Every metric with its draws and null."""
    by_counts = _count_metrics(table, rows, is_constant=_constant(evidence.probability))
    joint = _row_metrics(evidence.probability, by_counts, rows)
    procedural = procedural_draws(
        evidence,
        rows.labels,
        rows.groups,
        len(rows.names),
        rows.weights,
        rows.shuffled(evidence.explained),
        seed=rows.seed,
        cfa=rows.cfa,
    )
    utility = combine(composites.utility, joint["acc@1"], joint["f1@1"], joint["auc@1"])
    fair_proc = combine(composites.fair_proc, *(procedural[id] for id in ("ref@1", "vef@1", "att_jsd@1")))
    return {
        **joint,
        **by_counts,
        **procedural,
        "utility@1": utility,
        "fair_proc@1": fair_proc,
        "final@1": combine(composites.final, utility, joint["fair_res@1"], fair_proc),
    }


def _count_metrics(table: Tensor, rows: _Rows, *, is_constant: bool) -> dict[str, Resampled]:
    """Metrics of counts from resampled and shuffled count tables.

    The rates of a constant prediction are 0 or 1 by what it is, not by what the rows happen to show.
    """
    exact = {} if is_constant else {id: COUNTS[id].statistic.exact(table[0], MIN_GROUP_ROWS) for id in COUNT_METRICS}
    estimate = count_values(table)
    tables = resample_counts(table, COUNT_DRAWS, numpy_generator(rows.seed, "counts"))[0]
    shuffled = permute_counts(table, rows.permutations, numpy_generator(rows.seed, "shuffled counts"))[0]
    drawn = count_values(tables, rows.sizes)
    null = count_values(shuffled, rows.sizes)
    deviations = count_deviations(tables, table[0])
    return {
        id: _resampled(
            id,
            float(estimate[id]),
            drawn[id],
            rows,
            null[id] if METRICS[id].null else None,
            deviations.get(id),
            exact.get(id),
        )
        for id in COUNT_METRICS
    }


def _row_metrics(probability: Tensor, by_counts: dict[str, Resampled], rows: _Rows) -> dict[str, Resampled]:
    """Metrics on the shared bootstrap samples: parts of composites, AUC and calibration."""
    n_groups, cells = len(rows.names), 4 * len(rows.names)
    excess = probability.to(torch.float64) - rows.labels
    member = torch.nn.functional.one_hot(rows.groups, n_groups)
    cell = torch.nn.functional.one_hot((rows.groups * 2 + rows.labels) * 2 + (probability > 0.5), cells)
    binned = torch.nn.functional.one_hot(bins_of(probability), BINS) * excess[:, None]
    columns = torch.cat((cell, binned, member * excess[:, None], excess.square()[:, None]), 1)
    sums = weighted_sums(rows.weights, columns)
    tables = sums[:, :cells].reshape(-1, n_groups, 2, 2)
    bins, by_group = sums[:, cells : cells + BINS], sums[:, cells + BINS : -1]
    counts = count_values(tables, rows.sizes)
    n, p, y = rows.labels.numel(), probability[None], rows.labels
    size = rows.sizes.sum(-1)
    drawn_size = torch.where(size >= MIN_GROUP_ROWS, tables.sum((-2, -1)), 0.0)
    total = (member * excess[:, None]).sum(0)
    shift = by_group / drawn_size - total / size  # how far each group's mean p - y moves
    gap = calibration_gap(total, size, MIN_GROUP_ROWS)
    # probabilities that are the labels: resampling does not see the rows that may be otherwise
    flawless = None if bool(excess.any()) else (0.0, unseen_share(n))
    return {
        **{
            id: replace(by_counts[id], draws=counts[id], null=None, deviations=None)
            for id in ("acc@1", "f1@1", "fair_res@1")
        },
        "auc@1": _area(probability, rows),
        "brier@1": Resampled(float(brier(p, y)[0]), sums[:, -1] / n, exact=flawless),
        "ece@1": Resampled(float(ece(p, y)[0]), bins.abs().sum(1) / n, exact=flawless),
        "cal_gap@1": _resampled(
            "cal_gap@1",
            float(gap),
            calibration_gap(by_group, drawn_size),
            rows,
            deviations=calibration_gap(shift * drawn_size, drawn_size),
            exact=_flawless_gap(size) if flawless else None,
        ),
    }


def _flawless_gap(sizes: Tensor) -> tuple[float, float] | None:
    """Bounds of the calibration gap of groups whose probabilities are their labels."""
    open_ends = sorted(unseen_share(size) for size in sizes.tolist() if size >= MIN_GROUP_ROWS)
    return (0.0, math.hypot(*open_ends[-2:])) if len(open_ends) > 1 else None


def _area(probability: Tensor, rows: _Rows) -> Resampled:
    area = auc_value(probability, rows.labels)
    if area.status != "ok":
        return Resampled(math.nan, status="not_estimable", reason=ONE_CLASS)
    exact = (area.low, area.high) if area.estimate in (0.0, 1.0) else None
    drawn = weighted_auc if rows.labels.numel() <= EXACT_AUC_ROWS else projected_auc
    return Resampled(area.estimate, drawn(probability, rows.labels, rows.weights), exact=exact)


def _resampled(
    id: str,
    estimate: float,
    draws: Tensor,
    rows: _Rows,
    null: Tensor | None = None,
    deviations: Tensor | None = None,
    exact: tuple[float, float] | None = None,
) -> Resampled:
    """A metric of counts; not estimable, with the sizes of the groups as reason, where the estimate is nan."""
    if not math.isnan(estimate):
        return Resampled(estimate, draws, null, deviations=deviations, exact=exact)
    reason = _too_few(METRICS[id], rows) or COUNTS[id].undefined
    return Resampled(estimate, status="not_estimable", reason=reason)


def _too_few(metric: MetricSpec, rows: _Rows) -> str:
    """Groups' rows by the first condition that leaves fewer than two groups; empty if there are rows enough."""
    for condition in metric.conditions:
        sizes = _relevant(condition, rows.sizes)
        if int((sizes >= MIN_GROUP_ROWS).sum()) < 2:
            listed = ", ".join(f"{name} {int(size)}" for name, size in zip(rows.names, sizes, strict=True))
            words = _CONDITION_WORDS[condition]
            return f"needs two groups with at least {MIN_GROUP_ROWS} {words}; there are {listed}"
    return ""


def _left_out(metric: MetricSpec, rows: _Rows) -> str:
    """Which groups a gap leaves out; empty if none."""
    notes = []
    for condition in metric.conditions:
        sizes = _relevant(condition, rows.sizes)
        small = [f"{name} {int(size)}" for name, size in zip(rows.names, sizes, strict=True) if size < MIN_GROUP_ROWS]
        if small:
            notes.append(f"left out (fewer than {MIN_GROUP_ROWS} {_CONDITION_WORDS[condition]}): {', '.join(small)}")
    return "; ".join(notes)


def _relevant(condition: Condition, sizes: Tensor) -> Tensor:
    """[g] rows of each group that satisfy a condition on the label."""
    return sizes.sum(-1) if condition == "all" else sizes[:, int(condition == "positive")]


def _value(metric: MetricSpec, part: Resampled, rows: _Rows, constant: str) -> Value:
    """The final value: interval, null, notes, and the degenerate flag on result fairness and composites."""
    value = part.value(metric.bias, metric.range)
    if value.status != "ok":
        return value
    if constant and metric.kind in ("result", "composite"):
        return replace(value, status="degenerate", reason=constant)
    return replace(value, reason=value.reason or _left_out(metric, rows))


def _constant(probability: Tensor) -> bool:
    """Whether all rows have the same probability."""
    return bool((probability == probability[0]).all())


def _degenerate(probability: Tensor) -> str:
    """Why a prediction counts as degenerate; empty if it does not."""
    if _constant(probability):
        return f"every row has the probability {float(probability[0]):.4g}"
    share = float((probability > 0.5).to(torch.float64).mean())
    if float(rarer_share(probability)) >= DEGENERATE_SHARE:
        return ""
    return f"{max(share, 1 - share):.2%} of the rows are predicted {int(share > 0.5)}"


def _group_rows(table: Tensor, names: tuple[str, ...]) -> list[GroupRow]:
    """Sizes and rates of every group from one count table [g, 2, 2]."""
    rows = []
    for name, counts in zip(names, table, strict=True):
        positives = counts[1].sum()
        rows += [
            GroupRow(name, "count", float(counts.sum()), math.nan, math.nan),
            GroupRow(name, "positives", float(positives), math.nan, math.nan),
        ]
        rows += [_rate_row(name, rate, counts) for rate in _GROUP_RATES]
    return rows


def _rate_row(group: str, rate: Rate, counts: Tensor) -> GroupRow:
    """A rate of one group from its counts [2, 2]; nan without rows."""
    n = float(rate.rows(counts))
    if n == 0:
        return GroupRow(group, rate.name, math.nan, math.nan, math.nan)
    hits = float(rate.hits_of(counts))
    return GroupRow(group, rate.name, hits / n, *wilson(hits, n))
