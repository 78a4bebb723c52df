"""Procedural fairness: whether the reasons for predictions, and their quality, are alike for all groups.

``masked`` probabilities are those after a row's own most important column (largest absolute attribution; the first of
equals) was set to unknown. Who builds the :class:`metrics.evidence.Evidence` does the masking, because only the
model's holder can; nothing here can check which column it was.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from metrics.composites import fair_proc
from metrics.counts.rates import gap
from metrics.evidence import Evidence
from metrics.procedural.attribution import (
    Profiles,
    att_jsd,
    normalised,
    profile_draws,
    profile_null,
    profiles,
    sensitive_share,
    signed_deviations,
    signed_gap,
    signed_shift,
)
from metrics.procedural.counterfactual import flips, shifts
from metrics.procedural.fidelity import (
    ONE_IN,
    accuracy_drop,
    fidelity,
    fidelity_cfa,
    ref_draws,
    ref_shares,
    top_count,
    top_rows,
    vef_draws,
    vef_means,
    vef_null,
)
from metrics.procedural.gpf_fae import gpf_fae
from metrics.procedural.shuffled_sums import shuffled_sums
from metrics.procedural.unseen import ROUNDING, Ends, blind_gap_ends, blind_mean_ends, unseen_reach
from metrics.resample import Resampled, weighted_sums


def procedural_points(
    probability: Tensor,
    masked: Tensor,
    attributions: Tensor,
    groups: Tensor,
    n_groups: int,
    labels: Tensor | None = None,
) -> dict[str, Tensor]:
    """Point values of K models on the same n rows; no interval, no null.

    Parameters
    ----------
    probability, masked : [K, n] float in [0, 1]
        Probability of class 1 of the row, and of the row without its most important column.
    attributions : [K, n, c] float
        Signed attributions to source columns.
    groups : [n] int64 in 0..n_groups-1
    labels : [n] int64 in {0, 1}, optional
        Adds ``vef_acc@1``.

    Returns
    -------
    dict of id -> [K] float64: ``ref@1``, ``vef@1``, ``att_jsd@1``, ``fair_proc@1`` (their mean, in [0, 4/3]),
    ``signed_att@1`` and, with labels, ``vef_acc@1``; lower is fairer. nan where not estimable (fewer than two groups
    of at least 5 rows) and for every metric of a model with a nan (a diverged lane is never fair).
    """
    probability, masked, attributions = probability.detach(), masked.detach(), attributions.detach()
    _check(probability, masked, attributions, groups)
    estimable = torch.bincount(groups, minlength=n_groups) >= ONE_IN
    scores = fidelity(probability, masked)
    sums = profiles(attributions, groups, n_groups)
    values = {
        "ref@1": gap(ref_shares(scores, groups, n_groups)),
        "vef@1": gap(vef_means(scores, scores, groups, n_groups)),
        "att_jsd@1": att_jsd(sums, estimable),
        "signed_att@1": signed_gap(sums, estimable),
    }
    values["fair_proc@1"] = fair_proc(values["ref@1"], values["vef@1"], values["att_jsd@1"])
    if labels is not None:
        values["vef_acc@1"] = gap(vef_means(scores, accuracy_drop(probability, masked, labels), groups, n_groups))
    broken = ~(torch.isfinite(scores.sum(1)) & torch.isfinite(sums.signed.sum((1, 2))))
    return {name: torch.where(broken, torch.nan, value) for name, value in values.items()}


def _check(probability: Tensor, masked: Tensor, attributions: Tensor, groups: Tensor) -> None:
    shape = probability.shape
    if masked.shape != shape or attributions.shape[:-1] != shape or groups.shape != shape[1:]:
        shapes = [tuple(t.shape) for t in (probability, masked, attributions, groups)]
        raise ValueError(
            f"probability, masked, attributions and groups have shapes {shapes}; "
            "expected [K, n], [K, n], [K, n, c] and [n]"
        )


@dataclass(frozen=True)
class _Rows:
    """Rows, their resamples, and which groups are estimable."""

    labels: Tensor
    groups: Tensor
    sizes: Tensor  # [g]
    estimable: Tensor  # [g] bool
    weights: Tensor  # [B, n]
    group_weight: Tensor  # [B, g]
    shuffled: Tensor  # [P, n] int8
    seed: int

    @property
    def n_groups(self) -> int:
        return len(self.sizes)

    def gap(self, by_group: Tensor) -> Tensor:
        """Gap over the estimable groups of the last dimension."""
        return gap(torch.where(self.estimable, by_group, torch.nan))

    def gap_of(
        self, estimate: Tensor, draws: Tensor, null: Tensor, counted: Tensor | None = None, bounds: Ends = (0.0, 1.0)
    ) -> Resampled:
        """The gap of group means: [g] as observed, [B, g] in draws, [P, g] under shuffled groups.

        ``counted`` [g] are the rows that the means are of, with values in ``bounds``; None: a constant answer, which
        has no spread to miss.
        """
        kept = torch.nonzero(self.estimable)[:, 0]
        exact = None
        if counted is not None:
            exact = blind_gap_ends(estimate[kept], draws[:, kept], counted[kept].tolist(), bounds)
        return Resampled(
            float(self.gap(estimate)),
            self.gap(draws),
            self.gap(null),
            reason=_left_out(self),
            deviations=self.gap(draws - estimate),
            exact=exact,
        )


def procedural_draws(
    evidence: Evidence,
    labels: Tensor,
    groups: Tensor,
    n_groups: int,
    weights: Tensor,
    permutations: Tensor,
    *,
    seed: int = 0,
    cfa: bool = False,
) -> dict[str, Resampled]:
    """Procedural metrics of one prediction with bootstrap draws and permutation null.

    No row is explained anew: draws reweight the rows' attributions and fidelities, and the null deals groups out anew.
    Where only some rows are explained, what needs reasons speaks of these, on the same bootstrap samples as all else;
    counterfactuals speak of all rows.

    Parameters
    ----------
    evidence : Evidence of n rows
    labels, groups : [n] int64
    weights : [B, n] integers or integer-valued floats
        Bootstrap weights (:func:`metrics.resample.row_weights`).
    permutations : [P, e] integers
        Shuffled group ids of the explained rows (:func:`metrics.resample.shuffled_groups`).
    seed : int
        Of the rows and permutations of GPF_FAE.
    cfa : bool
        Also the forms of the CFA code, ``ref_cfa@1`` and ``vef_cfa@1``.

    Returns
    -------
    dict of id -> Resampled
        ``ref@1``, ``vef@1``, ``vef_acc@1``, ``att_jsd@1``, ``signed_att@1``, ``sens_share@1``, ``cfr@1``,
        ``cfr_soft@1``, ``gpf_fae@1``. Not estimable, with the reason, if the evidence lacks a part, a part has nan,
        or fewer than two groups have 5 rows. Draws in which fewer than two groups occur are nan.
    """
    known = replace(evidence, probability=evidence.of_explained(evidence.probability))
    few = weights if evidence.explained is None else weights.index_select(1, evidence.explained)
    rows = _rows(evidence.of_explained(labels), evidence.of_explained(groups), n_groups, few, permutations, seed)
    return {
        **_fidelity_metrics(known, rows, cfa=cfa),
        **_attribution_metrics(known, rows),
        "sens_share@1": _sensitive_share(known, rows),
        **_counterfactual_metrics(evidence, groups, n_groups, weights),
        "gpf_fae@1": _gpf_fae(known, rows),
    }


def _rows(labels: Tensor, groups: Tensor, n_groups: int, weights: Tensor, shuffled: Tensor, seed: int) -> _Rows:
    sizes = torch.bincount(groups, minlength=n_groups)
    estimable = sizes >= ONE_IN
    members = torch.nn.functional.one_hot(groups, n_groups)
    group_weight = weighted_sums(weights, members)
    small = shuffled.to(torch.int8) if n_groups <= 127 else shuffled
    return _Rows(labels, groups, sizes, estimable, weights, group_weight, small, seed)


def _fidelity_metrics(evidence: Evidence, rows: _Rows, *, cfa: bool) -> dict[str, Resampled]:
    """REF and VEF, and their CFA forms on request."""
    names = ["ref@1", "vef@1", "vef_acc@1", *(["ref_cfa@1", "vef_cfa@1"] if cfa else [])]
    reason = _missing("masked probabilities", evidence.masked) or _too_few_groups(rows)
    if reason or evidence.masked is None:
        return _not_estimable(names, reason)
    before, after = evidence.probability.to(torch.float64), evidence.masked.to(torch.float64)
    drop = accuracy_drop(before, after, rows.labels)
    scores = fidelity(before, after)
    answers = not (_constant(before) and _constant(after))
    values = {"ref@1": _ref(scores, rows, answers=answers)}
    values["vef@1"], values["vef_acc@1"] = _vef(scores, [scores, drop], rows, round_up=True, answers=answers)
    if cfa:
        own_class = fidelity_cfa(before, after)
        values["ref_cfa@1"] = _ref(own_class, rows, answers=answers)
        (values["vef_cfa@1"],) = _vef(own_class, [drop], rows, round_up=False, answers=answers)
    return values


def _constant(values: Tensor) -> bool:
    """Whether the first dimension says the same everywhere."""
    return bool((values == values[0]).all())


def _ref(scores: Tensor, rows: _Rows, *, answers: bool) -> Resampled:
    estimate = ref_shares(scores[None], rows.groups, rows.n_groups)[0]
    draws = ref_draws(scores, rows.groups, rows.weights, rows.group_weight)
    chosen = top_rows(scores[None], top_count(len(scores), round_up=False)).T  # groups do not matter for it
    null = shuffled_sums(rows.shuffled, rows.n_groups, chosen)[..., 0] / rows.sizes
    return rows.gap_of(estimate, draws, null, rows.sizes if answers else None)


def _vef(scores: Tensor, values: list[Tensor], rows: _Rows, *, round_up: bool, answers: bool) -> list[Resampled]:
    columns = torch.stack(values, 1)
    draws = vef_draws(scores, columns, rows.groups, rows.weights, rows.group_weight, round_up=round_up)
    null = vef_null(scores, columns, rows.shuffled, rows.sizes, round_up=round_up)
    counted = torch.tensor([top_count(size, round_up=round_up) for size in rows.sizes.tolist()]) if answers else None
    means = [vef_means(scores[None], v[None], rows.groups, rows.n_groups, round_up=round_up)[0] for v in values]
    return [rows.gap_of(m, d, p, counted, (-1.0, 1.0)) for m, d, p in zip(means, draws, null, strict=True)]


def _attribution_metrics(evidence: Evidence, rows: _Rows) -> dict[str, Resampled]:
    """ATT_JSD and the signed gap: the same sums of normalised attributions."""
    measures: dict[str, Callable[[Profiles, Tensor], Tensor]] = {"att_jsd@1": att_jsd, "signed_att@1": signed_gap}
    attributions = evidence.attributions
    reason = _missing("attributions", attributions) or _too_few_groups(rows)
    if reason or attributions is None:
        return _not_estimable(measures, reason)
    estimate = profiles(attributions[None].to(torch.float64), rows.groups, rows.n_groups)
    silent = torch.nonzero(rows.estimable & (estimate.rows[0] == 0))[:, 0].tolist()
    if len(silent) == int(rows.estimable.sum()):
        zero = Resampled(0.0, torch.zeros(len(rows.weights)), torch.zeros(len(rows.shuffled)), "degenerate", _SILENT)
        return dict.fromkeys(measures, zero)
    if silent:
        return _not_estimable(measures, f"no row of group {silent[0]} has an attribution other than 0")
    draws = profile_draws(attributions, rows.groups, rows.n_groups, rows.weights)
    null = profile_null(attributions, rows.shuffled, rows.n_groups)
    without = len(rows.groups) - int(estimate.rows.sum())
    notes = "; ".join(filter(None, (_left_out(rows), _unexplained(without))))
    return {
        name: Resampled(
            float(measure(estimate, rows.estimable)[0]),
            measure(draws, rows.estimable),
            measure(null, rows.estimable),
            reason=notes,
            deviations=signed_deviations(estimate, draws, rows.estimable) if measure is signed_gap else None,
            exact=_profile_ends(float(measure(estimate, rows.estimable)[0]), estimate, draws, rows.estimable),
        )
        for name, measure in measures.items()
    }


def _profile_ends(value: float, observed: Profiles, draws: Profiles, estimable: Tensor) -> Ends | None:
    """Bounds of a divergence of mean attributions where all rows of some groups give the same reason.

    What was not seen moves a group's mean by at most its share in total variation, and so either measure.
    """
    unmoved = (signed_shift(observed, draws) <= ROUNDING).all(0)
    rows = observed.rows[0][estimable & unmoved].tolist()
    if not rows or not len(draws.rows):
        return None
    reach = unseen_reach(rows)
    return max(0.0, value - reach), min(1.0, value + reach)


_SILENT = "no row has an attribution other than 0"


def _sensitive_share(evidence: Evidence, rows: _Rows) -> Resampled:
    attributions = evidence.attributions
    reason = _missing("attributions", attributions)
    if not evidence.sensitive_columns:
        reason = reason or "the sensitive columns are not among the features"
    if reason or attributions is None:
        return Resampled(math.nan, status="not_estimable", reason=reason)
    shares, known = normalised(attributions.to(torch.float64))
    if not bool(known.any()):
        return Resampled(0.0, torch.zeros(len(rows.weights)), status="degenerate", reason=_SILENT)
    on_sensitive = shares[:, list(evidence.sensitive_columns)].abs().sum(1)
    sums = weighted_sums(rows.weights, torch.stack((on_sensitive, known), 1))
    estimate = float(sensitive_share(attributions[None], evidence.sensitive_columns)[0])
    draws = sums[:, 0] / sums[:, 1]
    return Resampled(estimate, draws, exact=blind_mean_ends(estimate, draws, int(known.sum()), (0.0, 1.0)))


def _counterfactual_metrics(evidence: Evidence, groups: Tensor, n_groups: int, weights: Tensor) -> dict[str, Resampled]:
    names, moved = ("cfr@1", "cfr_soft@1"), evidence.counterfactual
    reason = "" if n_groups > 1 else "there is only one group"
    if moved is None:
        reason = "the evidence has no counterfactual probabilities: the sensitive columns are not among the features"
    reason = reason or _missing("counterfactual probabilities", moved)
    if reason or moved is None:
        return _not_estimable(names, reason)
    per_row = [measure(evidence.probability, moved, groups) for measure in (flips, shifts)]
    sums = weighted_sums(weights, torch.stack(per_row, 1)) / weighted_sums(weights, torch.ones(len(groups), 1))
    answers = not (_constant(evidence.probability) and bool((moved == moved[0, 0]).all()))
    return {
        name: Resampled(float(v.mean()), d, exact=_flip_ends(v, d) if answers else None)
        for name, v, d in zip(names, per_row, sums.T, strict=True)
    }


def _flip_ends(per_row: Tensor, draws: Tensor) -> Ends | None:
    return blind_mean_ends(float(per_row.mean()), draws, len(per_row), (0.0, 1.0))


def _gpf_fae(evidence: Evidence, rows: _Rows) -> Resampled:
    attributions, features = evidence.attributions, evidence.features
    reason = _missing("attributions", attributions) or _missing("features", features) or _too_few_groups(rows)
    if reason or attributions is None or features is None:
        return Resampled(math.nan, status="not_estimable", reason=reason)
    estimate = gpf_fae(attributions, features, rows.groups, rows.estimable, seed=rows.seed)
    return Resampled(estimate, reason=_left_out(rows))


def _not_estimable(names: Iterable[str], reason: str) -> dict[str, Resampled]:
    return dict.fromkeys(names, Resampled(math.nan, status="not_estimable", reason=reason))


def _missing(what: str, part: Tensor | None) -> str:
    """Why a part of the evidence cannot be used; empty if it can."""
    if part is None:
        return f"the evidence has no {what}"
    broken = int((~torch.isfinite(part)).sum())
    return f"{broken} of {part.numel()} {what} are not finite" if broken else ""


def _too_few_groups(rows: _Rows) -> str:
    if int(rows.estimable.sum()) >= 2:
        return ""
    return f"needs two groups with at least {ONE_IN} rows; the groups have {', '.join(map(str, rows.sizes.tolist()))}"


def _unexplained(count: int) -> str:
    return f"{count} {'row' if count == 1 else 'rows'} without attributions left out" if count else ""


def _left_out(rows: _Rows) -> str:
    small = torch.nonzero(~rows.estimable)[:, 0].tolist()
    return f"left out (fewer than {ONE_IN} rows): group {', '.join(map(str, small))}" if small else ""
