"""Tallies: the same numbers as from the rows at once, in any order of the rows, with intervals that cover."""

from __future__ import annotations

import math
import re
from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from metrics.auc import auc
from metrics.calibration import bins_of
from metrics.counts.tables import count_table
from metrics.evidence import Evidence
from metrics.points import COUNT_METRICS, point_values
from metrics.score import score
from metrics.tallies.area import BinnedArea
from metrics.tallies.kernel import FINE
from metrics.tallies.reasons import with_reasons
from metrics.tallies.scores import TALLIED, tally_scores
from metrics.tallies.tally import Tally

NAMES = ("men", "women")


def rows_of(
    n: int, models: int = 2, n_groups: int = 2, seed: int = 0
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Probabilities [K, n], labels and groups."""
    generator = torch.Generator().manual_seed(seed)
    groups = torch.randint(0, n_groups, (n,), generator=generator)
    margin = torch.randn(models, n, generator=generator) + 0.3 * groups
    labels = (torch.rand(n, generator=generator) < torch.sigmoid(margin[0] * 1.3)).to(torch.int64)
    return torch.sigmoid(margin), labels, groups


def tallied(probability: torch.Tensor, labels: torch.Tensor, groups: torch.Tensor, chunk: int = 10**9) -> Tally:
    """All rows, a chunk at a time."""
    tally = Tally.empty(len(probability), int(groups.max()) + 1)
    for part in torch.split(torch.arange(len(labels)), chunk):
        tally.add(probability[:, part], labels[part], groups[part])
    return tally


def test_by_hand() -> None:
    """Two groups, four rows each; every number worked out."""
    probability = torch.tensor([[0.9, 0.6, 0.4, 0.1, 0.8, 0.7, 0.5, 0.2]])
    labels, groups = torch.tensor([1, 0, 1, 0, 1, 1, 0, 0]), torch.tensor([0, 0, 0, 0, 1, 1, 1, 1])
    tally = tallied(probability, labels, groups)
    assert tally.tables()[0].tolist() == [[[1, 1], [1, 1]], [[2, 0], [0, 2]]]  # 0.5 is class 0
    assert tally.brier(0) == pytest.approx((0.01 + 0.36 + 0.36 + 0.01 + 0.04 + 0.09 + 0.25 + 0.04) / 8, abs=1e-7)
    assert tally.excess(0).sum(1) == pytest.approx([0.0, 0.2], abs=1e-6)
    area = BinnedArea.of(tally.fine[0])
    assert (area.runs.area, area.error) == (14 / 16, 0.0)  # 0.4 lies below 0.6 and 0.5


def test_the_numbers_are_those_of_the_rows() -> None:
    """Counts to the bit with interval and null; calibration to a part in a million; AUC within what is stated."""
    probability, labels, groups = rows_of(5000)
    names = ["a", "b"]
    scores = tally_scores(tallied(probability, labels, groups, 700), names, NAMES, seed=3, permutations=100)
    points = point_values(probability, labels, groups, 2)
    for k, name in enumerate(names):
        whole = score(Evidence(probability[k]), labels, groups, NAMES, seed=3, draws=400, permutations=100)
        assert list(scores[name].values) == [id for id in whole.values if id in TALLIED]
        assert scores[name].groups == whole.groups
        for id in COUNT_METRICS:
            assert scores[name].values[id] == whole.values[id], id
        for id in ("brier@1", "ece@1"):
            assert scores[name].values[id].estimate == pytest.approx(float(points[id][k]), abs=1e-6)
        assert scores[name].values["cal_gap@1"].estimate == pytest.approx(whole.values["cal_gap@1"].estimate, abs=1e-6)
        for id in TALLIED:
            mine, theirs = scores[name].values[id], whole.values[id]
            length = theirs.high - theirs.low
            assert mine.high - mine.low == pytest.approx(length, rel=0.2), id


def test_area_lies_within_the_stated_error() -> None:
    """Also where all probabilities crowd in a few bins, which is when the error is large."""
    for squeeze in (1.0, 1e-3):
        probability, labels, groups = rows_of(3000, models=1)
        squeezed = probability * squeeze
        tally = tallied(squeezed, labels, groups)
        area = BinnedArea.of(tally.fine[0])
        assert abs(area.runs.area - float(auc(squeezed, labels)[0])) <= area.error
        value = tally_scores(tally, ["a"], NAMES, seed=0, permutations=10)["a"].values["auc@1"]
        told = re.fullmatch(r"AUC of a histogram: at most (1|0\.0*1|1e-\d+) from that of the rows", value.reason)
        assert told is not None and area.error <= float(told[1]) <= 10 * area.error
        assert value.low <= float(auc(squeezed, labels)[0]) <= value.high


@given(st.lists(st.integers(0, 400), max_size=6), st.integers(1, 3))
@settings(max_examples=25, deadline=None)
def test_any_order_of_rows_and_chunks_gives_the_same_bytes(cuts: list[int], models: int) -> None:
    """Whole numbers: splitting, reversing and merging change nothing."""
    probability, labels, groups = rows_of(400, models, 3)
    whole = tallied(probability, labels, groups)
    edges = [0, *sorted(cuts), 400]
    merged = Tally.empty(models, 3)
    for start, stop in reversed(list(pairwise(edges))):
        part = Tally.empty(models, 3)
        part.add(probability[:, start:stop].flip(1), labels[start:stop].flip(0), groups[start:stop].flip(0))
        merged.merge(part)
    for name in ("sizes", "fine", "sums", "squares", "ends", "broken"):
        assert getattr(merged, name).tobytes() == getattr(whole, name).tobytes(), name


@given(st.lists(st.floats(0, 1, width=32), min_size=1, max_size=200))
@settings(max_examples=50, deadline=None)
def test_fine_bins_agree_with_decisions_and_calibration_bins(values: list[float]) -> None:
    """A fine bin lies in one bin of the calibration error and on one side of 0.5, for every float32."""
    probability = torch.tensor([values], dtype=torch.float32)
    labels = torch.zeros(len(values), dtype=torch.int64)
    tally = Tally.empty(1, 1)
    tally.add(probability, labels, labels)
    assert torch.equal(tally.tables()[0], count_table(probability, labels, labels, 1)[0])
    own = tally.fine[0, 0].reshape(15, -1).sum(1)
    assert own.tolist() == torch.bincount(bins_of(probability[0]), minlength=15).tolist()
    assert FINE % 15 == 0


def test_edges_of_decisions() -> None:
    """The float32 after 0.5 is class 1, 0.5 itself is not."""
    after = float(np.nextafter(np.float32(0.5), np.float32(1)))
    tally = Tally.empty(1, 1)
    tally.add(torch.tensor([[0.5, after, 0.0, 1.0]]), torch.tensor([0, 0, 1, 1]), torch.zeros(4, dtype=torch.int64))
    assert tally.tables()[0, 0].tolist() == [[1, 1], [1, 1]]


def test_what_cannot_be_scored() -> None:
    probability, labels, groups = rows_of(300, models=3)
    probability[1, 7] = math.nan
    probability[2] = 0.8
    scores = tally_scores(tallied(probability, labels, groups), ["fine", "nan", "constant"], NAMES, seed=0)
    assert scores["fine"].values["acc@1"].status == "ok"
    assert scores["nan"].values["acc@1"].reason == "1 of 300 probabilities are nan"
    assert scores["constant"].degenerate
    assert scores["constant"].values["dp@1"].reason == "every row has the probability 0.8"
    one_class = tally_scores(tallied(probability[:1], torch.ones_like(labels), groups), ["a"], NAMES, seed=0)["a"]
    assert one_class.values["auc@1"].status == one_class.values["utility@1"].status == "not_estimable"
    with pytest.raises(ValueError, match="no rows"):
        tally_scores(Tally.empty(1, 2), ["a"], NAMES, seed=0)


def test_wrong_input_is_refused() -> None:
    probability, labels, groups = rows_of(20)
    tally = Tally.empty(2, 2)
    with pytest.raises(ValueError, match="float32"):
        tally.add(probability.double(), labels, groups)
    with pytest.raises(ValueError, match="float32"):
        tally.add(probability[:1], labels, groups)
    with pytest.raises(ValueError, match="labels must be 0 or 1"):
        tally.add(probability, labels - 1, groups)
    with pytest.raises(ValueError, match="outside"):
        tally.add(probability + 1, labels, groups)
    with pytest.raises(ValueError, match="differ"):
        tally.merge(Tally.empty(2, 3))


def test_reasons_come_from_a_sample_and_say_so() -> None:
    """Procedural values are the sample's; the composite's ends are those of its parts, added in squares."""
    probability, labels, groups = rows_of(2000, models=1)
    counted = tally_scores(tallied(probability, labels, groups), ["a"], NAMES, seed=0, permutations=50)["a"]
    few = torch.arange(0, 2000, 5)
    attributions = torch.randn(400, 3, generator=torch.Generator().manual_seed(1))
    masked = probability[0, few] * 0.9
    evidence = Evidence(probability[0, few], attributions, masked, explainer="linear")
    sampled = score(evidence, labels[few], groups[few], NAMES, seed=0, draws=100, permutations=50)
    both = with_reasons(counted, sampled, 400)
    assert both.values["acc@1"] == counted.values["acc@1"]
    assert both.values["fair_proc@1"].estimate == sampled.values["fair_proc@1"].estimate
    assert "on a stratified sample of 400 rows" in both.values["ref@1"].reason
    silent = [
        id for id, value in sampled.values.items() if id in both.values and value.reason == "" and id != "final@1"
    ]
    own = {both.values[id].reason for id in silent if id not in counted.values}
    assert own == {"on a stratified sample of 400 rows"}
    u, r, p = (both.values[id] for id in ("utility@1", "fair_res@1", "fair_proc@1"))
    final = both.values["final@1"]
    assert final.estimate == pytest.approx(u.estimate - r.estimate - p.estimate)
    assert final.high - final.estimate == pytest.approx(
        math.sqrt((u.high - u.estimate) ** 2 + (r.estimate - r.low) ** 2 + (p.estimate - p.low) ** 2)
    )


@pytest.mark.slow
def test_intervals_cover() -> None:
    """95 % intervals of 200 samples of 4,000 rows hold the truth of a million rows in 87 % or more (5 deviations)."""
    draws, n = 200, 4000
    truth_rows = rows_of(1_000_000, models=1, seed=99)
    truth = {
        **{id: float(v[0]) for id, v in point_values(*truth_rows, 2).items()},
        "cal_gap@1": tally_scores(tallied(*truth_rows), ["a"], NAMES, seed=0)["a"].values["cal_gap@1"].estimate,
    }
    ids = ("acc@1", "auc@1", "brier@1", "utility@1", "cal_gap@1", "dp@1")
    hits = dict.fromkeys(ids, 0)
    for seed in range(draws):
        value = tally_scores(tallied(*rows_of(n, models=1, seed=seed)), ["a"], NAMES, seed=seed, permutations=2)
        for id in ids:
            found = value["a"].values[id]
            hits[id] += found.low <= truth[id] <= found.high
    assert {id: count for id, count in hits.items() if count < draws * 0.87} == {}
