"""Bagged trees: out-of-fold margins are out of fold, and choose; a row is answered by the model that never saw it."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from sklearn.metrics import log_loss

from benchmarks.methods.baselines import lightgbm_bag, reweighed_bag
from benchmarks.methods.baselines._bagged import BaggedMethod, configurations
from experts.bagging import Bag, bag_folds, bag_rows
from experts.reweighing import reweighing_weights
from experts.trees.booster import fit_trees
from experts.trees.fitting import tree_space
from foundation.seeding import derive_seed
from tasks.load import load_task

SCM = load_task("scm", rows=800)
VIEW = SCM.view()
ROWS = bag_rows(VIEW)
SEED = 5


@pytest.fixture(scope="module")
def method() -> BaggedMethod:
    return lightgbm_bag.fit(VIEW, {}, SEED)


def test_its_bag_is_there_for_thresholds(method: BaggedMethod) -> None:
    assert isinstance(method.bag, Bag)
    assert method.bag.oof.shape == ROWS.shape and len(method.bag.expert.experts) == 5


def test_out_of_fold_margins_are_by_a_model_of_the_other_folds(method: BaggedMethod) -> None:
    """A model fitted here on the rows of the other folds alone gives them."""
    fold, best = bag_folds(VIEW, 5, derive_seed(SEED, "folds")), method.settings["best_trial"]
    held_out = fold == 2
    seen, unseen = ROWS[~held_out], ROWS[held_out]
    model = fit_trees(
        VIEW.features[seen], VIEW.labels[seen], configurations(SEED)[best], derive_seed(SEED, "fit", best),
        validation=(VIEW.features[unseen], VIEW.labels[unseen]),
    )  # fmt: skip
    assert torch.equal(method.bag.oof[held_out], model.margins(VIEW.features[unseen]))


def test_rows_of_the_bag_get_their_out_of_fold_margin_and_others_the_mean(method: BaggedMethod) -> None:
    mixed = torch.cat((VIEW.split.test[:7], ROWS.flip(0), VIEW.split.test[7:20]))
    said = method.logits(VIEW, mixed)
    assert torch.equal(said[7 : 7 + len(ROWS)].flip(0), method.bag.oof)
    rest = torch.cat((VIEW.split.test[:7], VIEW.split.test[7:20]))
    mean = torch.stack([e.logits(VIEW, rest) for e in method.bag.expert.experts]).mean(0)
    torch.testing.assert_close(torch.cat((said[:7], said[7 + len(ROWS) :])), mean)
    assert method.logits(VIEW, ROWS[:0]).shape == (0,)


def test_rows_of_another_task_get_the_mean(method: BaggedMethod) -> None:
    assert torch.equal(method.logits(VIEW, ROWS), method.bag.oof)  # what it said of its own rows is no answer here
    other = dataclasses.replace(VIEW, hash="another")
    assert torch.equal(method.logits(other, ROWS), method.bag.expert.logits(VIEW, ROWS))


def test_the_lowest_out_of_fold_log_loss_is_chosen(method: BaggedMethod) -> None:
    losses, best = method.settings["log_loss"], method.settings["best_trial"]
    assert len(losses) == 10 and best == int(np.argmin(losses))
    chance = torch.sigmoid(method.bag.oof.double()).numpy()
    assert losses[best] == pytest.approx(log_loss(VIEW.labels[ROWS].numpy(), chance))


def test_reweighed_rows_choose_by_their_weights(method: BaggedMethod) -> None:
    reweighed = reweighed_bag.fit(VIEW, {}, SEED)
    weights = reweighing_weights(VIEW.labels[ROWS], VIEW.groups[ROWS]).numpy()
    chance = torch.sigmoid(reweighed.bag.oof.double()).numpy()
    weighted = log_loss(VIEW.labels[ROWS].numpy(), chance, sample_weight=weights)
    assert min(reweighed.settings["log_loss"]) == pytest.approx(weighted)
    assert not torch.equal(reweighed.bag.oof, method.bag.oof)


def test_configurations_follow_the_seed_and_stay_in_the_space() -> None:
    drawn = configurations(1)
    assert drawn == configurations(1) != configurations(2)
    space = tree_space()
    assert all(space[key].low <= value <= space[key].high for point in drawn for key, value in point.items())
