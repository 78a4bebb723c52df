"""Draws from histograms: rows of which nothing is left to chance, and spreads worked out by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from metrics.tallies import tally as tallies
from metrics.tallies.area import BinnedArea
from metrics.tallies.calibration import CalibrationDraws
from metrics.tallies.kernel import FINE
from metrics.tallies.tally import Tally

DRAWS = 20_000


def tallied(*cells: tuple[int, float, int, int]) -> Tally:
    """Rows of one model: (rows, probability, label, group)."""
    rows = torch.tensor([row[0] for row in cells])
    probability, labels, groups = (
        torch.tensor([row[place] for row in cells]).repeat_interleave(rows) for place in (1, 2, 3)
    )
    tally = Tally.empty(1, int(groups.max()) + 1)
    tally.add(probability[None].float(), labels, groups)
    return tally


def generator() -> np.random.Generator:
    return np.random.default_rng(0)


def test_areas_of_drawn_tables_are_means_of_placements() -> None:
    """All rows of a label and decision are alike: what share of the other label's rows each wins against is known."""
    tally = tallied((3, 0.1, 0, 0), (1, 0.6, 0, 0), (2, 0.3, 1, 0), (2, 0.9, 1, 0))
    area = BinnedArea.of(tally.fine[0])
    assert area.runs.area == pytest.approx(7 / 8) and area.error == 0
    # (negatives not selected and selected), (positives so): they lose against and win against shares of the others
    tables = torch.tensor([[[[3.0, 1.0], [2.0, 2.0]]], [[[0.0, 4.0], [1.0, 3.0]]], [[[2.0, 2.0], [8.0, 0.0]]]])
    shares = [
        (n0 * 1 + n1 / 2) / (n0 + n1) + (p0 * 3 / 4 + p1) / (p0 + p1) for (((n0, n1), (p0, p1)),) in tables.tolist()
    ]
    found = area.draws(tables.double(), tally.fine[0], generator())
    assert found.tolist() == pytest.approx([share - 7 / 8 for share in shares])
    nobody = torch.tensor([[[[0.0, 0.0], [2.0, 2.0]]]]).double()
    assert math.isnan(area.draws(nobody, tally.fine[0], generator()).item())


def test_groups_share_the_area_and_each_has_its_own_placements() -> None:
    tally = tallied((2, 0.1, 0, 0), (2, 0.9, 1, 0), (2, 0.95, 0, 1), (2, 0.3, 1, 1))
    area = BinnedArea.of(tally.fine[0])
    assert area.runs.area == pytest.approx(0.5)
    only = torch.zeros(2, 2, 2, 2, dtype=torch.float64)
    only[0, 0, 0, 0] = only[0, 0, 1, 1] = 5  # of the first group: .1 loses against all, .9 wins against half
    only[1, 1, 0, 1] = only[1, 1, 1, 0] = 5  # of the second: .95 loses against nobody, .3 wins against half
    assert area.draws(only, tally.fine[0], generator()).tolist() == pytest.approx([1 + 0.5 - 0.5, 0 + 0.5 - 0.5])


def test_rows_of_a_cell_that_differ_spread_the_area() -> None:
    """Not selected negatives lose against all positives or half of them: mean .75, deviation .25 of each row."""
    tally = tallied((50, 0.1, 0, 0), (50, 0.3, 0, 0), (20, 0.2, 1, 0), (20, 0.4, 1, 0))
    area = BinnedArea.of(tally.fine[0])
    tables = torch.tensor([[[[100.0, 0.0], [40.0, 0.0]]]]).double().expand(DRAWS, -1, -1, -1)
    found = area.draws(tables, tally.fine[0], generator())
    spread = math.hypot(0.25 / math.sqrt(100), 0.25 / math.sqrt(40))
    assert float(found.mean()) == pytest.approx(0.75, abs=4 * spread / math.sqrt(DRAWS))
    assert float(found.std()) == pytest.approx(spread, rel=0.03)


def test_the_error_is_half_of_the_pairs_in_one_bin() -> None:
    tally = tallied((3, 0.7, 1, 0), (1, 0.7, 0, 0), (1, 0.2, 1, 0), (3, 0.1, 0, 0))
    area = BinnedArea.of(tally.fine[0])
    assert area.error == pytest.approx(3 / 2 / 16) and area.runs.area == pytest.approx((3 * 3.5 + 3) / 16)


def test_calibration_of_rows_that_are_alike_does_not_spread() -> None:
    tally = tallied((400, 0.9, 1, 0), (100, 0.3, 0, 1))
    found = CalibrationDraws.of(tally, 0, 50, generator())
    assert (found.ece.shape, found.brier.shape, found.excess.shape) == ((50,), (50,), (50, 2))
    assert found.excess == pytest.approx(np.tile([400 * -0.1, 100 * 0.3], (50, 1)), abs=1e-3)
    assert found.brier.mean() == pytest.approx(0.8 * 0.01 + 0.2 * 0.09, abs=3e-3)
    alone = CalibrationDraws.of(tallied((400, 0.9, 1, 0)), 0, 50, generator())
    assert alone.ece == pytest.approx(np.full(50, 0.1), abs=1e-5)
    assert alone.brier == pytest.approx(np.full(50, 0.01), abs=1e-5)


def test_brier_scores_spread_as_means_of_squared_errors() -> None:
    """Of 400 rows of .9 half are wrong: squared errors of .01 and .81, whose deviation is .4."""
    found = CalibrationDraws.of(tallied((200, 0.9, 1, 0), (200, 0.9, 0, 0)), 0, DRAWS, generator())
    assert found.brier.mean() == pytest.approx(0.41, abs=1e-3)
    assert found.brier.std() == pytest.approx(0.4 / 20, rel=0.03)


def test_sums_of_groups_spread_with_the_square_root_of_their_rows() -> None:
    """Errors of -.4 and .6 in halves: deviation .5 of a row, whatever the group; and one group of one class."""
    tally = tallied((50, 0.6, 1, 0), (50, 0.6, 0, 0), (200, 0.6, 1, 1), (200, 0.6, 0, 1), (60, 0.2, 0, 2))
    found = CalibrationDraws.of(tally, 0, DRAWS, generator())
    assert found.excess.mean(0) == pytest.approx([10, 40, 12], abs=0.5)
    assert found.excess.std(0) == pytest.approx([0.5 * 10, 0.5 * 20, 0.0], rel=0.03, abs=0.01)
    assert abs(np.corrcoef(found.excess[:, 0], found.excess[:, 1])[0, 1]) < 0.05


def test_calibration_errors_spread_within_bins_and_between_them() -> None:
    """One bin of no error and spread .5: the mean of |N(0, .5 / 20)|. Bins of errors 0 and .2: their shares move."""
    even = CalibrationDraws.of(tallied((200, 0.5, 1, 0), (200, 0.5, 0, 0)), 0, DRAWS, generator())
    assert even.ece.mean() == pytest.approx(math.sqrt(2 / math.pi) * 0.5 / 20, rel=0.05)
    shares = CalibrationDraws.of(tallied((300, 1.0, 1, 0), (100, 0.2, 0, 0)), 0, DRAWS, generator())
    assert shares.ece.mean() == pytest.approx(0.05, rel=0.02)
    # count c of the second bin is N(100, 10), of the first N(300, √300): .2 · c / (c + d)
    assert shares.ece.std() == pytest.approx(0.2 * math.sqrt((0.75 * 10) ** 2 + 0.25**2 * 300) / 400, rel=0.05)


def test_how_many_rows_a_bin_has_and_what_they_sum_to_are_drawn_apart() -> None:
    """Errors of 100 rows have mean .2 and deviation .5, 300 rows have none: the ratio's spread by its differential."""
    tally = tallied((300, 1.0, 1, 0), (50, 0.7, 1, 0), (50, 0.7, 0, 0))
    found = CalibrationDraws.of(tally, 0, DRAWS, generator()).ece
    assert found.mean() == pytest.approx(0.05, rel=0.02)
    spread = math.sqrt(100 * ((0.2 - 0.05) ** 2 + 0.5**2) + 300 * 0.05**2)
    assert found.std() == pytest.approx(spread / 400, rel=0.05)


def test_a_single_row_has_no_spread() -> None:
    found = CalibrationDraws.of(tallied((1, 0.9, 1, 0), (50, 0.2, 0, 1)), 0, 50, generator())
    assert found.excess[:, 0] == pytest.approx(np.full(50, -0.1), abs=1e-6)
    alone = CalibrationDraws.of(tallied((1, 0.9, 1, 0)), 0, 50, generator())
    assert np.abs(alone.ece) == pytest.approx(np.full(50, 0.1), abs=1e-5)


def test_rows_lie_in_the_middle_of_their_bin() -> None:
    """Half of the rows in the first bin and half in the second: squared errors of .25 and 2.25 squared widths."""
    found = CalibrationDraws.of(tallied((200, 1e-4, 0, 0), (200, 4e-4, 0, 0)), 0, DRAWS, generator())
    assert found.brier.std() == pytest.approx(1 / FINE**2 / 20, rel=0.03)


def test_a_tally_has_a_largest_number_of_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tallies, "MOST_ROWS", 10)
    full, one = tallied((10, 0.5, 1, 0)), tallied((1, 0.5, 1, 0))
    assert full.rows == 10
    with pytest.raises(ValueError, match="at most 10 rows; these would be 11"):
        full.add(torch.tensor([[0.5]]), torch.tensor([1]), torch.tensor([0]))
    with pytest.raises(ValueError, match="at most 10 rows; these would be 11"):
        full.merge(one)
    full.add(torch.empty(1, 0), torch.empty(0, dtype=torch.int64), torch.empty(0, dtype=torch.int64))
    assert full.rows == 10


def test_rows_that_are_no_probability_are_counted_by_kind() -> None:
    tally = Tally.empty(2, 1)
    labels, groups = torch.tensor([0, 1, 1]), torch.zeros(3, dtype=torch.int64)
    tally.add(torch.tensor([[0.2, math.nan, 0.9], [0.1, 0.3, math.nan]]), labels, groups)
    assert (tally.rows, tally.broken.tolist()) == (3, [1, 1])
    assert tally.fine.sum((1, 2)).tolist() == [2, 2]
    assert tally.ends == pytest.approx(np.array([[0.2, 0.9], [0.1, 0.3]]))
    with pytest.raises(ValueError, match=r"^3 probabilities lie outside"):
        tally.add(torch.tensor([[-0.1, 1.1, 0.5], [0.5, 2.0, 0.5]]), labels, groups)


def test_groups_without_a_label_per_row_are_refused() -> None:
    with pytest.raises(ValueError, match="one label and group per row"):
        Tally.empty(1, 1).add(torch.tensor([[0.5, 0.5]]), torch.tensor([0, 1]), torch.tensor([0]))
