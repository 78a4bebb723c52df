from __future__ import annotations

import pytest
import torch

from experts.proxies import cramers_v, group_association, proxy_gains
from tests.experts.conftest import build_view


def test_association_of_copies_and_of_strangers() -> None:
    first = torch.arange(400) % 2
    assert float(cramers_v(first, first)) == pytest.approx(1.0)
    assert float(cramers_v(first, torch.arange(400) // 2 % 2)) == 0.0
    assert float(cramers_v(first, first * 0)) == 0.0
    # a table by hand: 60/40 and 40/60 of 200; V² = .04, less 1/199, over (2 - 1/199 - 1)
    second = torch.cat([torch.tensor([0] * 60 + [1] * 40), torch.tensor([0] * 40 + [1] * 60)])
    found = cramers_v(torch.arange(200) // 100, second)
    assert float(found) == pytest.approx(((0.04 - 1 / 199) / (1 - 1 / 199)) ** 0.5)


def test_many_classes_that_tell_nothing_have_about_none() -> None:
    g = torch.Generator().manual_seed(0)
    found = cramers_v(torch.randint(50, (500,), generator=g), torch.randint(2, (500,), generator=g))
    assert float(found) < 0.2  # uncorrected: about .33


def test_columns_of_a_task_on_training_rows() -> None:
    view = build_view(1200)
    found = dict(zip((column.name for column in view.columns), group_association(view).tolist(), strict=True))
    assert found["s"] == 1.0 and 0.2 < found["x0"] < 0.6
    assert max(found[name] for name in ("c", "x1", "x2", "x3")) < 0.15
    hidden = view.features.clone()
    hidden[view.split.test] = 9.0
    assert torch.equal(group_association(view), group_association(view.with_features(hidden)))


def test_gains_shrink_with_the_association_and_end_at_the_limit() -> None:
    view = build_view(1200)
    found, gains = group_association(view), proxy_gains(view, 0.9, 2.0)
    assert gains[0] == 0
    torch.testing.assert_close(gains[1:], torch.exp(-2 * found[1:]))
    assert proxy_gains(view, 0.15, 2.0)[2] == 0 and proxy_gains(view, 1.0, 0.0)[0] == 0
