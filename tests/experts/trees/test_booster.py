from __future__ import annotations

from pathlib import Path

import pytest
import torch

from experts.soft_gap import soft_gap
from experts.trees.booster import fit_fair_trees, fit_trees, read_trees
from experts.trees.fair_loss import FairLoss

SETTINGS = {"learning_rate": 0.2, "num_leaves": 6, "min_data_in_leaf": 5}


def rows(n: int = 300, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    g = torch.Generator().manual_seed(seed)
    features = torch.randn(n, 4, generator=g)
    groups = (features[:, 0] > 0).long()
    labels = (features[:, 0] + features[:, 1] * features[:, 2] + torch.randn(n, generator=g) > 0).long()
    return features, labels, groups


def test_reasons_of_a_stump_are_its_leaves_above_their_mean() -> None:
    """One split on the only feature that matters: three quarters of the rows left, one quarter right."""
    features = torch.zeros(400, 2)
    features[:100, 1] = 1.0
    labels = torch.cat([torch.ones(100), torch.zeros(300)]).long()
    model = fit_trees(features, labels, {"num_leaves": 2, "min_data_in_leaf": 5}, 0, rounds=1)
    left, right = model.margins(torch.tensor([[0.0, 0.0], [0.0, 1.0]])).double()
    mean = 0.75 * left + 0.25 * right
    found = model.contributions(torch.tensor([[0.0, 0.0], [9.0, 1.0]]))
    expected = torch.stack([torch.stack([mean * 0, left - mean]), torch.stack([mean * 0, right - mean])])
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)


def test_reasons_sum_to_the_margin_above_one_number() -> None:
    features, labels, _ = rows()
    model = fit_trees(features, labels, SETTINGS, 0, rounds=20)
    above = model.margins(features).double() - model.contributions(features).sum(1)
    assert float(above.std()) < 1e-5
    assert model.contributions(features[:0]).shape == (0, 4)


def test_text_keeps_trees_and_offset(tmp_path: Path) -> None:
    features, labels, groups = rows()
    loss = FairLoss.of(labels, groups, 2, 0.5)
    model = fit_fair_trees(features, loss, SETTINGS, 0, validation=(features, loss), rounds=10)
    model.write(tmp_path)
    again = read_trees(tmp_path / "trees.txt", model.offset)
    assert model.offset == pytest.approx(float(torch.logit(labels.double().mean())))
    assert torch.equal(again.margins(features), model.margins(features))
    assert again.parameter_count == model.parameter_count > 0


def test_without_gaps_the_objective_is_the_log_loss() -> None:
    (features, labels, groups), (others, theirs, them) = rows(), rows(seed=1)
    plain = fit_trees(features, labels, SETTINGS, 0, validation=(others, theirs))
    losses = FairLoss.of(labels, groups, 2, 0.0), FairLoss.of(theirs, them, 2, 0.0)
    fair = fit_fair_trees(features, losses[0], SETTINGS, 0, validation=(others, losses[1]))
    assert fair.booster.num_trees() == plain.booster.num_trees()
    torch.testing.assert_close(fair.margins(others), plain.margins(others), atol=1e-4, rtol=1e-3)


def test_the_objective_closes_the_gap_and_the_same_seed_gives_the_same_trees() -> None:
    features, labels, groups = rows()
    loss = [FairLoss.of(labels, groups, 2, strength) for strength in (0.0, 1.0)]
    models = [fit_fair_trees(features, each, SETTINGS, 7, validation=(features, each), rounds=40) for each in loss]
    gaps = [soft_gap(model.margins(features).double().numpy(), loss[0].rates)[0] for model in models]
    assert gaps[1] < gaps[0] / 2
    again = fit_fair_trees(features, loss[1], SETTINGS, 7, validation=(features, loss[1]), rounds=40)
    assert torch.equal(again.margins(features), models[1].margins(features))
