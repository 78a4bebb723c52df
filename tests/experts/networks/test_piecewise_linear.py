from __future__ import annotations

import itertools

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st

from experts.networks.piecewise_linear import TAILS, PiecewiseLinear, bin_edges
from tests.experts.conftest import build_view


def test_a_number_fills_its_bins_from_the_left_measured_from_unknown() -> None:
    """Edges -1, 0, 2, 4; unknown is 0, in the first bin's end: nothing of the second."""
    encoding = PiecewiseLinear(((-1.0, 0.0, 2.0, 4.0), ()))
    found = encoding.encode(torch.tensor([[0.0, 7.0], [1.0, 0.0], [3.0, 1.0], [-0.25, 0.0], [-9.0, 0.0], [9.0, 0.0]]))
    expected = [[0, 0, 0, 7], [0, 0.5, 0, 0], [0, 1, 0.5, 1], [-0.25, 0, 0, 0], [-1, 0, 0, 0], [0, 1, 1, 0]]
    torch.testing.assert_close(found, torch.tensor(expected, dtype=torch.float32))
    assert encoding.owner.tolist() == [0, 0, 0, 1] and encoding.names(["a", "b"]) == ("a[0]", "a[1]", "a[2]", "b")


def test_columns_own_their_encoded_features_and_unknown_stays_zero() -> None:
    view = build_view(300)
    encoding = PiecewiseLinear.fit(view)
    encoded = encoding.view(view)
    assert encoded.features.shape[1] == len(encoded.feature_names) == sum(len(c.features) for c in encoded.columns)
    assert torch.equal(encoded.column_of_feature, view.column_of_feature[encoding.owner])
    hidden = view.features.clone()
    hidden[:, list(view.columns[3].features)] = 0
    again = encoding.encode(hidden)
    assert bool((again[:, list(encoded.columns[3].features)] == 0).all())
    others = [f for c in encoded.columns[:3] for f in c.features]
    assert torch.equal(again[:, others], encoded.features[:, others])
    kept = list(encoded.columns[1].features)
    assert torch.equal(encoded.features[:, kept], view.features[:, list(view.columns[1].features)])


def test_only_training_rows_set_the_bins() -> None:
    view = build_view(300)
    changed = view.features.clone()
    changed[view.split.test] *= 9
    assert PiecewiseLinear.fit(view) == PiecewiseLinear.fit(view.with_features(changed))


def test_many_numbers_get_few_bins_each() -> None:
    view = build_view(300, numeric=60)
    assert len(PiecewiseLinear.fit(view).owner) <= 60 * (2 + 2 * len(TAILS)) + 10


def test_a_value_that_most_rows_share_leaves_bins_for_the_others() -> None:
    values = np.concatenate([np.zeros(900), np.linspace(1, 2, 100)])
    edges = bin_edges(values, 10)
    assert edges[0] == 0 and edges[-1] == 2 and sum(edge > 1 for edge in edges) >= 3
    assert bin_edges(np.full(10, 3.0), 10) == () and bin_edges(np.array([0.0, 1.0, 1.0]), 10) == (0.0, 1.0)


@given(st.lists(st.floats(-5, 5, width=32), min_size=2, max_size=60), st.integers(2, 12))
def test_edges_rise_between_the_extremes(values: list[float], bins: int) -> None:
    edges = bin_edges(np.array(values), bins)
    assert all(a < b for a, b in itertools.pairwise(edges))
    assert len(edges) <= bins + 1 + 2 * len(TAILS)
    if edges:
        assert edges[-1] == max(values) and edges[0] >= min(values)
