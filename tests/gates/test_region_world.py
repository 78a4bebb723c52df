"""The planted world of experts: what is planted is there."""

from __future__ import annotations

import pytest
import torch

from tests.gates.region_world import region_world


@pytest.mark.parametrize("regions", [True, False])
def test_labels_are_drawn_from_the_planted_mixture(regions: bool) -> None:
    world = region_world(40_000, 3, regions=regions)
    probability = (world.weights * torch.sigmoid(world.margins)).sum(1)
    assert torch.allclose(world.weights.sum(1), torch.ones(40_000))
    for low in (0.0, 0.2, 0.4, 0.6, 0.8):  # calibrated: 5 standard errors of a share
        inside = (probability >= low) & (probability < low + 0.2)
        error = 0.5 / int(inside.sum()) ** 0.5
        assert abs(float(world.labels[inside].float().mean() - probability[inside].mean())) < 5 * error


def test_regions_are_equally_probable_intervals_of_the_first_feature() -> None:
    world = region_world(30_000, 0, experts=4)
    share = world.weights.mean(0)
    assert share.tolist() == pytest.approx([0.25] * 4, abs=0.02)
    order = world.features[:, 0].argsort()
    assert bool((world.weights[order].argmax(1).diff() >= 0).all())


def test_without_regions_weights_are_the_same_for_all_rows() -> None:
    world = region_world(50, 1, regions=False)
    assert torch.equal(world.weights, world.weights[:1].expand(50, -1)) and world.weights.min() > 0


def test_the_seed_decides() -> None:
    first, again, other = (region_world(50, seed) for seed in (0, 0, 1))
    assert torch.equal(first.margins, again.margins) and torch.equal(first.labels, again.labels)
    assert not torch.equal(first.margins, other.margins)
