"""What an adapter adds to a matrix as a product of two: exact, of as low a rank as it has, or none."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from llm_experts.adapters.composition.low_rank import low_rank
from llm_experts.adapters.delta import Delta


def test_a_gain_on_a_bias_is_no_product() -> None:
    module = nn.Linear(3, 2)
    assert low_rank(Delta(gain=torch.tensor([0.5, 0.0])), module) is None
    cancelled = Delta(gain=torch.tensor([0.5, 0.0]), offset=-torch.tensor([0.5, 0.0]) * module.bias.detach())
    found = low_rank(cancelled, module)
    assert found is not None
    a, b = found
    assert len(a) == 1
    torch.testing.assert_close(b @ a, torch.diag(torch.tensor([0.5, 0.0])) @ module.weight.detach())


@pytest.mark.parametrize("shape", [(3, 5), (5, 3)])
def test_a_change_of_many_terms_has_at_most_the_rank_of_the_matrix(shape: tuple[int, int]) -> None:
    out, width = shape
    module = nn.Linear(width, out, bias=False)
    weight, generator = module.weight.detach(), torch.Generator().manual_seed(0)
    gain, into = (torch.randn(size, generator=generator) for size in shape)
    a, b = torch.randn(4, width, generator=generator), torch.randn(out, 4, generator=generator)
    found = low_rank(Delta(a=a, b=b, scaling=0.5, gain=gain, input_gain=into), module)
    assert found is not None
    assert len(found[0]) == 3
    torch.testing.assert_close(found[1] @ found[0], 0.5 * b @ a + gain[:, None] * weight + weight * into)
