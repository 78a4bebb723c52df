"""Products with frozen weights through oneDNN: also of lanes, and not where second derivatives are asked for."""

import pytest
import torch
from torch import Tensor
from torch.nn.functional import linear

from llm_experts.decoder import products

pytestmark = pytest.mark.skipif(not products._agrees(), reason="this build of torch has no oneDNN")


def both(x: Tensor, own: Tensor, frozen: Tensor) -> Tensor:
    return linear(linear(x, frozen), own)


def test_lanes_are_rows_of_one_product(monkeypatch: pytest.MonkeyPatch) -> None:
    generator = torch.Generator().manual_seed(0)
    frozen = torch.randn(48, 64, generator=generator)
    x, own = torch.randn(3, 20, 64, generator=generator), torch.randn(3, 8, 48, generator=generator)
    x.requires_grad_(), own.requires_grad_()
    sizes: list[torch.Size] = []
    product = products._product
    monkeypatch.setattr(products, "_product", lambda a, b: (sizes.append(a.shape), product(a, b))[1])
    expected = torch.vmap(both, in_dims=(0, 0, None))(x, own, frozen)
    with products._FrozenProducts():
        found = torch.vmap(both, in_dims=(0, 0, None))(x, own, frozen)
        gradients = torch.autograd.grad(found.square().sum(), (x, own))
    assert sizes == [(3, 20, 64), (3, 20, 48)]  # one product forward, one backward, those of lanes' own weights not
    assert torch.allclose(found, expected, rtol=1e-4, atol=1e-3)
    for one, two in zip(gradients, torch.autograd.grad(expected.square().sum(), (x, own)), strict=True):
        assert torch.allclose(one, two, rtol=1e-3, atol=1e-1)


def test_other_transformations_keep_the_library_s_products() -> None:
    frozen, x = torch.randn(48, 64), torch.randn(20, 64)

    def total(point: Tensor) -> Tensor:
        return linear(point, frozen).pow(3).sum()

    expected = torch.func.grad(lambda point: torch.func.grad(total)(point).sum())(x)
    with products._FrozenProducts():
        found = torch.func.grad(lambda point: torch.func.grad(total)(point).sum())(x)
    assert torch.equal(found, expected)


def test_lanes_have_second_derivatives() -> None:
    frozen, x = torch.randn(48, 64), torch.randn(2, 20, 64, requires_grad=True)

    def twice() -> Tensor:
        found = torch.vmap(lambda rows: linear(rows, frozen))(x).pow(3).sum()
        (slope,) = torch.autograd.grad(found, x, create_graph=True)
        return torch.autograd.grad(slope.square().sum(), x)[0]

    expected = twice()
    with products._FrozenProducts():
        found = twice()
    assert torch.allclose(found, expected, rtol=1e-3, atol=1e-4 * float(expected.abs().max()))
