from __future__ import annotations

import pytest
import torch
from captum.attr import FeatureAblation
from torch import Tensor

from metrics.explainers.occlusion import occlusion_columns

WEIGHTS = torch.tensor([2.0, -1.0, 0.5], dtype=torch.float64)


def linear(x: Tensor):
    return lambda picked, keep: (x[picked] * keep) @ WEIGHTS


def test_a_linear_margin_gives_each_column_its_term() -> None:
    x = torch.randn(7, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    torch.testing.assert_close(occlusion_columns(linear(x), 7, 3), x * WEIGHTS)


def test_known_answer_with_an_interaction() -> None:
    """margin = a + bc: unknown b or c loses all of bc."""
    x = torch.tensor([[1.0, 2.0, 3.0]])

    def margin(picked: Tensor, keep: Tensor) -> Tensor:
        a, b, c = (x[picked] * keep).T
        return a + b * c

    assert occlusion_columns(margin, 1, 3).tolist() == [[1.0, 6.0, 6.0]]


def test_agrees_with_captum() -> None:
    g = torch.Generator().manual_seed(1)
    first, second = torch.randn(5, 16, generator=g), torch.randn(16, generator=g)
    x = torch.randn(9, 5, generator=g)

    def network(values: Tensor) -> Tensor:
        return torch.tanh(values @ first) @ second

    expected = FeatureAblation(network).attribute(x, baselines=0.0)
    found = occlusion_columns(lambda picked, keep: network(x[picked] * keep), 9, 5)
    torch.testing.assert_close(found, expected.double(), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("call", [1, 3, 5, 1000])
def test_calls_of_any_size_say_the_same(call: int) -> None:
    x, sizes = torch.randn(7, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64), []

    def margin(picked: Tensor, keep: Tensor) -> Tensor:
        sizes.append(len(picked))
        return linear(x)(picked, keep)

    torch.testing.assert_close(occlusion_columns(margin, 7, 3, call=call), occlusion_columns(linear(x), 7, 3))
    assert max(sizes) <= call and sum(sizes) == 7 * 4


def test_there_must_be_something_to_explain() -> None:
    with pytest.raises(ValueError, match="each must be at least 1"):
        occlusion_columns(linear(torch.zeros(0, 3)), 0, 3)
