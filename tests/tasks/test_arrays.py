import numpy as np
import pytest
import torch

from tasks.arrays import frame_of, view_of_arrays
from tasks.card import DataError

N = 40


def arrays(seed=0):
    generator = np.random.Generator(np.random.PCG64(seed))
    x = generator.normal(3.0, 2.0, size=(N, 3))
    return x, np.arange(N) % 2, np.arange(N) // 2 % 3, np.arange(0, 30), np.arange(30, N)


def test_features_are_standardised_on_training_rows_only():
    x, *rest = arrays()
    view = view_of_arrays(x, *rest)
    train = view.features[view.split.train]
    torch.testing.assert_close(train.mean(0), torch.zeros(3), atol=1e-6, rtol=0)
    torch.testing.assert_close(train.std(0, correction=0), torch.ones(3))
    far = x.copy()
    far[35] = 100.0
    torch.testing.assert_close(view_of_arrays(far, *rest).features[:30], train)


def test_the_encoder_gives_the_features_of_new_rows():
    x, *rest = arrays()
    view = view_of_arrays(x, *rest)
    assert torch.equal(view.encoder.encode(frame_of(x)), view.features)


def test_zero_means_unknown():
    x, *rest = arrays()
    x[:, 1] = 7.0
    x[4, 0] = np.nan
    view = view_of_arrays(x, *rest)
    assert (view.features[:, 1] == 0).all()
    assert view.features[4, 0] == 0
    assert torch.isfinite(view.features).all()


def test_every_column_is_one_feature_and_has_a_name():
    view = view_of_arrays(*arrays(), group_names=("a", "b", "c"), feature_names=("u", "v", "w"))
    assert view.feature_names == ("u", "v", "w")
    assert view.column_of_feature.tolist() == [0, 1, 2]
    assert view.group_names == ("a", "b", "c")
    assert view.flip is None
    assert len(view.split.test) == 0


@pytest.mark.parametrize("part", [0, 1, 2, 3])
def test_the_hash_changes_with_every_array(part):
    first = list(arrays())
    other = list(arrays())
    other[part] = other[part].copy()
    other[part][3] += 1
    assert view_of_arrays(*first).hash == view_of_arrays(*arrays()).hash
    if part == 1:
        other[part][3] = 1 - first[part][3]
    assert view_of_arrays(*first).hash != view_of_arrays(*other).hash


def test_numbers_that_no_feature_can_hold_are_refused():
    x, *rest = arrays()
    x[3, 1] = 1e200
    with pytest.raises(DataError, match=r"beyond 3.4e\+38, such as .*1e\+200.*nan"):
        view_of_arrays(x, *rest)
