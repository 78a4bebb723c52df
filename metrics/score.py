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
from metrics.count_scores import (
    GroupRow,
    ScoredGroups,
    Scores,
    constant_words,
    count_metrics,
    degenerate_words,
    drawn_tables,
    final_value,
    group_rows,
    resampled,
)  # fmt: skip
from metrics.counts.tables import cell_totals, count_table
from metrics.evidence import Evidence
from metrics.points import count_values
from metrics.procedural import procedural_draws
from metrics.proportions import unseen_share
from metrics.registry import CFA_METRICS, METRICS
from metrics.resample import Resampled, row_weights, shuffled_groups, weighted_sums
from metrics.spec import MIN_GROUP_ROWS
from metrics.value import Value

__all__ = ["EXACT_AUC_ROWS", "GroupRow", "Scores", "score", "score_many"]

EXACT_AUC_ROWS = 2000
"""Rows up to which every draw of AUC is counted out; beyond, its projection is as good and one matrix product."""


@dataclass(frozen=True)
class _Rows(ScoredGroups):
    """What all predictions of the same rows share."""

    labels: Tensor
    groups: Tensor
    weights: Tensor  # [B, n]
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
        names,
        cell_totals(labels, groups, len(names)),
        permutations,
        seed,
        labels=labels,
        groups=groups,
        weights=row_weights(n, draws, numpy_generator(seed, "rows")),
        cfa=cfa,
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
    values = {id: final_value(METRICS[id], parts[id], rows, constant) for id in _ids(rows)}
    area = auc_value(evidence.probability, rows.labels)
    return Scores({**values, "auc@1": area}, group_rows(table[0], rows.names), bool(constant))


def _ids(rows: _Rows) -> list[str]:
    return [id for id in METRICS if rows.cfa or id not in CFA_METRICS]


def _parts(evidence: Evidence, table: Tensor, rows: _Rows) -> dict[str, Resampled]:
    """Every metric with its draws and null."""
    by_counts = count_metrics(table, drawn_tables(table, rows.seed), rows, is_constant=_constant(evidence.probability))
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
        "cal_gap@1": resampled(
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


def _constant(probability: Tensor) -> bool:
    """Whether all rows have the same probability."""
    return bool((probability == probability[0]).all())


def _degenerate(probability: Tensor) -> str:
    """Why a prediction counts as degenerate; empty if it does not."""
    if _constant(probability):
        return constant_words(float(probability[0]))
    return degenerate_words(float((probability > 0.5).to(torch.float64).mean()))
