from __future__ import annotations

import torch

from experts.networks.adam import LaneAdam, clip_lanes


def test_lanes_equal_torch_adam_with_clipping_one_by_one() -> None:
    g = torch.Generator().manual_seed(0)
    start, rates, decays = (
        torch.randn(3, 7, generator=g),
        torch.tensor([0.1, 0.01, 0.001]),
        torch.tensor([0.0, 0.1, 1.0]),
    )
    gradients = torch.randn(20, 3, 7, generator=g) * 2
    lanes = LaneAdam(start.clone(), rates, decays)
    for gradient in gradients:
        lanes.step(clip_lanes(gradient.clone(), 1.0))
    for k in range(3):
        own = start[k].clone().requires_grad_()
        adam = torch.optim.Adam([own], lr=float(rates[k]), weight_decay=float(decays[k]))
        for gradient in gradients:
            own.grad = gradient[k].clone()
            torch.nn.utils.clip_grad_norm_([own], 1.0)
            adam.step()
        torch.testing.assert_close(lanes.theta[k], own.detach(), rtol=1e-5, atol=1e-6)


def test_selected_lanes_go_on_as_if_alone() -> None:
    g = torch.Generator().manual_seed(1)
    start, rates, gradients = (
        torch.randn(4, 5, generator=g),
        torch.rand(4, generator=g),
        torch.randn(6, 4, 5, generator=g),
    )
    all_lanes, some = (LaneAdam(start.clone(), rates, torch.zeros(4)) for _ in range(2))
    for step, gradient in enumerate(gradients):
        all_lanes.step(gradient.clone())
        if step == 3:
            some.select(torch.tensor([2, 0]))
        some.step(gradient.clone() if step < 3 else gradient[[2, 0]].clone())
    torch.testing.assert_close(some.theta, all_lanes.theta[[2, 0]])
