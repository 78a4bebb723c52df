"""Baselines of other packages: their rules keep their limits on the rows that chose them, and are the package's."""

from __future__ import annotations

import dataclasses
import importlib

import numpy as np
import pytest
import torch

from benchmarks.methods.baselines import catboost, error_parity, fairret_mlp, oxonfair
from benchmarks.methods.baselines._package import package
from benchmarks.methods.baselines._scored import SETTINGS, Scored, scored
from benchmarks.methods.baselines.error_parity import GroupLotteries, Lottery, group_lotteries
from benchmarks.methods.baselines.fairret_mlp import Penalty, penalty
from benchmarks.methods.baselines.oxonfair import GroupCuts, group_offsets
from benchmarks.methods.user_code import EstimatorError
from experts.trees.booster import fit_trees
from experts.tuning.folds import fold_of_rows
from metrics.points import point_values
from tasks.load import load_task

SCM = load_task("scm", rows=1200)
VIEW = SCM.view()
TRAIN, VALIDATION, TEST = VIEW.split.train, VIEW.split.validation, VIEW.split.test
KNOWN = scored(VIEW)
OXON = {"constraint": "demographic_parity", "limit": 0.02, "objective": "accuracy"}
RELAXED = {"constraint": "equalized_odds", "tolerance": 0.05, "false_neg_cost": 1.0}


def rate(decided: np.ndarray, of: np.ndarray) -> float:
    return float(np.asarray(decided, dtype=float)[of].mean())


# One plain model


def test_scores_are_by_models_that_have_not_seen_the_row() -> None:
    assert fold_of_rows(VIEW, 3, 0).unique().tolist() == [0, 1, 2]
    unseen = fold_of_rows(VIEW, 3, 0) == 1
    watched = VIEW.features[VALIDATION], VIEW.labels[VALIDATION]
    rest = TRAIN[~unseen]
    model = fit_trees(VIEW.features[rest], VIEW.labels[rest], SETTINGS, 0, validation=watched)
    chance = torch.sigmoid(model.margins(VIEW.features[TRAIN[unseen]]).double()).numpy()
    assert (chance == KNOWN.chance[unseen.numpy()]).all()


def test_the_plain_model_is_fitted_once_for_a_view_and_anew_for_another() -> None:
    view = SCM.view()
    assert scored(view) is scored(view)
    other = dataclasses.replace(view, labels=torch.where(view.labels >= 0, 1 - view.labels, view.labels))
    assert not np.array_equal(scored(other).chance, scored(view).chance)


# OxonFair


@pytest.mark.parametrize("constraint", ["demographic_parity", "equal_opportunity", "equalized_odds"])
@pytest.mark.parametrize("limit", [0.005, 0.05])
def test_offsets_keep_the_limit_on_the_rows_that_chose_them(constraint: str, limit: float) -> None:
    offsets = group_offsets(KNOWN, OXON | {"constraint": constraint, "limit": limit})
    decided = KNOWN.chance + offsets[KNOWN.groups] > 1 - KNOWN.chance
    parts = {"demographic_parity": [slice(None)], "equal_opportunity": [1], "equalized_odds": [0, 1]}[constraint]
    for part in parts:
        of = np.ones(len(decided), bool) if isinstance(part, slice) else KNOWN.labels == part
        assert abs(rate(decided, of & (KNOWN.groups == 0)) - rate(decided, of & (KNOWN.groups == 1))) <= limit + 1e-9


def test_offsets_are_those_of_the_packages_own_predictor() -> None:
    from oxonfair import FairPredictor
    from oxonfair.utils import group_metrics as metrics

    chance = np.column_stack((1 - KNOWN.chance, KNOWN.chance))
    data = {"data": chance, "target": KNOWN.labels, "groups": KNOWN.groups}
    fair = FairPredictor(None, data).fit(metrics.accuracy, metrics.pos_pred_rate.max_diff, OXON["limit"])
    np.testing.assert_allclose(group_offsets(KNOWN, OXON), fair.offset)


def test_a_cut_is_the_offset_in_margins() -> None:
    model = oxonfair.fit(VIEW, OXON, 0).model
    assert isinstance(model, GroupCuts)
    offsets = group_offsets(KNOWN, OXON)[VIEW.groups[TEST].numpy()]
    chance = torch.sigmoid(model.base.margins(VIEW.features[TEST]).double()).numpy()
    decided = model.margins(VIEW.features[TEST], VIEW.groups[TEST]).numpy() > 0
    assert (decided == (2 * chance - 1 > -offsets)).all()


def test_within_a_group_offsets_keep_the_order_of_the_plain_scores() -> None:
    expert, rows = oxonfair.fit(VIEW, OXON, 0), TEST[VIEW.groups[TEST] == 1]
    moved = expert.logits(VIEW, rows) - KNOWN.base.margins(VIEW.features[rows])
    torch.testing.assert_close(moved, moved[:1].expand(len(rows)), atol=1e-5, rtol=0)


def test_many_groups_do_not_need_gigabytes() -> None:
    groups = np.arange(len(KNOWN.groups)) % 8
    many = Scored(KNOWN.base, KNOWN.chance, KNOWN.labels, groups, torch.arange(8))
    assert group_offsets(many, OXON | {"limit": 0.2}).shape == (8,)


# Error parity


@pytest.mark.parametrize("tolerance", [0.01, 0.1])
def test_lotteries_keep_equalised_odds_on_the_rows_that_chose_them(tolerance: float) -> None:
    decided = chances(group_lotteries(KNOWN, RELAXED | {"tolerance": tolerance}))
    for label in (0, 1):
        rates = [rate(decided, (KNOWN.labels == label) & (KNOWN.groups == group)) for group in (0, 1)]
        assert abs(rates[0] - rates[1]) <= tolerance + 1e-6


def cost_of(lotteries: list[Lottery], false_neg_cost: float = 1.0) -> float:
    """Expected cost of errors a row."""
    chance = chances(lotteries)
    return float(np.where(KNOWN.labels == 1, false_neg_cost * (1 - chance), chance).mean())


def chances(lotteries: list[Lottery]) -> np.ndarray:
    chance = torch.from_numpy(KNOWN.chance)
    return np.where(KNOWN.groups == 0, *(lottery.chance(chance).numpy() for lottery in lotteries))


@pytest.mark.parametrize("constraint", error_parity.CONSTRAINTS)
def test_without_tolerance_the_optimum_is_that_of_fairlearn(constraint: str) -> None:
    from fairlearn.postprocessing import ThresholdOptimizer

    from benchmarks.methods.baselines._scores import Scores

    optimizer = ThresholdOptimizer(
        estimator=Scores(), constraints=constraint, objective="accuracy_score", grid_size=4000, prefit=True,
        predict_method="decision_function",
    )  # fmt: skip
    scores = KNOWN.chance[:, None]
    optimizer.fit(scores, KNOWN.labels, sensitive_features=KNOWN.groups)
    decided = optimizer._pmf_predict(scores, sensitive_features=KNOWN.groups)[:, 1]
    fairlearns = float(np.where(KNOWN.labels == 1, 1 - decided, decided).mean())
    found = group_lotteries(KNOWN, RELAXED | {"constraint": constraint, "tolerance": 0.0})
    assert cost_of(found) == pytest.approx(fairlearns, abs=1e-3)  # fairlearn looks at a grid


def test_no_pair_of_plain_thresholds_that_keeps_the_tolerance_costs_less() -> None:
    for tolerance, cost in ((0.02, 1.0), (0.1, 3.0)):
        params = {"constraint": "demographic_parity", "tolerance": tolerance, "false_neg_cost": cost}
        best = cost_of(group_lotteries(KNOWN, params), cost)
        cuts = np.quantile(KNOWN.chance, np.linspace(0, 1, 25))
        for first in cuts:
            for second in cuts:
                plain = [Lottery((float(cut),), (1.0,)) for cut in (first, second)]
                decided = chances(plain)
                if abs(rate(decided, KNOWN.groups == 0) - rate(decided, KNOWN.groups == 1)) <= tolerance:
                    assert best <= cost_of(plain, cost) + 1e-9


def test_a_wide_tolerance_gives_every_group_its_cheapest_threshold() -> None:
    found = group_lotteries(KNOWN, RELAXED | {"tolerance": 1.0})
    cheapest = 0.0
    for group, lottery in enumerate(found):
        members = KNOWN.groups == group
        assert len(lottery.shares) == 1
        cuts = [*np.unique(KNOWN.chance[members]), np.inf]
        errors = [((KNOWN.chance[members] >= cut) != KNOWN.labels[members]).sum() for cut in cuts]
        cheapest += min(errors) / len(KNOWN.labels)
    assert cost_of(found) == pytest.approx(cheapest)


def test_chances_of_a_lottery_by_hand() -> None:
    lottery = Lottery((0.2, 0.6, float("inf")), (0.5, 0.3, 0.2))
    chance = lottery.chance(torch.tensor([0.1, 0.2, 0.7], dtype=torch.float64))
    torch.testing.assert_close(chance, torch.tensor([0.0, 0.5, 0.8], dtype=torch.float64))


def test_a_group_of_one_class_has_no_roc_curve_and_is_named() -> None:
    labels = VIEW.labels.clone()
    labels[TRAIN[VIEW.groups[TRAIN] == 1]] = 0
    with pytest.raises(EstimatorError, match=f"group '{VIEW.group_names[1]}' are of class 0"):
        error_parity.fit(dataclasses.replace(VIEW, labels=labels), RELAXED, 0)


def test_groups_without_training_rows_get_the_plain_decision() -> None:
    split = dataclasses.replace(VIEW.split, train=TRAIN[VIEW.groups[TRAIN] == 1])
    view = dataclasses.replace(VIEW, split=split)
    rows = TEST[VIEW.groups[TEST] == 0]
    moved = error_parity.fit(view, RELAXED | {"constraint": "demographic_parity"}, 0)
    cut = oxonfair.fit(view, OXON, 0)
    assert isinstance(moved.model, GroupLotteries)
    plain = moved.model.base.margins(view.features[rows]) > 0
    assert torch.equal(moved.logits(view, rows) > 0, plain)
    assert torch.equal(cut.logits(view, rows) > 0, plain)


# CatBoost


def test_catboost_is_the_library_on_the_same_rows() -> None:
    from catboost import CatBoostClassifier

    params = {"learning_rate": 0.1, "depth": 4, "l2_leaf_reg": 3.0, "random_strength": 1.0}
    model = CatBoostClassifier(
        iterations=300, random_seed=7, early_stopping_rounds=20, boosting_type="Plain", verbose=False,
        allow_writing_files=False, **params,
    )  # fmt: skip
    watching = (VIEW.features[VALIDATION].numpy(), VIEW.labels[VALIDATION].numpy())
    model.fit(VIEW.features[TRAIN].numpy(), VIEW.labels[TRAIN].numpy(), eval_set=watching)
    chance = model.predict_proba(VIEW.features[TEST].numpy())[:, 1]
    ours = torch.sigmoid(catboost.fit(VIEW, params, 7).logits(VIEW, TEST).double())
    np.testing.assert_allclose(ours, chance, atol=1e-6)


# fairret


@pytest.mark.parametrize("statistic", ["positive_rate", "true_positive_rate"])
@pytest.mark.parametrize("kind", ["norm", "lse"])
def test_a_stronger_fairret_lowers_its_statistics_gap(statistic: str, kind: str) -> None:
    metric = {"positive_rate": "dp@1", "true_positive_rate": "eopp@1"}[statistic]
    gaps = []
    for strength in (1e-6, 3.0):
        params = {"statistic": statistic, "fairret": kind, "strength": strength, "learning_rate": 1e-2}
        margins = fairret_mlp.fit(VIEW, params, 0).logits(VIEW, TRAIN)
        values = point_values(torch.sigmoid(margins)[None], VIEW.labels[TRAIN], VIEW.groups[TRAIN], 2)
        gaps.append(float(values[metric][0]))
    assert gaps[0] > 0.05
    assert gaps[1] < gaps[0] / 2


def test_a_fairret_by_hand() -> None:
    # Groups of two rows with mean probabilities 0.5 and 0.75; all rows: 0.625. |0.8 - 1| + |1.2 - 1| = 0.4.
    margins = torch.logit(torch.tensor([0.4, 0.6, 0.7, 0.8]))
    members = torch.tensor([[1.0, 0], [1, 0], [0, 1], [0, 1]])
    params = {"statistic": "positive_rate", "fairret": "norm", "strength": 2.0}
    found = penalty(params)(margins, torch.tensor([0, 1, 0, 1]), members)
    assert float(found) == pytest.approx(0.8)


def test_rows_without_positives_have_no_rate_of_them() -> None:
    term = penalty({"statistic": "true_positive_rate", "fairret": "norm", "strength": 2.0})
    assert isinstance(term, Penalty)
    assert float(term(torch.zeros(4), torch.zeros(4, dtype=torch.int64), torch.eye(2).repeat(2, 1))) == 0


# Packages


def test_what_is_not_installed_is_named_with_the_group_that_has_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> None:
        raise ModuleNotFoundError(f"No module named {name!r}", name=name)

    monkeypatch.setattr(importlib, "import_module", missing)
    with pytest.raises(EstimatorError, match=r"'catboost' is not installed.*group 'baselines'"):
        package("catboost", "catboost")
    with pytest.raises(EstimatorError, match="pip install --group baselines"):
        catboost.fit(VIEW, {}, 0)
