"""Texts of trees that LightGBM must not see: it would end the process, or read memory that is not the trees'."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch

from experts.trees.booster import fit_trees
from experts.trees.text import Tree, check_text, checked_booster, trees_of


def text(rounds: int = 5, leaves: int = 6) -> str:
    random = np.random.default_rng(0)
    features = torch.from_numpy(random.normal(size=(200, 3))).float()
    labels = (features[:, 0] + torch.from_numpy(random.normal(size=200)) > 0).long()
    settings = {"num_leaves": leaves, "learning_rate": 0.1, "min_data_in_leaf": 5}
    return str(fit_trees(features, labels, settings, 0, rounds=rounds).booster.model_to_string())


def test_whole_texts_are_read_as_lightgbm_reads_them() -> None:
    for kept in (text(), text(1, 2)):
        assert checked_booster(kept).model_to_string() == kept


@pytest.mark.parametrize("share", [0.0, 0.05, 0.3, 0.6, 0.8])
def test_cut_texts(share: float) -> None:
    whole = text()
    with pytest.raises(ValueError, match="is cut"):
        check_text(whole[: int(share * len(whole))])


def put(old: str, new: str) -> Callable[[str], str]:
    def changed(whole: str) -> str:
        start = whole.index(old) + len(old)
        first = whole[start:].split()[0]
        assert len(new) == len(first), (first, new)  # sizes of trees stay
        return whole[:start] + new + whole[start + len(first) :]

    return changed


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (put("left_child=", "0"), "lead out of it, or back"),
        (put("right_child=", "9"), "lead out of it, or back"),
        (put("split_feature=", "7"), "a feature that there is not"),
        (put("decision_type=", "1"), "a split by categories"),
        (put("num_cat=", "1"), "numeric splits"),
        (put("num_leaves=", "9"), "as much as its 9 leaves need"),
    ],
)
def test_trees_that_are_none(change: Callable[[str], str], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        check_text(change(text()))


def leaf_of(tree: Tree, row: np.ndarray) -> float:
    node = 0
    while tree.splits[node]:
        left = row[tree.features[node]] <= tree.thresholds[node]
        node = tree.left[node] if left else tree.right[node]
    return tree.values[node]


def test_trees_as_lists_say_what_the_booster_says() -> None:
    whole = text()
    rows = np.random.default_rng(1).normal(size=(50, 3))
    found = [sum(leaf_of(tree, row) for tree in trees_of(whole)) for row in rows]
    assert np.allclose(found, checked_booster(whole).predict(rows, raw_score=True), rtol=0, atol=1e-12)
    (alone,) = trees_of(str(fit_trees(torch.zeros(9, 1), torch.tensor([0, 1, 1] * 3), {}, 0).booster.model_to_string()))
    assert (alone.splits, alone.nodes) == ([False], 1) and alone.values[0] == pytest.approx(np.log(2))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"boosting": "rf", "bagging_freq": 1, "bagging_fraction": 0.5}, "averaged"),
        ({"zero_as_missing": True}, "treats 0 as missing"),
    ],
)
def test_trees_that_are_not_added_or_know_missing_zeros(settings: dict[str, object], message: str) -> None:
    features = torch.arange(200.0)[:, None] % 7
    labels = (features[:, 0] > 3).long()
    kept = fit_trees(features, labels, {"min_data_in_leaf": 5, **settings}, 0, rounds=3)
    with pytest.raises(ValueError, match=message):
        trees_of(kept.booster.model_to_string())
