import math

import numpy as np
import pytest

from metrics.holm import holm
from reports.blocks import blocks_of
from reports.stats.contrasts import contrasts, counted, pool, verdict
from reports.stats.statistics import corrected_interval
from tests.reports.conftest import KNOWN

J = 5
BLOCKS = blocks_of(KNOWN)
NOISE = np.array([0.001, -0.001, 0.002, -0.002, 0.0])


def values(**shifts):
    return {(m, "fair_res@1"): 0.1 + shift + NOISE * (i + 1) for i, (m, shift) in enumerate(shifts.items())}


def test_smaller_gaps_are_better():
    found = contrasts("fair_res@1", values(mixture=-0.05, best_single=0.0, uniform=-0.09), BLOCKS)
    assert found["mixture", "best_single"].verdict == "better"
    assert found["mixture", "uniform"].verdict == "worse"
    assert found["mixture", "best_single"].interval.mean == pytest.approx(-0.05)
    assert set(found) == {("mixture", "best_single"), ("mixture", "uniform")}


def test_holm_runs_over_the_comparisons_of_one_metric():
    found = contrasts("fair_res@1", values(mixture=0.0, best_single=0.003, uniform=0.002, static_simplex=0.001), BLOCKS)
    assert [c.p_holm for c in found.values()] == pytest.approx(holm([c.interval.p for c in found.values()]))


@pytest.mark.parametrize(
    ("differences", "word"),
    [
        ([0.0, 0.0, 0.0], "identical"),
        ([0.01, -0.01, 0.0], "not separable"),
        ([0.01], "one split"),
        ([math.nan], "not estimable"),
        ([0.1, 0.1001, 0.0999], "better"),
        ([-0.1, -0.1001, -0.0999], "worse"),
    ],
)
def test_words(differences, word):
    interval = corrected_interval(differences)
    assert verdict(interval, interval.p, up=True) == word


def test_pooling_counts_verdicts_and_keeps_the_direction():
    one = contrasts("fair_res@1", values(mixture=-0.05, best_single=0.0), BLOCKS)
    two = contrasts("fair_res@1", values(mixture=-0.0502, best_single=0.0), BLOCKS)
    tasks = {name: {(*pair, "fair_res@1"): c for pair, c in found.items()} for name, found in (("a", one), ("b", two))}
    pooled = pool("fair_res@1", tasks, BLOCKS)["mixture", "best_single"]
    assert (pooled.better, pooled.worse, pooled.tasks, pooled.verdict) == (2, 0, 2, "better")
    assert pooled.interval.mean == pytest.approx(-0.0501)


def test_holm_runs_within_a_block():
    own = {"mixture": 0.0, "best_single": 0.003, "uniform": 0.002}
    text = {"llm_utility": 0.0, "llm_base": 0.01, "llm_result": 0.0, "llm_result_lambda0": 0.004, "utility": 0.02}
    alone, beside = (
        contrasts("fair_res@1", values(**own), BLOCKS),
        contrasts("fair_res@1", values(**own, **text), BLOCKS),
    )
    assert {pair: beside[pair].p_holm for pair in alone} == {pair: c.p_holm for pair, c in alone.items()}
    assert {("llm_utility", "llm_base"), ("llm_utility", "utility")} <= set(beside)


def test_a_copy_on_fewer_rows_counts_only_alone():
    key = ("mixture", "uniform", "fair_res@1")
    found = {
        (*pair, "fair_res@1"): c
        for pair, c in contrasts("fair_res@1", values(mixture=0.0, uniform=0.1), BLOCKS).items()
    }
    assert len(counted({"a": found, "a@10": found, "b@10": found}, key)) == 2
    assert len(counted({"a": {}, "a@10": found}, key)) == 1
