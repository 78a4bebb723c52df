from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import torch

from tests.views import make_view

if TYPE_CHECKING:
    from collections.abc import Callable

    from tasks.task import TaskView

__all__ = ["make_view"]


@pytest.fixture
def view(make_view: Callable[..., TaskView]) -> TaskView:
    """400 rows of five features, the second of which goes with group and label."""
    g = torch.Generator().manual_seed(0)
    features = torch.randn(400, 5, generator=g)
    groups = (features[:, 1] + torch.randn(400, generator=g) > 0).long()
    labels = (features[:, 0] + 0.5 * features[:, 1] + 0.3 * torch.randn(400, generator=g) > 0).long()
    return make_view(features, labels, groups)
