"""Thresholds for any gap, from labels or expected labels, in pools of any fineness."""

import math

import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st

from metrics.expected_labels import expected_labels
from metrics.points import DEGENERATE_SHARE, point_values, rarer_share
from metrics.thresholds import FINE_RATES, FINE_STEPS, fit_thresholds, keeps, margins_of
from tests.metrics.test_thresholds import made

FINE = {"rates": FINE_RATES, "steps": FINE_STEPS}
GAPS = ("dp@1", "eopp@1", "eodds@1", "fair_res@1", "acc_gap@1")


def value(probability, labels, groups, n_groups, metric):
    return float(point_values(probability[None], labels, groups, n_groups, metrics=[metric])[metric])


def test_defaults_give_the_numbers_that_they_always_gave():
    golden = {
        (2, 0): [
            ([-1.8237808915408236, -0.40793950707820736], 0.009451518205608134),
            ([-1.379904279383944, 0.015491050773250244], 0.04754552638491544),
            ([0.0, 0.0], 0.2772392584768815),
        ],
        (3, 1): [
            ([-1.9719264910953243, -0.5529378037407475, -0.08378566529541882], 0.016042204021298023),
            ([-1.774048150008369, -0.40318020015555106, 0.016176735944467672], 0.038437399594800026),
            ([-0.5728028353571646, -0.16966888532315044, -0.06901874823708376], 0.21613734697358394),
        ],
    }
    for (groups, seed), expected in golden.items():
        found = fit_thresholds(*made(groups=groups, seed=seed), groups, [0.02, 0.05, 1.0])
        for one, (cuts, disparity) in zip(found, expected, strict=True):
            assert one.cuts.tolist() == pytest.approx(cuts, abs=1e-9) and one.disparity == pytest.approx(disparity)


@example(seed=0, groups=4, gap="dp@1", limit=0.125, digits=1, fine=False)  # cuts far below all rows
@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 10_000), groups=st.integers(2, 4), gap=st.sampled_from(GAPS), limit=st.floats(0.01, 0.5),
    digits=st.sampled_from([None, 1, 2]), fine=st.booleans(),
)  # fmt: skip
def test_hard_labels_keep_any_gap_on_the_rows_that_choose(seed, groups, gap, limit, digits, fine):
    rows = made(n=300, groups=groups, seed=seed, digits=digits)
    further = {"rates": 60, "steps": 5} if fine else {}
    for asked in (limit, math.inf):
        (found,) = fit_thresholds(*rows, groups, [asked], gap=gap, **further)
        if found is None:
            continue
        moved = found.apply(rows[0], rows[2])
        assert value(moved, *rows[1:], groups, gap) == pytest.approx(found.disparity, abs=1e-9)
        assert found.disparity <= asked
        assert float(rarer_share(moved[None])) >= DEGENERATE_SHARE
        assert value(moved, *rows[1:], groups, "utility@1") == pytest.approx(found.worth, abs=2e-3)


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 10_000), groups=st.integers(2, 3), gap=st.sampled_from(GAPS))
def test_a_wider_limit_is_never_worse_by_expected_labels(seed, groups, gap):
    probability, labels, group = made(n=400, groups=groups, seed=seed)
    expected = expected_labels(margins_of(probability), labels, group, groups)
    limits = [0.02, 0.05, 0.1, 0.3, math.inf]
    found = fit_thresholds(probability, labels, group, groups, limits, gap=gap, expected=expected, rates=60, steps=6)
    worth = [-math.inf if one is None else one.worth for one in found]
    assert worth == sorted(worth)
    assert all(one is None or one.disparity <= limit for one, limit in zip(found, limits, strict=True))


def test_a_worst_rate_is_a_lower_bound():
    rows = made(n=2000, seed=4)
    (loose, tight) = fit_thresholds(*rows, 2, [math.inf, 0.9], gap="worst_tpr@1", **FINE)
    assert loose.disparity < 0.9 <= tight.disparity
    assert tight.worth < loose.worth
    assert value(tight.apply(rows[0], rows[2]), *rows[1:], 2, "worst_tpr@1") >= 0.9


def test_equalised_odds_needs_its_own_corners():
    """Groups of equal odds at a common threshold when each is cut where its own distribution is: both rates meet."""
    rows = made(n=4000, shift=1.5, seed=2)
    (found,) = fit_thresholds(*rows, 2, [0.03], gap="eodds@1", **FINE)
    assert found is not None and found.disparity <= 0.03


def test_with_expected_labels_that_are_labels_the_choice_is_as_good_as_with_labels():
    probability, labels, groups = made(n=1500, seed=6)
    hard = fit_thresholds(probability, labels, groups, 2, [0.02, 0.1, 1.0], **FINE)
    soft = fit_thresholds(probability, labels, groups, 2, [0.02, 0.1, 1.0], expected=labels.double(), **FINE)
    for one, other in zip(hard, soft, strict=True):
        assert other.worth >= one.worth - 1e-6  # neighbours of the best are tried too
        moved = other.apply(probability, groups)
        assert value(moved, labels, groups, 2, "fair_res@1") == pytest.approx(other.disparity, abs=1e-9)


def test_expected_labels_use_a_small_limit_up():
    """A grid of eighths would leave much of it: neighbours of the best are tried."""
    probability, labels, groups = made(n=4000, shift=1.0, seed=8)
    expected = expected_labels(margins_of(probability), labels, groups, 2)
    for one, limit in zip(
        fit_thresholds(probability, labels, groups, 2, [0.01, 0.03], gap="dp@1", expected=expected, **FINE),
        (0.01, 0.03), strict=True,
    ):  # fmt: skip
        assert limit - 0.002 <= one.disparity <= limit


def test_groups_count_by_their_labels_also_where_expected_labels_are_counted():
    probability, labels, groups = made(n=400, seed=1)
    labels = labels.clone()
    few = torch.nonzero((groups == 1) & (labels == 1)).flatten()[9:]
    labels[few] = 0  # nine positives in group 1
    expected = torch.full_like(probability, 0.5, dtype=torch.float64)
    assert fit_thresholds(probability, labels, groups, 2, [1.0], gap="eopp@1", expected=expected) == [None]
    assert fit_thresholds(probability, labels, groups, 2, [1.0], gap="dp@1", expected=expected) != [None]


@pytest.mark.parametrize("gap", ["acc@1", "auc@1", "att_jsd@1", "nothing"])
def test_what_is_no_gap_of_groups_is_refused(gap):
    with pytest.raises(ValueError, match=r"dp@1.*fair_res@1"):
        fit_thresholds(*made(), 2, [0.1], gap=gap)


def test_no_number_keeps_no_limit():
    values = torch.tensor([0.1, math.nan])
    assert keeps(values, math.inf, "dp@1").tolist() == [True, False]
    assert keeps(values, 0.05, "worst_tpr@1").tolist() == [True, False]
    assert keeps(values, 0.05, "dp@1").tolist() == [False, False]
