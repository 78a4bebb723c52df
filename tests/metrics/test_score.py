"""Scores: statuses, intervals, nulls, composites from joint draws."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.stats import binomtest

from metrics.composites import combine, final
from metrics.evidence import Evidence
from metrics.points import point_values
from metrics.registry import METRICS, spec
from metrics.resample import Resampled, interval
from metrics.score import Scores, score, score_many

NAMES = ("men", "women")


def _case(n: int = 600, seed: int = 0, n_groups: int = 2) -> tuple[Evidence, torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    groups = torch.randint(0, n_groups, (n,), generator=generator)
    columns = torch.randn(n, 4, generator=generator)
    columns[:, 0] = groups * 2 - 1.0
    labels = (torch.rand(n, generator=generator) < torch.sigmoid(columns.sum(1))).to(torch.int64)
    attributions = columns * torch.tensor([0.4, 1.0, 0.5, 0.2])
    margin = attributions.sum(1)
    top = attributions.gather(1, attributions.abs().argmax(1, keepdim=True))[:, 0]
    flipped = torch.stack([margin - attributions[:, 0] + sign * 0.4 for sign in (-1, 1)], 1)
    evidence = Evidence(
        torch.sigmoid(margin),
        attributions,
        torch.sigmoid(margin - top),
        torch.sigmoid(flipped),
        columns,
        (0,),
        "linear",
    )
    return evidence, labels, groups


def _quick(evidence: Evidence, labels: torch.Tensor, groups: torch.Tensor, names: tuple[str, ...] = NAMES) -> Scores:
    return score(evidence, labels, groups, names, seed=1, draws=200, permutations=100)


def test_complete_evidence_gives_every_metric() -> None:
    evidence, labels, groups = _case()
    scores = _quick(evidence, labels, groups)
    assert list(scores.values) == [id for id in METRICS if not id.endswith("_cfa@1")]
    for id, value in scores.values.items():
        metric = spec(id)
        assert value.status == "ok", (id, value)
        assert metric.range[0] <= value.estimate <= metric.range[1]
        assert math.isnan(value.null_p95) != metric.null, id
        if metric.interval != "none":
            assert metric.range[0] <= value.low <= value.estimate <= value.high <= metric.range[1], (id, value)
    assert not scores.degenerate
    assert {"ref_cfa@1", "vef_cfa@1"} <= set(score(evidence, labels, groups, NAMES, seed=1, draws=50, cfa=True).values)


def test_estimates_are_the_point_values() -> None:
    evidence, labels, groups = _case()
    scores = _quick(evidence, labels, groups)
    for id, value in point_values(evidence.probability[None], labels, groups, 2).items():
        assert scores.values[id].estimate == pytest.approx(float(value[0]), abs=1e-12), id


def test_composites_are_their_formulas() -> None:
    v = {id: value.estimate for id, value in _quick(*_case()).values.items()}
    assert v["utility@1"] == pytest.approx((v["acc@1"] + v["f1@1"] + v["auc@1"]) / 3)
    assert v["fair_res@1"] == pytest.approx((v["dp@1"] + v["eopp@1"]) / 2)
    assert v["fair_proc@1"] == pytest.approx((v["ref@1"] + v["vef@1"] + v["att_jsd@1"]) / 3)
    assert v["final@1"] == pytest.approx(v["utility@1"] - v["fair_res@1"] - v["fair_proc@1"])


def test_joint_draws_keep_the_correlation() -> None:
    draws = torch.randn(4000, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    same = combine(final, Resampled(0.0, draws), Resampled(0.0, draws), Resampled(0.0, torch.zeros(4000)))
    assert same.draws is not None
    assert float(same.draws.abs().max()) == 0.0
    assert combine(final, Resampled(0.2, draws), Resampled(0.4), Resampled(0.0, draws)).draws is None


def test_predictions_alone_leave_reasons_open() -> None:
    evidence, labels, groups = _case()
    scores = _quick(Evidence(evidence.probability), labels, groups)
    for id, metric in METRICS.items():
        if id.endswith("_cfa@1"):
            continue
        expected = "not_estimable" if metric.kind == "procedural" or id in ("fair_proc@1", "final@1") else "ok"
        assert scores.values[id].status == expected, id
        if expected != "ok":
            assert scores.values[id].reason
            assert math.isnan(scores.values[id].estimate)


def test_constant_prediction_is_degenerate_and_still_printed() -> None:
    _, labels, groups = _case()
    scores = _quick(Evidence(torch.full((600,), 0.8)), labels, groups)
    assert scores.degenerate
    for id in ("dp@1", "eopp@1", "eodds@1", "fair_res@1"):
        assert scores.values[id].status == "degenerate"
        assert scores.values[id].estimate == 0.0
        assert "0.8" in scores.values[id].reason
    assert scores.values["acc@1"].status == "ok"
    assert scores.values["auc@1"].estimate == 0.5
    assert (scores.values["auc@1"].low, scores.values["auc@1"].high) == (0.5, 0.5)


def test_nearly_constant_prediction_is_degenerate() -> None:
    evidence, labels, groups = _case()
    lowest = evidence.probability.sort().values
    probability = (evidence.probability - lowest[1] + 0.5 + 1e-6).clamp(0, 1)  # one row below one half
    scores = _quick(Evidence(probability), labels, groups)
    assert scores.degenerate
    assert "are predicted 1" in scores.values["dp@1"].reason


def test_one_group_and_one_class_are_not_estimable() -> None:
    evidence, labels, groups = _case()
    alone = _quick(Evidence(evidence.probability), labels, torch.zeros_like(groups))
    assert alone.values["dp@1"].status == "not_estimable"
    assert "women 0" in alone.values["dp@1"].reason
    assert alone.values["acc@1"].status == "ok"
    negative = _quick(Evidence(evidence.probability), torch.zeros_like(labels), groups)
    for id in ("auc@1", "f1@1", "utility@1", "eopp@1"):
        assert negative.values[id].status == "not_estimable", id
        assert negative.values[id].reason
    assert "label 1" in negative.values["eopp@1"].reason


def test_small_groups_are_left_out_and_named() -> None:
    evidence, labels, groups = _case(n_groups=2)
    groups = groups.clone()
    groups[:4] = 2
    scores = _quick(Evidence(evidence.probability), labels, groups, ("a", "b", "c"))
    value = scores.values["dp@1"]
    assert value.status == "ok"
    assert "left out (fewer than 10 rows): c 4" in value.reason
    two = point_values(evidence.probability[None], labels, groups, 3)["dp@1"]
    assert value.estimate == pytest.approx(float(two[0]))
    rows = {(row.group, row.statistic): row for row in scores.groups}
    assert rows["c", "count"].estimate == 4
    assert rows["c", "selection_rate"].low < rows["c", "selection_rate"].high


def test_group_rows_by_hand() -> None:
    probability = torch.tensor([0.9, 0.2, 0.7, 0.1] * 10)
    labels = torch.tensor([1, 1, 0, 0] * 10)
    scores = _quick(Evidence(probability), labels, torch.zeros(40, dtype=torch.int64), ("all", "none"))
    rows = {(row.group, row.statistic): row for row in scores.groups}
    assert [rows["all", s].estimate for s in ("count", "positives", "selection_rate", "tpr", "fpr", "accuracy")] == [
        40, 20, 0.5, 0.5, 0.5, 0.5,
    ]  # fmt: skip
    wilson = rows["all", "selection_rate"]
    assert (wilson.low, wilson.high) == pytest.approx(tuple(binomtest(20, 40).proportion_ci(method="wilson")))
    assert math.isnan(rows["none", "tpr"].estimate)


def test_alone_or_together_gives_the_same_numbers() -> None:
    evidence, labels, groups = _case()
    other = Evidence(1 - evidence.probability)
    together = score_many({"a": evidence, "b": other}, labels, groups, NAMES, seed=1, draws=100, permutations=50)
    alone = score(evidence, labels, groups, NAMES, seed=1, draws=100, permutations=50)
    assert repr(together["a"]) == repr(alone)
    assert repr(score(evidence, labels, groups, NAMES, seed=2, draws=100, permutations=50)) != repr(alone)


def test_row_order_does_not_matter_for_estimates() -> None:
    evidence, labels, groups = _case()
    order = torch.randperm(600, generator=torch.Generator().manual_seed(9))
    shuffled = _quick(Evidence(evidence.probability[order]), labels[order], groups[order]).values
    for id, value in _quick(Evidence(evidence.probability), labels, groups).values.items():
        if value.status == "ok":
            assert shuffled[id].estimate == pytest.approx(value.estimate, abs=1e-7), id
            if METRICS[id].interval == "counts":  # from the table alone: not a digit differs
                assert (shuffled[id].low, shuffled[id].null_p95) == pytest.approx(
                    (value.low, value.null_p95), nan_ok=True
                )


def test_the_null_bounds_a_prediction_that_ignores_groups() -> None:
    below = 0
    for seed in range(40):
        evidence, labels, _ = _case(n=300, seed=seed)
        groups = torch.randint(0, 2, (300,), generator=torch.Generator().manual_seed(seed + 100))
        value = score(
            Evidence(evidence.probability), labels, groups, NAMES, seed=seed, draws=20, permutations=200
        ).values["dp@1"]
        below += value.estimate <= value.null_p95
    assert below >= 34  # 38 expected


def test_nan_predictions_are_not_estimable() -> None:
    evidence, labels, groups = _case()
    probability = evidence.probability.clone()
    probability[3] = torch.nan
    scores = _quick(Evidence(probability), labels, groups)
    assert {v.status for v in scores.values.values()} == {"not_estimable"}
    assert "1 of 600" in scores.values["acc@1"].reason


def test_errors_name_the_prediction() -> None:
    evidence, labels, groups = _case()
    with pytest.raises(ValueError, match=r"'mixture'.*sigmoid"):
        score_many({"mixture": Evidence(evidence.probability * 3)}, labels, groups, NAMES, seed=0)
    with pytest.raises(ValueError, match="one entry per row"):
        score(evidence, labels[:10], groups, NAMES, seed=0)
    with pytest.raises(ValueError, match="hidden"):
        score(evidence, labels - 1, groups, NAMES, seed=0)


def test_intervals_without_and_with_deviations() -> None:
    draws = torch.linspace(0.01, 0.11, 1001, dtype=torch.float64)
    assert interval(0.02, draws) == pytest.approx((0.0125, 0.1075))
    assert interval(0.02, draws, "up", (0.0, 1.0)) == pytest.approx((0.0, 0.1075))
    assert interval(0.9, 1 - draws, "down", (0.0, 1.0)) == pytest.approx((0.8925, 0.9875))
    assert interval(0.05, draws, "up", (0.0, 1.0), torch.full((9,), 0.04)) == pytest.approx((0.01, 0.1075))
    assert np.isnan(interval(0.5, torch.tensor([torch.nan])) + interval(0.5, None)).all()


def test_a_group_of_just_enough_rows_counts() -> None:
    evidence, labels, groups = _case()
    for small, status in ((10, "ok"), (9, "not_estimable")):
        two = torch.ones_like(groups)
        two[:small] = 0
        value = _quick(Evidence(evidence.probability), labels, two).values["dp@1"]
        assert value.status == status
        assert ("women 591" in value.reason and "at least 10 rows" in value.reason) is (small == 9)
        three = groups.clone()
        three[:small] = 2
        value = _quick(Evidence(evidence.probability), labels, three, ("a", "b", "c")).values["dp@1"]
        assert value.status == "ok" and ("c 9" in value.reason) is (small == 9)


def test_the_rows_that_count_are_those_of_the_label_that_a_metric_speaks_of() -> None:
    evidence, _, groups = _case()
    labels = torch.ones_like(groups)
    labels[torch.nonzero(groups == 0).flatten()[:9]] = 0
    labels[torch.nonzero(groups == 1).flatten()[:40]] = 0
    values = _quick(Evidence(evidence.probability), labels, groups).values
    assert values["eopp@1"].status == values["dp@1"].status == "ok"
    assert values["eodds@1"].status == "not_estimable"
    assert "10 rows with label 0; there are men 9, women 40" in values["eodds@1"].reason


def test_nearly_constant_predictions_say_which_class_and_how_many() -> None:
    evidence, labels, groups = _case()
    for rare, degenerate in ((2, True), (3, False)):  # of 600: three are exactly half a percent
        for positive in (True, False):
            probability = torch.where(torch.arange(600) < rare, 0.4, 0.6) if positive else evidence.probability * 0.4
            if not positive:
                probability[:rare] = 0.9
            scores = _quick(Evidence(probability), labels, groups)
            assert scores.degenerate is degenerate
            if degenerate:
                assert scores.values["dp@1"].reason == f"99.67% of the rows are predicted {int(positive)}"


def test_certain_probabilities_are_scored_and_no_rows_are_not() -> None:
    _, labels, groups = _case()
    perfect = _quick(Evidence(labels.to(torch.float32)), labels, groups).values
    assert perfect["acc@1"].estimate == perfect["auc@1"].estimate == 1 and perfect["brier@1"].estimate == 0
    none = torch.zeros(0, dtype=torch.int64)
    with pytest.raises(ValueError, match="no rows to score"):
        _quick(Evidence(torch.zeros(0)), none, none)


def test_intervals_of_row_metrics_are_as_wide_as_those_of_a_bootstrap_of_rows() -> None:
    evidence, labels, groups = _case()
    scores = score(Evidence(evidence.probability), labels, groups, NAMES, seed=3, draws=1000, permutations=10).values
    rng = np.random.default_rng(0)
    drawn = [rng.integers(0, 600, 600) for _ in range(400)]
    p, y, s = evidence.probability.double(), labels, groups
    found = [
        point_values(p[rows][None], y[rows], s[rows], 2, metrics=("brier@1", "utility@1", "auc@1")) for rows in drawn
    ]
    for id in ("brier@1", "utility@1", "auc@1"):
        theirs = np.diff(np.percentile([float(values[id][0]) for values in found], [2.5, 97.5]))[0]
        assert scores[id].high - scores[id].low == pytest.approx(theirs, rel=0.2), id


def test_reasons_of_some_rows_speak_of_these_and_all_else_of_all_rows() -> None:
    evidence, labels, groups = _case()
    few = torch.arange(0, 600, 2)
    assert evidence.attributions is not None and evidence.masked is not None and evidence.features is not None
    parts = {name: getattr(evidence, name)[few] for name in ("attributions", "masked", "features")}
    found = _quick(replace(evidence, **parts, explained=few), labels, groups).values
    whole = _quick(evidence, labels, groups).values
    alone = _quick(
        replace(evidence, **parts, probability=evidence.probability[few], counterfactual=None), labels[few], groups[few]
    ).values
    for id in ("ref@1", "vef@1", "att_jsd@1", "signed_att@1", "sens_share@1", "fair_proc@1", "gpf_fae@1"):
        assert found[id].estimate == pytest.approx(alone[id].estimate), id
        assert found[id].low <= found[id].estimate <= found[id].high or id == "gpf_fae@1"
    for id in ("dp@1", "fair_res@1", "auc@1", "utility@1", "cfr@1", "ece@1"):
        assert found[id] == whole[id], id
    # the null deals groups out among the explained rows: as wide as that of these rows alone
    assert found["att_jsd@1"].null_p95 == pytest.approx(alone["att_jsd@1"].null_p95, rel=0.2)
