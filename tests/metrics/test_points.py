"""Point values: hand-worked answers, agreement with sklearn and fairlearn, and what is not estimable."""

from __future__ import annotations

import inspect
import math
import warnings

import numpy as np
import pytest
import torch
from fairlearn.metrics import (
    MetricFrame,
    demographic_parity_difference,
    demographic_parity_ratio,
    equal_opportunity_difference,
    equal_opportunity_ratio,
    equalized_odds_difference,
    equalized_odds_ratio,
)
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import accuracy_score, brier_score_loss, f1_score, recall_score, roc_auc_score

from metrics.deviations import count_deviations
from metrics.points import COUNT_METRICS, POINT_METRICS, count_values, point_values, rarer_share
from metrics.spec import MIN_GROUP_ROWS
from metrics.thresholds import fit_thresholds

# group 0: labels 1 1 0 0, predictions 1 0 1 0; group 1: labels 1 1 1 0, predictions 1 1 1 0; every row ten times,
# for groups with fewer relevant rows are left out
TIMES = MIN_GROUP_ROWS
PROBABILITY = torch.tensor([[0.9, 0.2, 0.7, 0.1, 0.8, 0.6, 0.6, 0.5]]).repeat(1, TIMES)
LABELS = torch.tensor([1, 1, 0, 0, 1, 1, 1, 0]).repeat(TIMES)
GROUPS = torch.tensor([0, 0, 0, 0, 1, 1, 1, 1]).repeat(TIMES)


def test_known_answers() -> None:
    values = {id: float(v[0]) for id, v in point_values(PROBABILITY, LABELS, GROUPS, 2).items()}
    expected = {
        "acc@1": 6 / 8,
        "f1@1": 8 / 10,
        "auc@1": (3 + 3 + 2 + 2 + 1) / 15,  # .9 .8 beat 3; .6 .6 beat .1 .5; .2 beats .1
        "dp@1": 3 / 4 - 2 / 4,
        "eopp@1": 1 - 1 / 2,
        "eodds@1": 1 / 2,
        "eodds_mean@1": 1 / 2,
        "dp_ratio@1": 2 / 3,
        "eopp_ratio@1": 1 / 2,
        "eodds_ratio@1": 0.0,
        "worst_acc@1": 1 / 2,
        "worst_tpr@1": 1 / 2,
        "acc_gap@1": 1 / 2,
        "fair_res@1": 3 / 8,
        "utility@1": (0.75 + 0.8 + 11 / 15) / 3,
        "brier@1": (0.01 + 0.64 + 0.49 + 0.01 + 0.04 + 0.16 + 0.16 + 0.25) / 8,
    }
    for id, value in expected.items():
        assert values[id] == pytest.approx(value, abs=1e-6), id


def test_ece_by_hand() -> None:
    # bins of width 1/15: {.01, .02} miss by 1 - .03, {.9, .92} by 1.82 - 2
    values = point_values(
        torch.tensor([[0.01, 0.02, 0.9, 0.92]], dtype=torch.float64),
        torch.tensor([1, 0, 1, 1]),
        torch.tensor([0, 0, 1, 1]),
        2,
        metrics=["ece@1"],
    )
    assert float(values["ece@1"][0]) == pytest.approx((0.97 + 0.1 + 0.08) / 4)


@st.composite
def cases(draw: st.DrawFn) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, int]:
    n = draw(st.integers(4, 200))
    n_groups = draw(st.integers(2, 5))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    dtype = draw(st.sampled_from([np.float32, np.float64]))
    probability = rng.random((2, n)).astype(dtype)
    if draw(st.booleans()):
        probability = np.round(probability, 1).astype(dtype)  # ties, and 0.5 itself
    labels = rng.integers(0, 2, n)
    groups = rng.integers(0, n_groups, n)
    return torch.from_numpy(probability), torch.from_numpy(labels), torch.from_numpy(groups), n_groups


@settings(max_examples=60, deadline=None)
@given(cases())
def test_utility_agrees_with_sklearn(case: tuple[torch.Tensor, torch.Tensor, torch.Tensor, int]) -> None:
    probability, labels, groups, n_groups = case
    values = point_values(probability, labels, groups, n_groups)
    y = labels.numpy()
    for k, p in enumerate(probability.numpy()):
        hard = p > 0.5
        assert float(values["acc@1"][k]) == pytest.approx(accuracy_score(y, hard), abs=1e-6)
        assert float(values["brier@1"][k]) == pytest.approx(brier_score_loss(y, p, pos_label=1), abs=1e-6)
        if y.any():
            assert float(values["f1@1"][k]) == pytest.approx(f1_score(y, hard, zero_division=0), abs=1e-6)
        if 0 < y.sum() < len(y):
            assert float(values["auc@1"][k]) == pytest.approx(roc_auc_score(y, p), abs=1e-6)
        else:
            assert math.isnan(float(values["auc@1"][k]))


@settings(max_examples=25, deadline=None)
@given(cases())
def test_gaps_agree_with_fairlearn_without_its_zeros(
    case: tuple[torch.Tensor, torch.Tensor, torch.Tensor, int],
) -> None:
    """Groups with too few rows of a label, where fairlearn counts a rate all the same, are taken out first."""
    probability, labels, groups, n_groups = case
    values = point_values(probability, labels, groups, n_groups)
    y, s = labels.numpy(), groups.numpy()
    rows = np.bincount(s, minlength=n_groups)
    positive = np.bincount(s, weights=y, minlength=n_groups)
    enough = (rows >= MIN_GROUP_ROWS)[s]
    with_positive = (positive >= MIN_GROUP_ROWS)[s]
    full = with_positive & (rows - positive >= MIN_GROUP_ROWS)[s]
    checks = {
        "dp@1": (demographic_parity_difference, enough),
        "eopp@1": (equal_opportunity_difference, with_positive),
        "dp_ratio@1": (demographic_parity_ratio, enough),
        "eopp_ratio@1": (equal_opportunity_ratio, with_positive),
    }
    if full.all():
        checks |= {
            "eodds@1": (equalized_odds_difference, full),
            "eodds_ratio@1": (equalized_odds_ratio, full),
            "eodds_mean@1": (lambda *a, **k: equalized_odds_difference(*a, **k, agg="mean"), full),
        }
    for k, p in enumerate(probability.numpy()):
        hard = (p > 0.5).astype(int)
        for id, (oracle, keep) in checks.items():
            ours = float(values[id][k])
            if len(np.unique(s[keep])) < 2:
                assert math.isnan(ours), id
                continue
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # 0/0 of its ratios
                theirs = oracle(y[keep], hard[keep], sensitive_features=s[keep])
            assert math.isnan(theirs) or ours == pytest.approx(theirs, abs=1e-6), id


def test_worst_group_agrees_with_metric_frame() -> None:
    rng = np.random.default_rng(3)
    p, y, s = rng.random(300), rng.integers(0, 2, 300), rng.integers(0, 4, 300)
    values = point_values(torch.from_numpy(p)[None], torch.from_numpy(y), torch.from_numpy(s), 4)
    frame = MetricFrame(
        metrics={"acc": accuracy_score, "tpr": recall_score}, y_true=y, y_pred=p > 0.5, sensitive_features=s
    )
    assert float(values["worst_acc@1"][0]) == pytest.approx(frame.group_min()["acc"])
    assert float(values["worst_tpr@1"][0]) == pytest.approx(frame.group_min()["tpr"])
    assert float(values["acc_gap@1"][0]) == pytest.approx(frame.difference()["acc"])


def test_row_order_does_not_matter() -> None:
    generator = torch.Generator().manual_seed(0)
    p = torch.rand(4, 500, generator=generator, dtype=torch.float64)
    y = torch.randint(0, 2, (500,), generator=generator)
    s = torch.randint(0, 3, (500,), generator=generator)
    order = torch.randperm(500, generator=generator)
    straight, shuffled = point_values(p, y, s, 3), point_values(p[:, order], y[order], s[order], 3)
    for id in POINT_METRICS:
        torch.testing.assert_close(straight[id], shuffled[id], rtol=0, atol=1e-12)


def test_rows_of_a_part_by_global_ids_equal_the_part() -> None:
    generator = torch.Generator().manual_seed(1)
    p, y = torch.rand(1, 400, generator=generator), torch.randint(0, 2, (400,), generator=generator)
    s = torch.randint(0, 2, (400,), generator=generator)
    ids = torch.randperm(400, generator=generator)[:150]
    part = point_values(p[:, ids].clone(), y[ids].clone(), s[ids].clone(), 2)
    mask = torch.zeros(400, dtype=torch.bool)
    mask[ids] = True
    for id, value in point_values(p[:, mask], y[mask], s[mask], 2).items():
        torch.testing.assert_close(value, part[id], rtol=0, atol=1e-12)


def test_lanes_do_not_see_each_other() -> None:
    generator = torch.Generator().manual_seed(2)
    p, y = torch.rand(7, 100, generator=generator), torch.randint(0, 2, (100,), generator=generator)
    s = torch.randint(0, 2, (100,), generator=generator)
    together = point_values(p, y, s, 2)
    for k in range(7):
        for id, value in point_values(p[k : k + 1], y, s, 2).items():
            torch.testing.assert_close(value[0], together[id][k], rtol=0, atol=1e-12)


def test_constant_prediction_has_no_gaps_and_chance_auc() -> None:
    values = point_values(torch.ones(1, 8 * TIMES), LABELS, GROUPS, 2)
    for id in ("dp@1", "eopp@1", "eodds@1", "fair_res@1"):
        assert float(values[id][0]) == 0.0
    assert float(values["auc@1"][0]) == 0.5
    assert float(values["f1@1"][0]) == pytest.approx(10 / 13)


def test_empty_and_single_groups_are_nan_never_zero() -> None:
    one_group = point_values(PROBABILITY, LABELS, torch.zeros_like(GROUPS), 2)
    for id in set(COUNT_METRICS) - {"acc@1", "f1@1"}:
        assert math.isnan(float(one_group[id][0])), id
    no_positive = torch.tensor([0, 0, 0, 0, 1, 1, 1, 0]).repeat(TIMES)
    values = point_values(PROBABILITY, no_positive, GROUPS, 2)
    assert math.isnan(float(values["eopp@1"][0]))
    assert math.isnan(float(values["fair_res@1"][0]))
    assert float(values["dp@1"][0]) == pytest.approx(0.25)


def test_an_empty_third_group_changes_nothing() -> None:
    two, three = point_values(PROBABILITY, LABELS, GROUPS, 2), point_values(PROBABILITY, LABELS, GROUPS, 3)
    for id in POINT_METRICS:
        assert float(two[id][0]) == float(three[id][0])


def test_single_class() -> None:
    values = point_values(PROBABILITY, torch.zeros_like(GROUPS), GROUPS, 2)
    for id in ("auc@1", "f1@1", "utility@1", "eopp@1", "eodds@1"):
        assert math.isnan(float(values[id][0])), id


@pytest.mark.parametrize("rows", [9, 10])
def test_a_group_counts_from_ten_relevant_rows_on(rows: int) -> None:
    """Groups 0 and 1 have the selection rate 1/2; the third has 1."""
    probability = torch.cat((torch.tensor([0.9, 0.1]).repeat(20), torch.ones(rows)))[None]
    labels = torch.cat((torch.tensor([1, 0]).repeat(20), torch.ones(rows, dtype=torch.int64)))
    groups = torch.cat((torch.tensor([0, 0, 1, 1]).repeat(10), torch.full((rows,), 2)))
    expected = {"dp@1": 0.0 if rows < 10 else 0.5, "eopp@1": 0.0, "fair_res@1": 0.0 if rows < 10 else 0.25}
    values = point_values(probability, labels, groups, 3)
    assert {id: float(values[id][0]) for id in expected} == pytest.approx(expected, abs=1e-9)


def test_the_rule_cannot_be_changed_by_a_caller() -> None:
    """An id means one thing: nobody who asks for a value says which groups are too small."""
    for asked in (point_values, count_values, count_deviations, fit_thresholds):
        assert not {"min_rows", "least"} & set(inspect.signature(asked).parameters)


def test_a_diverged_lane_is_nan_and_spares_the_others() -> None:
    lanes = torch.cat((PROBABILITY, PROBABILITY))
    lanes[0, 3] = torch.nan
    values = point_values(lanes, LABELS, GROUPS, 2)
    for id in POINT_METRICS:
        assert math.isnan(float(values[id][0])), id
        assert not math.isnan(float(values[id][1])), id


def test_only_what_is_asked_for() -> None:
    assert set(point_values(PROBABILITY, LABELS, GROUPS, 2, metrics=["dp@1", "utility@1"])) == {"dp@1", "utility@1"}


@pytest.mark.parametrize(
    ("probability", "labels", "metrics", "text"),
    [
        (PROBABILITY * 3, LABELS, None, "not logits"),
        (PROBABILITY, LABELS - 1, None, "hidden"),
        (PROBABILITY, LABELS[:3], None, "expected"),
        (PROBABILITY, LABELS, ["dpp@1"], "no point value"),
    ],
)
def test_errors_say_what_to_do(
    probability: torch.Tensor, labels: torch.Tensor, metrics: list[str] | None, text: str
) -> None:
    with pytest.raises(ValueError, match=text):
        point_values(
            probability, labels, GROUPS[: labels.numel()] if text != "expected" else GROUPS, 2, metrics=metrics
        )


def test_group_ids_above_the_number_of_groups_are_an_error() -> None:
    with pytest.raises(ValueError, match="n_groups"):
        point_values(PROBABILITY, LABELS, GROUPS * 4, 2)


def test_a_row_at_one_half_is_predicted_0() -> None:
    shares = rarer_share(torch.tensor([[0.5, 0.9, 0.9, 0.9], [0.5, 0.5, 0.1, 0.1], [0.6, 0.6, 0.9, 0.2]]))
    assert shares.tolist() == [0.25, 0.0, 0.25]
    both = torch.tensor([0, 1])
    assert float(point_values(torch.tensor([[0.5, 0.5]]), both, both, 2)["acc@1"]) == 0.5


def test_one_diverged_vector_leaves_the_others_as_they_are() -> None:
    lanes = torch.stack((PROBABILITY[0], PROBABILITY[0].clone(), 1 - PROBABILITY[0]))
    lanes[1, 3] = math.nan
    together = point_values(lanes, LABELS, GROUPS, 2)
    for lane in (0, 2):
        alone = point_values(lanes[lane : lane + 1], LABELS, GROUPS, 2)
        assert all(float(together[id][lane]) == pytest.approx(float(alone[id]), nan_ok=True) for id in POINT_METRICS)
    assert all(math.isnan(float(values[1])) for values in together.values())


def test_one_vector_out_of_range_is_refused_and_the_ends_of_the_range_are_not() -> None:
    for wrong in (-0.01, 1.01):
        lanes = torch.stack((PROBABILITY[0], PROBABILITY[0].clone()))
        lanes[1, 0] = wrong
        with pytest.raises(ValueError, match="outside"):
            point_values(lanes, LABELS, GROUPS, 2)
    certain = point_values(LABELS[None].double(), LABELS, GROUPS, 2, metrics=("acc@1", "brier@1"))
    assert {id: float(value) for id, value in certain.items()} == {"acc@1": 1.0, "brier@1": 0.0}


def test_a_single_row_is_scored_and_none_is_refused() -> None:
    one, none = torch.tensor([1]), torch.zeros(0, dtype=torch.int64)
    assert float(point_values(torch.tensor([[0.9]]), one, one - 1, 1, metrics=("acc@1",))["acc@1"]) == 1
    with pytest.raises(ValueError, match="no rows to score"):
        point_values(torch.zeros(1, 0), none, none, 1)
