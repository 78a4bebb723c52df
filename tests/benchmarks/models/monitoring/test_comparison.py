"""Verdicts: false alarms are as rare as they say, changes are seen, and few rows cannot tell."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from benchmarks.models.monitoring.comparison import Compared, compare, limit_now, posterior_tables
from benchmarks.models.promise import Promise
from foundation.seeding import numpy_generator
from metrics.counts.tables import count_table
from metrics.evidence import Evidence
from metrics.score import score
from metrics.value import Value

NAMES = ("a", "b")
Scored = tuple[dict[str, Value], Tensor]


def scored(n: int, generator: np.random.Generator, worse: float = 0.0, share: float = 0.4) -> Scored:
    """Scores of n rows whose positives of group b are scored lower by ``worse``."""
    groups = (generator.random(n) < share).astype(int)
    labels = (generator.random(n) < 0.4).astype(int)
    margins: NDArray[np.float64] = 1.6 * labels - 0.8 - worse * groups * labels + generator.normal(size=n)
    probability, y, g = torch.sigmoid(torch.from_numpy(margins)), torch.from_numpy(labels), torch.from_numpy(groups)
    values = score(Evidence(probability), y, g, NAMES, seed=0, draws=100, permutations=20).values
    return values, count_table(probability[None], y, g, 2)[0]


def promise_with(found: Scored, demand: dict[str, object] | None = None) -> Promise:
    values, table = found
    cells = {name: tuple(map(tuple, part.int().tolist())) for name, part in zip(NAMES, table, strict=True)}
    return Promise(int(table.sum()), {name: {} for name in NAMES}, cells, values, demand=demand)


def verdicts(found: list[Compared]) -> dict[str, str]:
    return {metric.metric: metric.verdict for metric in found}


def test_the_same_rows_are_inside_in_every_metric() -> None:
    same = scored(400, np.random.default_rng(0))
    found = compare(promise_with(same), *same)
    assert set(verdicts(found).values()) == {"inside"}
    assert all(metric.change == 0 and metric.low < 0 < metric.high for metric in found)


def test_false_alarms_are_rare() -> None:
    """At most 5 of 100 runs: 11 of 100 has a chance of 0.4 % then."""
    generator = np.random.default_rng(1)
    alarms = sum(
        "outside" in verdicts(compare(promise_with(scored(300, generator)), *scored(300, generator), seed=k)).values()
        for k in range(100)
    )
    assert alarms <= 11


def test_a_group_that_fares_worse_is_seen_and_named() -> None:
    generator = np.random.default_rng(2)
    found = compare(promise_with(scored(2000, generator)), *scored(2000, generator, worse=1.5))
    hit = {"eopp@1", "eodds@1", "fair_res@1", "acc@1"}
    assert hit <= {metric.metric for metric in found if metric.worse}
    better = compare(promise_with(scored(2000, generator, worse=1.5)), *scored(2000, generator))
    assert verdicts(better)["eopp@1"] == "outside" and not hit & {metric.metric for metric in better if metric.worse}


def test_few_rows_cannot_tell() -> None:
    generator = np.random.default_rng(3)
    found = compare(promise_with(scored(3000, generator)), *scored(100, generator), ("acc@1", "dp@1"))
    assert set(verdicts(found).values()) == {"cannot tell"}
    assert all("less than a third" in metric.reason for metric in found)


def test_a_tolerance_makes_inside_a_sure_statement() -> None:
    generator = np.random.default_rng(4)
    promised, now = scored(3000, generator), scored(3000, generator)
    wide = compare(promise_with(promised), *now, ("acc@1",), tolerance=0.1)
    narrow = compare(promise_with(promised), *now, ("acc@1",), tolerance=0.001)
    assert verdicts(wide) == {"acc@1": "inside"} and verdicts(narrow) == {"acc@1": "cannot tell"}
    assert narrow[0].reason == "the change may be larger than 0.001"


def test_fewer_metrics_see_smaller_changes() -> None:
    generator = np.random.default_rng(5)
    promised, now = promise_with(scored(600, generator)), scored(600, generator, worse=0.5)
    alone = compare(promised, *now, ("eopp@1",))[0]
    among = next(metric for metric in compare(promised, *now) if metric.metric == "eopp@1")
    assert alone.change == among.change and alone.p < among.p


def test_groups_that_cannot_be_compared_any_more_are_named() -> None:
    generator = np.random.default_rng(6)
    found = compare(promise_with(scored(600, generator)), *scored(600, generator, share=0.005), ("acc@1", "dp@1"))
    told = {metric.metric: metric for metric in found}
    assert told["dp@1"].verdict == "cannot tell" and "not estimable on the new rows" in told["dp@1"].reason
    assert math.isnan(told["dp@1"].p) and told["acc@1"].verdict == "inside"


def test_a_limit_holds_with_the_probability_of_its_posterior() -> None:
    """Two groups without positives: the gap of dp is that of two shares, whose posterior is simulated directly."""
    table = torch.tensor([[[60.0, 40.0], [0.0, 0.0]], [[70.0, 30.0], [0.0, 0.0]]], dtype=torch.float64)
    values = {"dp@1": Value(0.1, 0.0, 0.2)}
    demand = {"metric": "dp@1", "max_gap": 0.15}
    found = limit_now(promise_with((values, table), demand), values, table)
    generator = np.random.default_rng(7)
    gap = np.abs(generator.beta(40.5, 60.5, 200_000) - generator.beta(30.5, 70.5, 200_000))
    assert found is not None and found.probability == pytest.approx(float((gap <= 0.15).mean()), abs=0.02)
    assert not found.broken
    assert limit_now(promise_with((values, table)), values, table) is None


def test_posterior_tables_keep_the_number_of_rows_and_the_rates() -> None:
    table = torch.tensor([[[30.0, 10.0], [5.0, 15.0]], [[0.0, 20.0], [8.0, 12.0]]], dtype=torch.float64)
    drawn = posterior_tables(table, 4000, numpy_generator(0, "test"))
    assert torch.allclose(drawn.sum((1, 2, 3)), torch.tensor(100.0, dtype=torch.float64))
    share = drawn.sum(0)[..., 1] / drawn.sum(0).sum(-1)
    expected = (table[..., 1] + 0.5) / (table.sum(-1) + 1)
    assert torch.allclose(share, expected, atol=0.01)
