"""StereoSet: scores per term by hand, the context, ties; the published file."""

from __future__ import annotations

import json
import math
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from llm_experts.bias import stereoset
from llm_experts.bias.sources import BiasError
from llm_experts.bias.stereoset import BETWEEN, WITHIN, Triple
from tests.llm_experts.bias.table_model import Bigrams


def triples(*targets: str) -> list[Triple]:
    return [Triple(WITHIN, "gender", target, "", "s", "a", "u") for target in targets]


def test_likelihoods_by_hand() -> None:
    model = Bigrams({"big": 0.5, "small": 0.2, "She": 0.5, ("men.", "sing"): 0.4, "sing": 0.05})
    items = [
        Triple(WITHIN, "gender", "t", "", "She big", "She", "She small"),
        Triple(BETWEEN, "gender", "t", "I saw men.", "sing big", "small", "sing"),
    ]
    means, totals = stereoset.likelihoods(model, items)
    assert means[0] == pytest.approx([math.log(0.5), math.log(0.5), math.log(0.5 * 0.2) / 2])
    assert totals[1] == pytest.approx([math.log(0.4 * 0.5), math.log(0.2), math.log(0.4)])
    assert means[1] == pytest.approx([math.log(0.4 * 0.5) / 2, math.log(0.2), math.log(0.4)])
    found = {(row["metric"], row["category"]): row["estimate"] for row in stereoset.rows(items, means, totals, seed=0)}
    assert found["ss@1", "intersentence"] == 100
    assert found["ss@1", "intersentence, summed"] == 50, "a tie"
    assert ("ss@1", "intrasentence, summed") not in found


def test_scores_by_hand() -> None:
    # nurse: item 1 stereotype > anti > unrelated; item 2 anti > unrelated > stereotype
    # guard: stereotype > unrelated > anti
    items = triples("nurse", "nurse", "guard")
    scores = np.array([[3.0, 2, 1], [1, 3, 2], [3, 1, 2]])
    names, table = stereoset.terms(items, scores)
    assert names == ["nurse", "guard"]
    assert table.tolist() == [[1, 75, 50], [1, 50, 100]]
    found = {(row["metric"], row["category"]): row for row in stereoset.rows(items, scores, scores, seed=0)}
    assert found["lms@1", "all"]["estimate"] == pytest.approx(62.5)
    assert found["ss@1", "all"]["estimate"] == pytest.approx(75), "macro over terms, not 200/3 over items"
    assert found["icat@1", "all"]["estimate"] == pytest.approx(62.5 * 25 / 50)
    assert found["icat@1", "intrasentence: gender"]["n"] == 3
    assert all(row["low"] <= row["estimate"] <= row["high"] for row in found.values())


def test_the_ideal_model_has_an_icat_of_one_hundred_and_a_stereotyped_one_of_zero() -> None:
    ideal = stereoset.icat(np.array([1.0, 100, 50]))
    stereotyped = stereoset.icat(np.array([1.0, 100, 100]))
    random = stereoset.icat(np.array([1.0, 50, 50]))
    assert (ideal, stereotyped, random) == (100, 0, 50)


def test_ties_count_half() -> None:
    _, table = stereoset.terms(triples("t"), np.zeros((1, 3)))
    assert table.tolist() == [[1, 50, 50]]


def test_the_file_is_read_by_id(tmp_path: Path) -> None:
    def item(sentence: str, **changes: str) -> dict[str, str]:
        return {
            "context": "He is BLANK.",
            "sentence": sentence,
            "bias_type": "race",
            "id": "1",
            "target": "t",
            **changes,
        }

    path = tmp_path / "triples.json"
    path.write_text(json.dumps({"anti-stereotype": [item("a")], "stereotype": [item("s")], "unrelated": [item("u")]}))
    assert stereoset.read(path) == [Triple(WITHIN, "race", "t", "", "s", "a", "u")]
    lists = {"anti-stereotype": [item("a", id="2")], "stereotype": [item("s")], "unrelated": [item("u")]}
    path.write_text(json.dumps(lists))
    with pytest.raises(BiasError, match="not aligned"):
        stereoset.read(path)


@pytest.mark.data
def test_published_file() -> None:
    items = stereoset.load()
    assert Counter(t.kind for t in items) == {WITHIN: 2106, BETWEEN: 2123}
    assert Counter(t.category for t in items) == {"race": 1938, "profession": 1637, "gender": 497, "religion": 157}
    assert len({t.target for t in items}) == 79
    assert all((t.context != "") == (t.kind == BETWEEN) for t in items)
    kept = stereoset.sample(items, 200, seed=0)
    assert len(kept) == 200
    assert len({t.target for t in kept}) == 79
