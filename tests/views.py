from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import pandas as pd
import pytest
import torch
from torch import Tensor

from tasks.columns import Column
from tasks.task import Split, TaskView

MakeView = Callable[..., TaskView]


def view_of(features: Tensor, labels: Tensor, groups: Tensor, *, sensitive: int | None = None) -> TaskView:
    """A view of arrays, one numeric column per feature, rows split 2:1:1 in order."""
    n, d = features.shape
    cut = (n // 2, 3 * n // 4)
    parts = torch.arange(n).tensor_split(cut)
    names = tuple(f"x{i}" for i in range(d))
    columns = tuple(Column(name, "numeric", (i,), name, "", i == sensitive) for i, name in enumerate(names))
    count = int(groups.max()) + 1
    return TaskView(
        "arrays", features, labels, groups, tuple(f"g{k}" for k in range(count)), Split("test", 0, *parts), names,
        columns, torch.arange(n), None, cast(Any, None), cast(Any, None), pd.DataFrame(index=range(n)), "keep", None,
        "0",
    )  # fmt: skip


@pytest.fixture
def make_view() -> MakeView:
    return view_of
