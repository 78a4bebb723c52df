"""How often a level can be kept: simulated shares against exact ones."""

import math
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from foundation.seeding import named_generator
from metrics.spec import MIN_GROUP_ROWS
from reports.levels.ceiling import Part, ceiling, parts_of
from tests.reports.levels.level_fixtures import scenario


def part(*counts, positives=0.5, selection_rate=0.5, tpr=0.7):
    count = np.array(counts, dtype=float)
    return Part(count, np.round(count * positives), selection_rate, tpr)


def test_the_parity_ceiling_is_that_of_two_binomials():
    """P(|x/400 − y/300| ≤ .05) for two shares of one half, by adding up both distributions."""
    found = part(400, 300, positives=0.0, selection_rate=0.5)
    x, y = np.arange(401), np.arange(301)
    mass = stats.binom.pmf(x, 400, 0.5)[:, None] * stats.binom.pmf(y, 300, 0.5)[None]
    exact = mass[np.abs(x[:, None] / 400 - y[None] / 300) <= 0.05].sum()
    share = (found.gaps("dp@1", 0.0, named_generator("test"), 20_000) <= 0.05).mean()
    assert share == pytest.approx(exact, abs=0.015)


def test_exactly_at_the_limit_keeps_it_about_every_second_time():
    found = ceiling(part(20_000, 20_000), "dp@1", 0.05, "large")
    assert found.zero == 1.0 and found.limit == pytest.approx(0.5, abs=0.04)
    small = ceiling(part(100, 80), "dp@1", 0.01, "small")
    assert small.zero < 0.25 and small.limit <= small.zero + 0.03


def test_the_mean_of_both_gaps_is_the_mean_of_both_gaps():
    own = part(500, 400, 300)
    rates = [own.gaps(gap, 0.1, named_generator("same"), 500) for gap in ("dp@1", "eopp@1", "fair_res@1")]
    assert rates[2] == pytest.approx((rates[0] + rates[1]) / 2)
    assert rates[1].mean() == pytest.approx(0.1, abs=0.03)


@pytest.mark.parametrize(("selection_rate", "tpr"), [(0.95, 0.5), (0.1, 0.7)])
def test_rates_that_only_true_positives_can_move_have_half_their_gap(selection_rate, tpr):
    """More, or fewer, are selected than negatives can make up for: all of them are, or none; half the rows are."""
    found = part(400, 200, selection_rate=selection_rate, tpr=tpr)
    parity, opportunity = (found.gaps(gap, 0.0, named_generator("same"), 500) for gap in ("dp@1", "eopp@1"))
    assert parity == pytest.approx(opportunity / 2) and parity.max() > 0


def test_groups_differ_in_the_same_direction_in_both_rates():
    """Of a group with fewer selected, fewer positives are found too: .25 and .4 of them all, where false alarms end."""
    found = part(200_000, 200_000, selection_rate=0.3, tpr=0.6).gaps("dp@1", 0.2, named_generator("far"), 50)
    assert found == pytest.approx(0.15, abs=0.01)


def test_rates_end_at_one():
    found = part(200_000, 200_000, selection_rate=0.6, tpr=0.95).gaps("eopp@1", 0.2, named_generator("end"), 50)
    assert found == pytest.approx(0.15, abs=0.01)


def test_a_single_negative_is_selected_as_often_as_it_must():
    """One of eleven rows is selected and no positive: it is the negative, in each group and draw."""
    count, positives = np.array([11.0, 11.0]), np.array([10.0, 10.0])
    assert Part(count, positives, 1 / 11, 0.0).gaps("dp@1", 0.0, named_generator("one"), 500).max() == 0


@pytest.mark.parametrize("gap", ["dp@1", "eopp@1"])
def test_groups_of_the_smallest_size_count_and_smaller_ones_do_not(gap):
    def with_group(rows):
        count = np.array([rows if gap == "dp@1" else 100.0, 400.0])
        return Part(count, np.array([rows if gap == "eopp@1" else 0.0, 200.0]), 0.3, 0.5)

    assert not np.isnan(with_group(MIN_GROUP_ROWS).gaps(gap, 0.0, named_generator("small"), 20)).any()
    assert np.isnan(with_group(MIN_GROUP_ROWS - 1).gaps(gap, 0.0, named_generator("small"), 20)).all()


def test_a_gap_that_is_the_limit_keeps_it():
    assert ceiling(part(100, 100, tpr=1.0), "eopp@1", 0.0, "same").zero == 1.0


RATES = {"count": (150, 110), "positives": (90, 66), "selection_rate": (0.6, 0.5), "tpr": (0.8, 0.75)}


def group_table(part="test", shift=0.0, other=()):
    """Two methods on two groups; the second selects .1 more."""
    return pd.DataFrame(
        [
            {"task": "t", "split": 0, "part": part, "method": method, "group": group, "statistic": name,
             "estimate": values[place] + shift + 0.1 * (method == "b" and name == "selection_rate")}
            for method in ("a", "b")
            for name, values in (*RATES.items(), *other)
            for place, group in enumerate(("f", "m"))
        ]
    )  # fmt: skip


def one_part(groups):
    return parts_of(groups, [SimpleNamespace(name="t", where={"task": "t"})])["t", 0]


def test_rates_are_means_over_methods_of_rates_over_all_groups():
    found = one_part(group_table())
    assert found.count.tolist() == [150, 110] and found.positives.tolist() == [90, 66]
    assert found.selection_rate == pytest.approx((150 * 0.6 + 110 * 0.5) / 260 + 0.05)
    assert found.tpr == pytest.approx((90 * 0.8 + 66 * 0.75) / 156)


def test_neither_validation_rows_nor_other_statistics_are_read():
    own = one_part(group_table())
    more = pd.concat([group_table(other=(("fpr", (0.1, 0.2)),)), group_table("validation", shift=0.2)])
    found = one_part(more)
    assert (found.selection_rate, found.tpr, *found.count) == (own.selection_rate, own.tpr, *own.count)


def test_a_group_without_a_rate_does_not_count_in_its_mean():
    groups = group_table()
    groups.loc[(groups["statistic"] == "tpr") & (groups["group"] == "m"), "estimate"] = np.nan
    assert one_part(groups).tpr == pytest.approx(0.8)


def test_larger_test_parts_can_be_told_more_of():
    shares = [ceiling(part(n, n), "fair_res@1", 0.02, "n").zero for n in (300, 1500, 8000)]
    assert shares[0] < shares[1] < shares[2]


def test_one_group_has_no_gap_and_no_ceiling():
    assert math.isnan(ceiling(part(500), "fair_res@1", 0.05, "one").zero)


@pytest.fixture(scope="module")
def groups(make_run, tmp_path_factory):
    folder = make_run(tmp_path_factory.mktemp("groups"), tasks=("german", "credit"), methods=("utility", "result"))
    return pd.read_csv(folder / "groups.csv")


def test_test_parts_are_read_from_the_groups(groups):
    scores = scenario("german")
    found = parts_of(groups, [scores])
    assert set(found) == {("german", split) for split in scores.splits}
    own = found["german", 0]
    assert own.count.tolist() == [150, 110] and own.positives.tolist() == [90, 66]
    # .6 and .5 selected, .8 and .75 of the positives found, in all methods
    assert own.selection_rate == pytest.approx((150 * 0.6 + 110 * 0.5) / 260)
    assert own.tpr == pytest.approx((90 * 0.8 + 66 * 0.75) / 156)
    assert parts_of(groups.iloc[:0], [scores]) == {}


@pytest.mark.parametrize("rate", ["selection_rate", "tpr"])
def test_a_test_part_without_a_rate_is_left_out_and_no_other(groups, rate):
    groups, scores = groups.copy(), scenario("german")
    groups.loc[(groups["split"] == 0) & (groups["statistic"] == rate), "estimate"] = np.nan
    found = parts_of(groups, [scores])
    assert set(found) == {("german", split) for split in scores.splits if split != 0} != set()
