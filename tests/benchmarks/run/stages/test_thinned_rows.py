"""What a choice looks at is a sample of the validation rows, whatever their order."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import pytest
import torch
from torch import Tensor

from benchmarks.plan.job import plan
from benchmarks.run.stages.tabular import EXPLAINED_ROWS, TabularSystem
from benchmarks.run.stages.text_mixtures import halves
from benchmarks.run.telling.ledger import Ledger
from tests.asked import Asked, shares, sorted_by_class
from tests.benchmarks.conftest import tiny_suite


def test_gates_are_explained_on_a_sample_of_the_validation_rows(tmp_path: Path) -> None:
    view, expert = sorted_by_class(16_000), Asked()
    job = next(iter(plan(tiny_suite(), {"scm": "0"})))
    unused = cast(Any, None)
    system = TabularSystem(job, view, unused, unused, 0, Ledger(tmp_path / "timing.json"))
    assert 0 <= system.end_to_end(expert) <= 3
    (rows,) = expert.asked
    assert len(rows) == EXPLAINED_ROWS
    assert shares(view, rows) == pytest.approx(shares(view, view.split.validation), abs=2 / EXPLAINED_ROWS)


def test_both_halves_of_the_validation_rows_are_samples_of_them() -> None:
    view = sorted_by_class(801)
    rows = view.split.validation
    found: tuple[Tensor, Tensor] = halves(view, 3)
    assert torch.equal(torch.cat(found).sort().values, rows)
    for half in found:
        assert shares(view, half) == pytest.approx(shares(view, rows), abs=2 / len(half))
