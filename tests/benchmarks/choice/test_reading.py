"""What is read of a cell to choose from."""

from __future__ import annotations

from pathlib import Path

import torch

from benchmarks.cells.seen import Seen
from benchmarks.choice.reading import find_cells, telling_bag

FOLD = torch.arange(12) % 3


def seen(oof: torch.Tensor | None) -> Seen:
    """A cell with a bag."""
    return Seen(torch.full((4,), 0.5), oof=oof, fold=FOLD)


def test_a_bag_of_constants_says_nothing_of_rows() -> None:
    # each model on folds has a base rate of its own: these differ by fold, never by row
    assert telling_bag(seen(torch.tensor([0.1, -0.1, 0.2])[FOLD])) is None


def test_other_bags_are_taken_as_they_are() -> None:
    margins = torch.arange(12) / 12
    assert telling_bag(seen(margins)) is margins
    assert telling_bag(seen(None)) is None


def test_every_bag_of_a_run_says_which_fold_a_row_was_held_out_in(finished: tuple[Path, object]) -> None:
    cells = find_cells(finished[0], "scm")
    bags = {method: cells.open(cells.splits[0], method).seen() for method in cells.methods}
    bags = {method: one for method, one in bags.items() if one.oof is not None}
    assert {"constant", "lightgbm", "mixture", "utility"} <= bags.keys()
    for one in bags.values():
        assert one.oof is not None and one.fold is not None and len(one.fold) == len(one.oof)
    assert telling_bag(bags["constant"]) is None
    assert all(telling_bag(one) is not None for method, one in bags.items() if method != "constant")
