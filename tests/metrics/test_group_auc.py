import math

import pytest
import torch

from metrics.auc import auc
from metrics.group_auc import GroupAUC


def made(n: int, groups: int, seed: int):
    generator = torch.Generator().manual_seed(seed)
    group = torch.randint(groups, (n,), generator=generator)
    margins = torch.randn(n, generator=generator, dtype=torch.float64) + 0.5 * group
    labels = (torch.rand(n, generator=generator) < torch.sigmoid(margins)).to(torch.int64)
    return margins, labels, group


@pytest.mark.parametrize("groups", [1, 2, 4])
def test_is_the_area_of_the_moved_scores(groups):
    margins, labels, group = made(900, groups, groups)
    cuts = torch.randn(40, groups, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    cuts[0] = 0
    expected = auc(torch.sigmoid(margins - cuts[:, group]), labels)
    found = GroupAUC.of(margins, labels, group, groups).of_cuts(cuts)
    assert torch.allclose(found, expected, atol=5e-4)  # margins are known to a 4,000th of their range


def test_ties_count_half():
    margins, labels = torch.zeros(6, dtype=torch.float64), torch.tensor([0, 1, 0, 1, 0, 1])
    groups = torch.tensor([0, 0, 0, 1, 1, 1])
    found = GroupAUC.of(margins, labels, groups, 2).of_cuts(torch.zeros(1, 2, dtype=torch.float64))
    assert float(found) == 0.5


def test_a_group_far_above_another_wins_all_pairs_with_it():
    margins, labels, groups = (
        torch.zeros(4, dtype=torch.float64),
        torch.tensor([1, 0, 1, 0]),
        torch.tensor([0, 0, 1, 1]),
    )
    margins[0] = 1.0
    apart = torch.tensor([[-50.0, 50.0], [50.0, -50.0]], dtype=torch.float64)
    # pairs: (0, 1) is won; (2, 3) is a tie; (0, 3) and (2, 1) follow the groups, one each way
    assert GroupAUC.of(margins, labels, groups, 2).of_cuts(apart).tolist() == [2.5 / 4] * 2


def test_expected_labels_weigh_pairs():
    margins = torch.tensor([2.0, 1.0], dtype=torch.float64)
    found = GroupAUC.of(margins, torch.tensor([0.75, 0.5]), torch.zeros(2, dtype=torch.int64), 1)
    # positive × negative: first over second .75 × .5 won, second over first lost, each with itself tied
    area = (0.375 + 0.5 * (0.1875 + 0.25)) / (1.25 * 0.75)
    assert float(found.of_cuts(torch.zeros(1, 1, dtype=torch.float64))) == pytest.approx(area)


def test_one_class_has_none():
    margins, _, group = made(20, 2, 0)
    found = GroupAUC.of(margins, torch.ones(20), group, 2).of_cuts(torch.zeros(3, 2, dtype=torch.float64))
    assert all(math.isnan(value) for value in found.tolist())
