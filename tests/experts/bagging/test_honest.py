"""A bag answers its own rows by the model that has not seen them."""

from __future__ import annotations

import dataclasses

import torch

from experts.bagging import HonestBag, bag_fit, bag_folds, bag_rows, fold_view
from tests.experts.bagging.test_bags import Remembers
from tests.experts.conftest import build_view

VIEW = build_view(80)
FOLD = bag_folds(VIEW, 4, 0)


def honest() -> HonestBag:
    bag = bag_fit(VIEW, lambda v: Remembers(v.split.train, v.split.validation), FOLD, "m/utility/0", "m", "utility", 0)
    return HonestBag.of(VIEW, bag, FOLD)


def test_rows_of_the_bag_are_answered_by_the_model_that_held_them_out() -> None:
    bag, rows = honest(), bag_rows(VIEW)
    assert (bag.logits(VIEW, rows) == 2).all()  # no model that was fitted on the row has a say
    assert torch.equal(bag.logits(VIEW, rows), bag.bag.oof)
    shuffled = torch.cat((VIEW.split.test, rows))[torch.randperm(80, generator=torch.Generator().manual_seed(1))]
    known = torch.isin(shuffled, rows)
    for _ in range(2):  # the second time from memory
        assert torch.equal(bag.logits(VIEW, shuffled), torch.where(known, 2.0, 0.0))
    assert torch.equal(bag.attributions(VIEW, shuffled)[:, 0], torch.where(known, 2.0, 0.0))
    assert len(bag.logits(VIEW, rows[:0])) == 0


def test_all_others_get_the_mean() -> None:
    bag = honest()
    elsewhere = dataclasses.replace(VIEW, hash="another task")
    rows = bag_rows(VIEW)
    expected = bag.bag.expert.logits(elsewhere, rows)
    assert torch.equal(bag.logits(elsewhere, rows), expected) and not (expected == 2).all()
    assert fold_view(VIEW, FOLD, 0).hash == VIEW.hash


def test_what_is_remembered_cannot_be_changed_from_outside() -> None:
    bag, rows = honest(), VIEW.split.test
    bag.logits(VIEW, rows)[:] = 7
    assert (bag.logits(VIEW, rows) == 0).all()
