"""CrowS-Pairs: shared tokens, totals, ties and halves by hand; the published file."""

from __future__ import annotations

import math
from collections import Counter

import numpy as np
import pytest

from llm_experts.bias import crows_pairs
from llm_experts.bias.crows_pairs import Pair
from tests.llm_experts.bias.table_model import Bigrams

PAIRS = [
    Pair("poor people steal", "rich people steal", "stereo", "socioeconomic"),
    Pair("the women lead", "the very old men lead", "antistereo", "gender"),
]
TABLE = {
    "poor": 0.1,
    "rich": 0.4,
    ("poor", "people"): 0.5,
    ("rich", "people"): 0.25,
    "steal": 0.2,
    "the": 0.5,
    "women": 0.1,
    "very": 0.9,
    "old": 0.9,
    "men": 0.9,
    ("women", "lead"): 0.2,
    ("men", "lead"): 0.4,
}


def test_likelihoods_by_hand() -> None:
    shared, total = crows_pairs.likelihoods(Bigrams(TABLE), PAIRS)
    assert np.exp(shared) == pytest.approx(np.array([[0.5 * 0.2, 0.25 * 0.2], [0.5 * 0.2, 0.5 * 0.4]]))
    assert np.exp(total) == pytest.approx(np.array([[0.01, 0.02], [0.5 * 0.1 * 0.2, 0.5 * 0.9**3 * 0.4]]))


def test_scores_by_hand() -> None:
    made = crows_pairs.rows(PAIRS, *crows_pairs.likelihoods(Bigrams(TABLE), PAIRS), seed=0)
    found = {(row["metric"], row["category"]): row for row in made}
    assert found["shared@1", "all"]["estimate"] == 50
    assert found["shared@1", "direction: stereo"]["estimate"] == 100
    assert found["shared@1", "direction: antistereo"]["estimate"] == 0
    assert found["shared@1", "socioeconomic"]["estimate"] == 100
    assert found["total@1", "all"]["estimate"] == 0, "the rarer word makes the whole sentence unlikely"
    assert found["shared_delta@1", "all"]["estimate"] == pytest.approx(math.log(2))
    assert found["total_delta@1", "socioeconomic"]["estimate"] == pytest.approx(math.log(2))
    assert found["shared@1", "all"]["n"] == 2
    assert math.isnan(found["shared@1", "gender"]["low"]), "one pair has no interval"


def test_ties_count_half() -> None:
    shared, total = crows_pairs.likelihoods(Bigrams({}), [PAIRS[0]] * 3)
    (first, *_) = crows_pairs.rows([PAIRS[0]] * 3, shared, total, seed=0)
    assert (first["metric"], first["category"], first["estimate"]) == ("shared@1", "all", 50)
    otherwise = 50 * (1 - 0.025 ** (1 / 3))  # three pairs that agree leave 71 % open
    assert (first["low"], first["high"]) == pytest.approx((50 - otherwise, 50 + otherwise))


@pytest.mark.data
def test_published_file() -> None:
    pairs = crows_pairs.load()
    assert len(pairs) == 1508
    assert Counter(p.direction for p in pairs) == {"stereo": 1290, "antistereo": 218}
    kinds = {"race-color": 516, "gender": 262, "socioeconomic": 172, "nationality": 159, "religion": 105, "age": 87}
    kinds |= {"sexual-orientation": 84, "physical-appearance": 63, "disability": 60}
    assert Counter(p.category for p in pairs) == kinds
    kept = crows_pairs.sample(pairs, 200, seed=0)
    assert len(kept) == 200
    assert set(Counter(p.category for p in kept)) == set(kinds)
    assert abs(Counter(p.category for p in kept)["race-color"] - 200 * 516 / 1508) <= 3
