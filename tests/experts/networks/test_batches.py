from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from experts.networks import batches
from experts.networks.batches import TrainingRows, stratified_order
from tasks.task import HIDDEN, TaskView


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(1, 60), min_size=1, max_size=5), st.integers(0, 1000))
def test_every_prefix_holds_the_strata_in_proportion(sizes: list[int], seed: int) -> None:
    strata = torch.repeat_interleave(torch.arange(len(sizes)), torch.tensor(sizes))
    order = stratified_order(strata, torch.Generator().manual_seed(seed))
    n = len(strata)
    assert torch.equal(order.sort().values, torch.arange(n))
    for stratum, size in enumerate(sizes):
        held = (strata[order] == stratum).cumsum(0)
        expected = torch.arange(1, n + 1) * size / n
        assert float((held - expected).abs().max()) <= 1 + len(sizes)


def test_small_data_is_one_batch_of_all_training_rows(make_view: Callable[..., TaskView]) -> None:
    view = make_view(400)
    rows = TrainingRows(view, 32, None, seed=0)
    batch = rows.next()
    assert rows.full
    assert batch is rows.next()
    assert len(batch) == len(view.split.train)
    assert torch.equal(batch.rows[:, -1], torch.ones(len(batch)))


def test_batches_of_large_data_see_every_row_once_per_pass(
    make_view: Callable[..., TaskView], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batches, "FULL_BATCH_ROWS", 10)
    view = make_view(400)
    rows = TrainingRows(view, 50, torch.arange(400.0).view(2, 200), seed=0)
    seen = [rows.next() for _ in range(4)]
    assert {len(batch) for batch in seen} == {50}
    features = torch.cat([batch.rows[:, :-1] for batch in seen])
    assert torch.equal(features.sum(1).sort().values, view.features[view.split.train].sum(1).sort().values)
    weights = torch.cat([batch.weights for batch in seen if batch.weights is not None], 1)
    assert torch.equal(weights[0].sort().values, torch.arange(200.0))
    share = float(view.labels[view.split.train].float().mean())
    assert all(abs(float(batch.labels.float().mean()) - share) < 0.08 for batch in seen)


def test_the_same_seed_gives_the_same_batches(
    make_view: Callable[..., TaskView], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batches, "FULL_BATCH_ROWS", 10)
    one, two, other = (TrainingRows(make_view(400), 50, None, seed) for seed in (3, 3, 4))
    pairs = [(one.next().rows, two.next().rows, other.next().rows) for _ in range(6)]
    assert all(torch.equal(a, b) for a, b, _ in pairs)
    assert not any(torch.equal(a, c) for a, _, c in pairs)


def test_group_means_and_known_rates(make_view: Callable[..., TaskView]) -> None:
    view = make_view(300, n_groups=3)
    view.labels[view.groups == 2] = 0
    view.labels[view.split.test] = HIDDEN
    batch = TrainingRows(view, 32, None, seed=0).next()
    for group in range(3):
        torch.testing.assert_close(batch.group_means[group], batch.rows[batch.groups == group].mean(0))
    assert batch.known_rates.tolist() == [True, True, True, True, True, False]


def test_row_weights_weigh_group_means(make_view: Callable[..., TaskView]) -> None:
    view = make_view(300)
    weights = torch.rand(2, 150, generator=torch.Generator().manual_seed(0))
    batch = TrainingRows(view, 32, weights, seed=0).next()
    assert batch.weights is not None and batch.relative_weights is not None
    members = batch.groups == 1
    w = batch.weights[1, members]
    torch.testing.assert_close(batch.group_means[1, 1], (w[:, None] * batch.rows[members]).sum(0) / w.sum())
    torch.testing.assert_close(batch.relative_weights.sum(1), torch.ones(2))


def test_hidden_training_labels_and_wrong_weights_are_refused(make_view: Callable[..., TaskView]) -> None:
    view = make_view(100)
    with pytest.raises(ValueError, match="row_weights has shape"):
        TrainingRows(view, 32, torch.ones(2, 7), seed=0)
    view.labels[view.split.train[0]] = HIDDEN
    with pytest.raises(ValueError, match="without a label"):
        TrainingRows(view, 32, None, seed=0)
