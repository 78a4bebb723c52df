"""Rows are thinned at random, every cell of label × group in proportion; never the first ones."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from foundation.seeding import torch_generator
from tasks.load import load_task
from tasks.thinning import thinned, thinned_rows


def cells_of(labels: Tensor, groups: Tensor) -> list[int]:
    return torch.bincount(2 * groups + labels, minlength=4).tolist()


def rows_of(counts: list[int]) -> tuple[Tensor, Tensor]:
    """Labels and groups of rows sorted by cell: the first rows are all of one cell."""
    cell = torch.repeat_interleave(torch.arange(len(counts)), torch.tensor(counts))
    return cell % 2, cell // 2


def drawn(counts: list[int], size: int, seed: int = 0) -> tuple[list[int], Tensor]:
    labels, groups = rows_of(counts)
    kept = thinned(labels, groups, size, torch_generator(seed, "test"))
    return cells_of(labels[kept], groups[kept]), kept


@pytest.mark.parametrize(
    ("counts", "size", "expected"),
    [
        ([500, 300, 150, 50], 100, [50, 30, 15, 5]),
        ([970, 20, 9, 1], 100, [96, 2, 1, 1]),  # the cell of one row stays
        ([50, 30, 15, 5], 200, [50, 30, 15, 5]),
        ([50, 30, 15, 5], 4, [1, 1, 1, 1]),
        ([5, 30, 15, 50], 2, [0, 1, 0, 1]),  # fewer seats than cells: the largest
        ([0, 40, 0, 60], 10, [0, 4, 0, 6]),
    ],
)
def test_cells_keep_their_shares(counts: list[int], size: int, expected: list[int]) -> None:
    assert drawn(counts, size)[0] == expected


def test_rows_are_distinct_in_order_and_drawn_by_the_seed() -> None:
    first, again, other = (drawn([500, 300, 150, 50], 100, seed)[1] for seed in (0, 0, 1))
    assert torch.equal(first, again) and not torch.equal(first, other)
    assert torch.equal(first, first.unique())
    assert first[0] != 0 or first[1] != 1  # not the first ones of a cell


def test_every_row_of_a_cell_is_as_likely_as_the_others() -> None:
    times = torch.zeros(100)
    for seed in range(2000):
        times[drawn([40, 60, 0, 0], 10, seed)[1]] += 1
    # 2,000 draws with probability 1/10: 200 ± 6 standard deviations of 13.4
    assert bool(((times > 120) & (times < 280)).all())


def test_a_smaller_sample_is_part_of_a_larger_one() -> None:
    small, large = (drawn([500, 300, 150, 50], size)[1] for size in (64, 128))
    assert bool(torch.isin(small, large).all())


@pytest.mark.data
@pytest.mark.parametrize("name", ["bail", "credit"])
def test_thinned_rows_of_a_published_split_hold_both_classes(name: str) -> None:
    view = load_task(name, protocol="nifty", with_edges=False).view()
    rows = view.split.validation
    assert view.labels[rows[:1024]].unique().tolist() == [0]  # why the first ones are no sample
    kept = thinned_rows(view, rows, 1024, 0, "test")
    assert len(kept) == 1024 and bool(torch.isin(kept, rows).all())
    share = [torch.bincount(2 * view.groups[r] + view.labels[r]) / len(r) for r in (rows, kept)]
    assert float((share[0] - share[1]).abs().max()) < 1e-3
