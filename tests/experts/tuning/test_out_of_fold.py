import dataclasses

import numpy as np
import pytest
import torch

from experts.networks.lanes import margins
from experts.networks.trainer import Budget, LaneConfig, train_lanes
from experts.tuning.folds import fold_of_rows
from experts.tuning.out_of_fold import Recipe, fixed_steps, out_of_fold_logits
from tasks.arrays import view_of_arrays

BUDGET = Budget(steps=60, eval_every=20, patience=3, warm_up=10, hidden=4, rungs=(0.5,))
RECIPES = [
    Recipe("utility", LaneConfig(0.02, 1e-5, {}, 11), 30),
    Recipe("result", LaneConfig(0.02, 1e-5, {"lambda_rep": 0.1, "lambda_fair": 1.0}, 12), 40),
]


def make_view(n=120, seed=0, noise=0.5):
    generator = np.random.Generator(np.random.PCG64(seed))
    groups = generator.integers(0, 2, n)
    x = generator.normal(size=(n, 3)) + groups[:, None] * 0.3
    y = (x[:, 0] + noise * generator.normal(size=n) > 0).astype(np.int64)
    rows = np.arange(n)
    return view_of_arrays(x, y, groups, rows[rows % 4 != 3], rows[rows % 4 == 3])


@pytest.fixture(scope="module")
def view():
    return make_view()


def test_folds_partition_and_are_stratified(view):
    fold = fold_of_rows(view, 5, seed=1)
    train = view.split.train
    assert torch.bincount(fold).max() - torch.bincount(fold).min() <= 1
    for label in (0, 1):
        for group in (0, 1):
            cell = (view.labels[train] == label) & (view.groups[train] == group)
            sizes = torch.bincount(fold[cell], minlength=5)
            assert sizes.max() - sizes.min() <= 1


def test_folds_change_with_the_seed_only(view):
    assert torch.equal(fold_of_rows(view, 5, seed=1), fold_of_rows(view, 5, seed=1))
    assert not torch.equal(fold_of_rows(view, 5, seed=1), fold_of_rows(view, 5, seed=2))


def test_too_many_folds_are_refused(view):
    with pytest.raises(ValueError, match="2 to 90"):
        fold_of_rows(view, 91, seed=0)


def test_shape_and_determinism(view):
    first = out_of_fold_logits(view, RECIPES, budget=BUDGET, seed=3)
    assert first.shape == (90, 2)
    assert torch.isfinite(first).all()
    assert torch.equal(first, out_of_fold_logits(view, RECIPES, budget=BUDGET, seed=3))
    assert not torch.equal(first, out_of_fold_logits(view, RECIPES, budget=BUDGET, seed=4))


@pytest.mark.parametrize("position", [0, 7, 50])
def test_a_rows_own_label_does_not_reach_its_logit(view, position):
    fold = fold_of_rows(view, 3, seed=1)
    budget = dataclasses.replace(BUDGET, dropout=0.0)  # the order of rows, hence the noise, is stratified by label
    labels = view.labels.clone()
    row = view.split.train[position]
    labels[row] = 1 - labels[row]
    flipped = dataclasses.replace(view, labels=labels)
    before = out_of_fold_logits(view, RECIPES, budget=budget, seed=3, assignment=fold)
    after = out_of_fold_logits(flipped, RECIPES, budget=budget, seed=3, assignment=fold)
    own_fold = fold == fold[position]
    torch.testing.assert_close(after[own_fold], before[own_fold], atol=1e-5, rtol=0)
    assert (after[~own_fold] - before[~own_fold]).abs().max() > 1e-4


def test_held_out_logits_are_less_sure_than_those_of_memorised_rows():
    view = make_view(n=60, noise=8.0)  # labels are noise: whatever is learned from them is memory
    recipe = Recipe("utility", LaneConfig(0.03, 1e-6, {}, 5), 600)
    budget = dataclasses.replace(BUDGET, hidden=32, dropout=0.0)
    held_out = out_of_fold_logits(view, [recipe], budget=budget, seed=1)[:, 0]
    result = train_lanes(view, "utility", [recipe.lane], fixed_steps(budget, 600), seed=1)
    train = view.split.train
    own = margins(result.parameters, view.features[train])[0]
    labels = view.labels[train] * 2 - 1
    assert (own * labels > 0).float().mean() > (held_out * labels > 0).float().mean() + 0.15


def test_lanes_train_for_the_chosen_number_of_steps():
    budget = fixed_steps(BUDGET, 37)
    assert (budget.steps, budget.eval_every, budget.rungs) == (37, 37, ())
