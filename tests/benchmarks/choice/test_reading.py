"""What is read of a cell to choose from."""

from __future__ import annotations

import torch

from benchmarks.cells.seen import Seen
from benchmarks.choice.reading import telling_bag

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
