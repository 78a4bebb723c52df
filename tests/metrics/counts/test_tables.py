"""Count tables and their resampling: same law as resampling rows, without rows."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.stats import ks_2samp

from metrics.counts.tables import count_table, paired_counts, permute_counts, resample_counts, resample_paired
from metrics.deviations import count_deviations
from metrics.points import count_values
from metrics.resample import interval, row_weights, shuffled_groups, weighted_sums


def _case(n: int = 600, n_groups: int = 3, lanes: int = 4) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    rng = np.random.default_rng(5)
    groups = rng.choice(n_groups, size=n, p=np.arange(1, n_groups + 1) / (n_groups * (n_groups + 1) / 2))
    labels = (rng.random(n) < 0.3 + 0.1 * groups).astype(np.int64)
    probability = np.clip(rng.random((lanes, n)) * 0.7 + 0.2 * labels + 0.05 * groups, 0, 1)
    return torch.from_numpy(probability), torch.from_numpy(labels), torch.from_numpy(groups)


def _gap_of_rows(p: np.ndarray, y: np.ndarray, s: np.ndarray) -> tuple[float, float]:
    """DP and equal opportunity gap, written out."""
    selection = [(p[s == g] > 0.5).mean() for g in range(3)]
    recall = [(p[(s == g) & (y == 1)] > 0.5).mean() for g in range(3)]
    return max(selection) - min(selection), max(recall) - min(recall)


def test_table_counts_cells() -> None:
    p, y, s = _case()
    table = count_table(p, y, s, 3)
    for k in range(4):
        for g in range(3):
            for label in (0, 1):
                for hard in (0, 1):
                    expected = ((s == g) & (y == label) & ((p[k] > 0.5) == bool(hard))).sum()
                    assert table[k, g, label, hard] == expected
    torch.testing.assert_close(count_table(p > 0.5, y, s, 3), table)


def test_tables_of_many_blocks_are_exact() -> None:
    generator = torch.Generator().manual_seed(0)
    n = 150_000
    p, y = torch.rand(2, n, generator=generator), torch.randint(0, 2, (n,), generator=generator)
    table = count_table(p, y, torch.zeros(n, dtype=torch.int64), 1)
    assert table.sum() == 2 * n
    assert table[1, 0, 1, 1] == ((p[1] > 0.5) & (y == 1)).sum()


def test_resampled_counts_follow_the_law_of_resampled_rows() -> None:
    p, y, s = _case()
    rng = np.random.default_rng(1)
    by_rows = np.array(
        [_gap_of_rows(p[0].numpy()[i], y.numpy()[i], s.numpy()[i]) for i in rng.integers(0, 600, (800, 600))]
    )
    tables = resample_counts(count_table(p, y, s, 3), 800, np.random.default_rng(2))
    assert bool((tables.sum((-3, -2, -1)) == 600).all())
    values = count_values(tables[0])
    assert ks_2samp(by_rows[:, 0], values["dp@1"].numpy()).pvalue > 0.01
    assert ks_2samp(by_rows[:, 1], values["eopp@1"].numpy()).pvalue > 0.01


def test_vectors_share_the_resampled_rows_per_group_and_label() -> None:
    p, y, s = _case()
    margin = resample_counts(count_table(p, y, s, 3), 50, np.random.default_rng(3)).sum(-1)
    assert bool((margin == margin[:1]).all())
    assert float(margin.std(1).sum()) > 0


def test_shuffled_counts_follow_the_law_of_shuffled_groups() -> None:
    p, y, s = _case()
    rng = np.random.default_rng(1)
    by_rows = np.array([_gap_of_rows(p[0].numpy(), y.numpy(), rng.permutation(s.numpy())) for _ in range(800)])
    table = count_table(p, y, s, 3)
    tables = permute_counts(table, 800, np.random.default_rng(2))
    sizes = table[0].sum((-2, -1))
    assert bool((tables.sum((-2, -1)) == sizes).all())  # group sizes stay
    assert bool((tables.sum(2) == table.sum(1)[:, None]).all())  # so do (label, prediction) pairs
    values = count_values(tables[0])
    assert ks_2samp(by_rows[:, 0], values["dp@1"].numpy()).pvalue > 0.01
    assert ks_2samp(by_rows[:, 1], values["eopp@1"].numpy()).pvalue > 0.01


def test_shuffled_groups_keep_sizes_and_reach_every_row() -> None:
    groups = torch.tensor([0] * 20 + [2] * 7 + [3] * 13)
    dealt = shuffled_groups(groups, 5, 400, np.random.default_rng(0))
    for g in range(5):
        assert bool(((dealt == g).sum(1) == (groups == g).sum()).all())
        np.testing.assert_allclose((dealt == g).double().mean(0), (groups == g).double().mean(), atol=0.1)


def test_row_weights_are_bootstrap_samples() -> None:
    weights = row_weights(300, 500, np.random.default_rng(0))
    assert bool((weights.sum(1) == 300).all())
    np.testing.assert_allclose(weights.double().var().item(), 1 - 1 / 300, atol=0.02)
    columns = torch.rand(300, 4, dtype=torch.float64)
    torch.testing.assert_close(weighted_sums(weights, columns), weights.double() @ columns, rtol=1e-5, atol=1e-4)
    torch.testing.assert_close(weighted_sums(weights.to(torch.uint8), columns), weighted_sums(weights, columns))


def test_many_weights_are_bytes() -> None:
    weights = row_weights(200_000, 100, np.random.default_rng(0))
    assert weights.dtype == torch.uint8
    assert bool((weights.sum(1, dtype=torch.int64) == 200_000).all())


def test_paired_counts_marginals_and_correlation() -> None:
    p, y, s = _case()
    first, second = p[0], torch.where(torch.arange(600) % 10 == 0, p[1], p[0])  # agree on nine rows of ten
    paired = paired_counts(first, second, y, s, 3)
    separate = count_table(torch.stack((first, second)), y, s, 3)
    torch.testing.assert_close(paired.sum(-1), separate[0])
    torch.testing.assert_close(paired.sum(-2), separate[1])
    a, b = resample_paired(paired, 2000, np.random.default_rng(0))
    together = (count_values(a)["acc@1"] - count_values(b)["acc@1"]).std()
    rows = np.random.default_rng(1).integers(0, 600, (2000, 600))
    wins = ((first > 0.5) == y).double() - ((second > 0.5) == y).double()
    naive = wins.numpy()[rows].mean(1).std()
    assert abs(float(together) / naive - 1) < 0.1


def _coverage(rates: list[float], sizes: list[int], id: str, bias: str, truth: float) -> float:
    """Share of simulated data sets, whose groups have these rates, whose interval holds the truth."""
    rng = np.random.default_rng(7)
    positive = torch.from_numpy(rng.binomial(sizes, rates, size=(300, len(rates)))).double()
    table = torch.zeros(300, len(rates), 2, 2, dtype=torch.float64)
    table[:, :, 1, 1], table[:, :, 1, 0] = positive, torch.tensor(sizes) - positive
    drawn = resample_counts(table, 300, rng)
    estimates, draws = count_values(table)[id], count_values(drawn, sizes=table[0].sum(-1))[id]
    ends = [
        interval(float(estimates[k]), draws[k], bias, (0.0, 1.0), count_deviations(drawn[k], table[k])[id])  # type: ignore[arg-type]
        for k in range(300)
    ]
    return float(np.mean([low <= truth + 1e-12 and truth <= high + 1e-12 for low, high in ends]))


def test_intervals_of_gaps_cover() -> None:
    """Also where the percentile interval of an absolute gap never does: a true gap of 0."""
    assert _coverage([0.5, 0.5], [156, 94], "dp@1", "up", 0.0) > 0.91
    assert _coverage([0.5, 0.6], [156, 94], "dp@1", "up", 0.1) > 0.91
    assert _coverage([0.5] * 5, [200] * 5, "dp@1", "up", 0.0) > 0.88
    assert _coverage([0.5, 0.5, 0.5, 0.8], [200] * 4, "dp@1", "up", 0.3) > 0.91


def test_intervals_of_ratios_and_minima_cover() -> None:
    assert _coverage([0.5, 0.5], [156, 94], "dp_ratio@1", "down", 1.0) > 0.91
    assert _coverage([0.4, 0.6], [156, 94], "dp_ratio@1", "down", 2 / 3) > 0.91
    assert _coverage([0.5] * 5, [200] * 5, "worst_tpr@1", "down", 0.5) > 0.91


def test_cells_without_and_with_one_row_are_resampled_as_they_are() -> None:
    # group 0: no row with label 0, one with label 1, predicted 1; group 1: 40 rows with label 0
    table = torch.tensor([[[[0, 0], [0, 1]], [[20, 20], [0, 0]]]], dtype=torch.float64)
    drawn = resample_counts(table, 200, np.random.default_rng(0))
    assert drawn[..., 0, 0, :].sum() == drawn[..., 1, 1, :].sum() == drawn[..., 0, 1, 0].sum() == 0
    assert drawn[..., 0, 1, 1].max() > 1 and drawn[..., 1, 0, :].amin() > 0
    assert bool((drawn.sum((-3, -2, -1)) == 41).all())
    shuffled = permute_counts(table, 200, np.random.default_rng(0))
    assert sorted(shuffled[..., 0, 1, 1].unique().tolist()) == [0, 1]
    assert bool((shuffled[..., 1].sum((-2, -1)) == 21).all())


def test_labels_and_groups_that_do_not_exist_are_refused() -> None:
    p, zeros = torch.full((1, 3), 0.7), torch.zeros(3, dtype=torch.int64)
    for labels, groups in (([0, 1, 2], [0, 0, 1]), ([0, 1, -1], [0, 0, 1]), ([0, 1, 1], [0, -1, 1])):
        with pytest.raises(ValueError, match="labels must be 0 or 1 and ids at least 0"):
            count_table(p, torch.tensor(labels), torch.tensor(groups), 2)
    with pytest.raises(ValueError, match="group ids reach 2 but n_groups is 2"):
        count_table(p, zeros, torch.tensor([0, 1, 2]), 2)
