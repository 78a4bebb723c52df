from __future__ import annotations

import torch
from torch import Tensor, nn

from experts.networks.lanes import (
    DropoutMasks,
    LaneParameters,
    Workspace,
    dropout_backward,
    dropout_forward,
    margins,
    row_chunks,
    with_ones,
)


def module_of(parameters: LaneParameters, lane: int) -> nn.Sequential:
    net = nn.Sequential(
        nn.Linear(parameters.n_features, parameters.hidden), nn.LeakyReLU(0.01), nn.Linear(parameters.hidden, 1)
    )
    first, second, offset = (part[lane] for part in parameters.split())
    values = (first[:, :-1], first[:, -1], second[None], offset)
    with torch.no_grad():
        for own, value in zip(net.parameters(), values, strict=True):
            own.copy_(value)
    return net


def rows(n: int, d: int, seed: int = 0) -> Tensor:
    return torch.randn(n, d, generator=torch.Generator().manual_seed(seed))


def test_margins_equal_a_module_per_lane() -> None:
    parameters, x = LaneParameters.initial(5, 4, [1, 2, 3]), rows(30, 5)
    expected = torch.stack([module_of(parameters, lane)(x).squeeze(1) for lane in range(3)])
    torch.testing.assert_close(margins(parameters, x), expected)


def test_initial_weights_depend_on_the_lanes_own_seed() -> None:
    together, alone = LaneParameters.initial(5, 4, [7, 8]), LaneParameters.initial(5, 4, [8])
    assert torch.equal(together.theta[1], alone.theta[0])
    assert not torch.equal(together.theta[0], together.theta[1])
    first, second, _ = together.split()
    assert float(first[..., :-1].abs().max()) <= 5**-0.5
    assert float(second.abs().max()) <= 4**-0.5


def test_dropout_margins_and_their_gradients_equal_automatic_differentiation() -> None:
    x, mask = with_ones(rows(40, 6)), DropoutMasks(5, 40, 0.3, seed=1).next(40)
    upstream = torch.randn(3, 40, generator=torch.Generator().manual_seed(2))
    parameters, workspace = LaneParameters.initial(6, 5, range(3)), Workspace()
    for _ in range(2):  # the second pass finds used buffers
        by_hand, slopes = dropout_forward(parameters.split(), x, mask, workspace)
        gradient = torch.empty_like(parameters.theta)
        dropout_backward(upstream, slopes, parameters.split(), x, gradient)
    parameters.theta.requires_grad_()
    first, second, offset = parameters.split()
    z = torch.einsum("kh,khn->kn", second, nn.functional.leaky_relu(first @ x.T, 0.01) * mask) + offset
    (expected,) = torch.autograd.grad((z * upstream).sum(), parameters.theta)
    torch.testing.assert_close(by_hand, z.detach())
    torch.testing.assert_close(gradient, expected, rtol=1e-5, atol=1e-5)


def test_dropout_masks_keep_the_expectation_and_follow_the_seed() -> None:
    masks = DropoutMasks(8, 500, 0.3, seed=4)
    one, two = masks.next(500), masks.next(500)
    assert set(one.flatten().tolist()) == {0.0, torch.tensor(1 / 0.7).item()}
    assert abs(float(torch.stack([masks.next(500) for _ in range(20)]).mean()) - 1) < 0.02
    assert not torch.equal(one, two)
    assert torch.equal(DropoutMasks(8, 500, 0.3, seed=4).next(500), one)
    assert not torch.equal(DropoutMasks(8, 500, 0.3, seed=5).next(500), one)
    assert bool((DropoutMasks(8, 500, 0.0, seed=4).next(123) == 1).all())


def test_row_chunks_cover_all_rows_once() -> None:
    chunks = row_chunks(100_000, 64)
    assert len(chunks) > 1
    assert torch.equal(torch.cat([torch.arange(100_000)[c] for c in chunks]), torch.arange(100_000))
    assert row_chunks(0, 5) == []
