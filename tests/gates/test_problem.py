from __future__ import annotations

import pytest
import torch

from foundation.seeding import torch_generator
from gates.lanes import _batches
from gates.problem import EXPLAINED_ROWS, ExpertOutputs, explained_rows
from tests.asked import shares, sorted_by_class


def test_candidates_are_explained_on_every_cell_of_the_validation_rows() -> None:
    view = sorted_by_class(16_000)
    rows = view.split.validation
    view.labels[rows[-2800:]] = 0  # class 1 is left in few rows, of both groups
    logits, attributions = torch.zeros(len(rows), 2), torch.zeros(len(rows), 2, 3)
    outputs = ExpertOutputs.of(view, rows, logits, attributions, "validation")
    few = explained_rows(outputs, 0)
    assert few is not None and len(few.labels) == EXPLAINED_ROWS
    cells = [torch.bincount(2 * part.labels + part.groups, minlength=4) for part in (few, outputs)]
    assert bool(((cells[0] > 0) == (cells[1] > 0)).all())
    assert (cells[0] / EXPLAINED_ROWS).tolist() == pytest.approx(shares(view, rows), abs=2 / EXPLAINED_ROWS)


@pytest.mark.parametrize("batch", [512, 2000])
def test_the_first_rows_of_a_batch_are_a_sample_of_all(batch: int) -> None:
    view = sorted_by_class(4000)
    rows = view.split.train
    strata = 2 * view.labels[rows] + view.groups[rows]
    for order in _batches(strata, batch, 20, torch_generator(0, "test")):
        assert len(order.unique()) == min(batch, len(rows))
        assert shares(view, rows[order[:128]]) == pytest.approx(shares(view, rows), abs=2 / 128)
