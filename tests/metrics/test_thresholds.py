import itertools
import math

import numpy as np
import pytest
import torch

from metrics import threshold_pool, thresholds
from metrics.points import DEGENERATE_SHARE, point_values, rarer_share
from metrics.thresholds import fit_thresholds

METRICS = ("utility@1", "fair_res@1")


def made(n=400, groups=2, shift=0.8, seed=0, digits=None):
    """Scores whose level differs between groups."""
    rng = np.random.default_rng(seed)
    group = rng.integers(groups, size=n)
    signal = rng.normal(size=n) + shift * group
    label = (signal + rng.normal(size=n) > 0.5).astype(np.int64)
    score = 1 / (1 + np.exp(-(1.5 * signal - 0.6)))
    score = score if digits is None else score.round(digits)
    return torch.tensor(score, dtype=torch.float32), torch.tensor(label), torch.tensor(group)


def values(probability, labels, groups, n_groups):
    found = point_values(probability[None], labels, groups, n_groups, metrics=METRICS)
    return tuple(float(found[m]) for m in METRICS)


def test_hand_worked_case():
    # group 0 scores .9 .6 .4 .1, group 1 the same but 0.2 lower; labels 1 1 0 0 in both: one cut per group is perfect
    probability = torch.tensor([0.9, 0.6, 0.4, 0.1, 0.7, 0.4, 0.2, 0.05]).repeat(5)
    labels, groups = torch.tensor([1, 1, 0, 0] * 2 * 5), torch.tensor(([0] * 4 + [1] * 4) * 5)
    found = fit_thresholds(probability, labels, groups, 2, [0.0, 1.0])
    for one in found:
        moved = one.apply(probability, groups)
        assert (moved > 0.5).tolist() == [True, True, False, False] * 2 * 5
        assert one.disparity == 0
    # at 0.5 the second group has half of its positives: the gap is (0.25 + 0.5) / 2
    assert values(probability, labels, groups, 2)[1] == pytest.approx(0.375)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("groups", [2, 3])
def test_the_result_keeps_the_limit_and_a_wider_limit_is_never_worse(seed, groups):
    probability, labels, group = made(groups=groups, seed=seed)
    limits = [0.01, 0.02, 0.05, 0.1, 1.0]
    found = fit_thresholds(probability, labels, group, groups, limits)
    reached = []
    for one, limit in zip(found, limits, strict=True):
        assert one is not None
        moved = one.apply(probability, group)
        worth, gap = values(moved, labels, group, groups)
        assert gap <= limit and gap == pytest.approx(one.disparity)
        assert float(rarer_share(moved[None])) >= DEGENERATE_SHARE
        reached.append(worth)
    assert reached == sorted(reached)
    assert reached[-1] >= values(probability, labels, group, groups)[0]  # the model's own cut is in the pool


def every_cut(probability):
    """Places between neighbouring margins (near the lower, half-way, near the upper: AUC depends on it), and beyond."""
    margins = torch.unique(torch.logit(probability.double()))
    edges = torch.cat((margins[:1] - 2, margins, margins[-1:] + 2))
    return torch.cat([edges[:-1] + share * edges.diff() for share in (0.02, 0.5, 0.98)])


def brute_force(probability, labels, groups, limits):
    """Best utility over every pair of cuts, by definition."""
    cuts = [every_cut(probability[groups == g]) for g in (0, 1)]
    margins = torch.logit(probability.double())
    moved = torch.sigmoid(margins - torch.cartesian_prod(*cuts)[:, groups])
    found = point_values(moved, labels, groups, 2, metrics=METRICS)
    able = rarer_share(moved) >= DEGENERATE_SHARE
    return [
        float(torch.where(able & (found["fair_res@1"] <= limit), found["utility@1"], -torch.inf).max())
        for limit in limits
    ]


@pytest.mark.parametrize("seed", range(6))
def test_near_the_best_of_all_cuts_on_tiny_data(seed):
    probability, labels, groups = (part.repeat(10) for part in made(n=40, seed=seed))  # so that every group counts
    limits = [0.05, 0.1, 0.3, 1.0]
    found = fit_thresholds(probability, labels, groups, 2, limits)
    best = brute_force(probability, labels, groups, limits)
    reached = [values(one.apply(probability, groups), labels, groups, 2)[0] for one in found]
    assert all(own <= top + 0.002 for own, top in zip(reached, best, strict=True))
    assert np.mean(np.subtract(best, reached)) < 0.03


def test_ties_are_never_cut_apart():
    probability, labels, groups = made(digits=1, seed=3)
    for one in fit_thresholds(probability, labels, groups, 2, [0.02, 0.05, 0.2]):
        answers = one.apply(probability, groups) > 0.5
        for group, score in itertools.product((0, 1), torch.unique(probability)):
            assert len(torch.unique(answers[(groups == group) & (probability == score)])) <= 1


def test_order_within_a_group_is_kept_and_cuts_of_zero_change_nothing():
    probability, labels, groups = made(seed=5)
    one = fit_thresholds(probability, labels, groups, 2, [0.02])[0]
    moved = one.apply(probability, groups)
    for group in (0, 1):
        own = groups == group
        assert torch.equal(moved[own].argsort(stable=True), probability[own].argsort(stable=True))
    same = thresholds.Thresholds(torch.zeros(2, dtype=torch.float64), 0.0).apply(probability, groups)
    assert torch.allclose(same.float(), probability, atol=1e-6)
    assert torch.equal(same > 0.5, probability > 0.5)


def test_certain_probabilities_stay_finite_and_in_range():
    probability = torch.tensor([0.0, 1.0, 0.0, 1.0, 0.5, 0.5] * 10)
    labels, groups = torch.tensor([0, 1] * 30), torch.tensor([0, 0, 1, 1, 0, 1] * 10)
    for one in fit_thresholds(probability, labels, groups, 2, [0.05, 1.0]):
        moved = one.apply(probability, groups)
        assert bool(((moved >= 0) & (moved <= 1)).all())


def test_not_estimable_is_none_never_zero():
    probability, labels, groups = made()
    everyone = torch.zeros_like(groups)
    assert fit_thresholds(probability, labels, everyone, 2, [0.05, 1.0]) == [None, None]  # one group: no gap
    few = groups.clone()
    few[torch.nonzero((groups == 1) & (labels == 1)).flatten()] = 0
    assert fit_thresholds(probability, labels, few, 2, [1.0]) == [None]  # group 1 has no positives: no opportunity gap
    assert fit_thresholds(probability, torch.ones_like(labels), groups, 2, [1.0]) == [None]  # one class: no AUC
    assert fit_thresholds(probability * math.nan, labels, groups, 2, [1.0]) == [None]
    assert fit_thresholds(torch.full_like(probability, 0.3), labels, groups, 2, [1.0]) == [
        None
    ]  # nothing but constants


def test_a_group_that_does_not_count_follows_the_common_threshold():
    probability, labels, groups = made(groups=2, seed=2)
    found = fit_thresholds(probability, labels, groups, 3, [0.05])[0]  # no row of group 2 among those that choose
    assert found is not None and math.isfinite(float(found.cuts[2]))
    groups = groups.clone()
    groups[torch.nonzero(labels == 0).flatten()[:6]] = 2  # six negatives: too few for a gap
    found = fit_thresholds(probability, labels, groups, 3, [0.05])[0]
    assert values(found.apply(probability, groups), labels, groups, 3)[1] <= 0.05


def test_beside_fairlearns_threshold_optimizer():
    """It binds one half of our gap; at the gap that it reaches ours must not be much less accurate."""
    from fairlearn.postprocessing import ThresholdOptimizer
    from sklearn.base import BaseEstimator, ClassifierMixin

    class Given(ClassifierMixin, BaseEstimator):
        classes_ = np.array([0, 1])

        def fit(self, X, y):
            return self

        def __sklearn_is_fitted__(self):
            return True

        def predict_proba(self, X):
            return np.stack([1 - X[:, 0], X[:, 0]], 1)

    probability, labels, groups = made(n=1000, seed=7)
    theirs = ThresholdOptimizer(
        estimator=Given(), constraints="demographic_parity", objective="accuracy_score", prefit=True,
        predict_method="predict_proba", grid_size=100,
    )  # fmt: skip
    X = probability.double().numpy()[:, None]
    theirs.fit(X, labels.numpy(), sensitive_features=groups.numpy())
    answer = torch.tensor(theirs._pmf_predict(X, sensitive_features=groups.numpy())[:, 1])
    rates = [float(answer[groups == g].mean()) for g in (0, 1)]
    tpr = [float(answer[(groups == g) & (labels == 1)].mean()) for g in (0, 1)]
    gap = (abs(rates[0] - rates[1]) + abs(tpr[0] - tpr[1])) / 2
    accuracy = float(torch.where(labels == 1, answer, 1 - answer).mean())
    ours = fit_thresholds(probability, labels, groups, 2, [gap + 0.005])[0].apply(probability, groups)
    assert float(((ours > 0.5) == (labels == 1)).double().mean()) > accuracy - 0.03


def test_a_single_probability_that_is_no_number_leaves_nothing_to_choose():
    probability, labels, groups = made(n=60)
    probability[7] = math.nan
    assert fit_thresholds(probability, labels, groups, 2, [0.05, 1.0]) == [None, None]


def test_a_limit_that_is_met_exactly_is_kept():
    probability = torch.tensor([0.9, 0.6, 0.4, 0.1, 0.7, 0.4, 0.2, 0.05])
    labels, groups = torch.tensor([1, 1, 0, 0] * 2), torch.tensor([0] * 4 + [1] * 4)
    probability, labels, groups = probability.repeat(10), labels.repeat(10), groups.repeat(10)  # enough in every group
    (loose,) = fit_thresholds(probability, labels, groups, 2, [0.375])
    for limit in (loose.disparity, math.nan):
        (found,) = fit_thresholds(probability, labels, groups, 2, [limit])
        assert (found is None) is math.isnan(limit)
        assert found is None or found.disparity == loose.disparity


def test_what_selecting_the_first_rows_of_a_ranking_means():
    ranking = threshold_pool.Ranking.of(torch.tensor([1.0, 2.0, 1.0, -1.0]), torch.tensor([0, 1, 1, 1]))
    assert (ranking.ends.tolist(), ranking.hits.tolist()) == ([0, 1, 3, 4], [0, 1, 1, 2, 3])  # a tie is not cut
    assert ranking.nearest(torch.arange(5)).tolist() == [0, 1, 3, 3, 4]
    assert ranking.nearest(torch.tensor([9])).tolist() == [4]
    assert ranking.cut(torch.tensor([0, 1, 3, 4])).tolist() == [3.0, 1.5, 0.0, -2.0]  # beyond the last row by 1
    assert ranking.above(torch.tensor([5.0, 2.0, 1.0, 0.0, -5.0])).tolist() == [0, 0, 1, 3, 4]
    share = torch.tensor([0, 1 / 3, 0.5, 2 / 3, 1.0], dtype=torch.float64)
    assert ranking.reaching(share).tolist() == [0, 1, 3, 3, 4]


def test_mixtures_of_the_three_corners_are_a_grid_that_begins_with_the_first():
    grid = threshold_pool._triangle(4)
    assert grid.shape == (15, 3) and grid[0].tolist() == [1, 0, 0]
    assert len(torch.unique(grid, dim=0)) == 15 and bool((grid >= 0).all())
    assert torch.equal(grid.sum(1), torch.ones(15, dtype=torch.float64))
    assert {1.0} == set(grid.amax(0).tolist())


def test_common_thresholds_lie_at_evenly_spaced_selection_rates_beside_the_models_own():
    margins = torch.linspace(-3, 3, 360, dtype=torch.float64)
    ranking = threshold_pool.Ranking.of(margins, torch.arange(360) % 2)
    cuts = threshold_pool._common_cuts(ranking, 36)
    assert float(cuts[0]) == 0 and len(cuts) == 37
    assert ranking.above(cuts[1:]).tolist() == [5 + 10 * k for k in range(36)]
