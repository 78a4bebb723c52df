"""BOLD: likelihoods and pronouns by hand, pages as units, and the published files."""

from __future__ import annotations

import json
import math
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from llm_experts.bias import bold
from llm_experts.bias.sources import BiasError
from tests.llm_experts.bias.table_model import Bigrams


def values(made: list[dict[str, Any]], metric: str) -> dict[str, Any]:
    return {row["category"]: row for row in made if row["metric"] == metric}


def sentences(domain: str, group: str, end: str, pages: int = 6) -> list[bold.Sentence]:
    return [bold.Sentence(domain, group, f"{group} {k}", "a person", f" {end}") for k in range(pages)]


def test_a_gap_of_likelihoods_and_pronouns_by_hand() -> None:
    some = [
        *sentences("race", "x", "good one"), *sentences("race", "y", "bad one"),
        *sentences("profession", "nurses", "nurse"), *sentences("profession", "smiths", "smith"),
        *sentences("gender", "American_actors", "actor"), *sentences("gender", "American_actresses", "actress"),
    ]  # fmt: skip
    pronouns = {("nurse", "She"): 0.4, ("smith", "He"): 0.4, ("actor", "He"): 0.3, ("actress", "He"): 0.2}
    scorer = Bigrams({"good": 0.5, "bad": 0.125, "one": 0.5, **pronouns}, other=0.1)
    made = bold.score(scorer, some, seed=0, draws=200)
    gap = values(made, "nats_gap@1")
    assert gap["race"]["estimate"] == pytest.approx((math.log(2) + math.log(8)) / 2 - math.log(2))
    assert gap["race"]["n"] == 12 and gap["profession"]["estimate"] == pytest.approx(0)
    assert gap["religious_ideology"]["status"] == "not_estimable" and "0 groups" in gap["religious_ideology"]["reason"]
    assert gap["macro"]["status"] == "not_estimable"
    he = values(made, "he@1")
    assert [he[name]["estimate"] for name in ("nurses", "smiths", "all")] == [0, 1, 0.5]
    agrees = values(made, "agrees@1")
    assert [agrees[name]["estimate"] for name in ("American_actors", "American_actresses", "all")] == [1, 0, 0.5]


def test_the_gap_that_no_difference_gives_is_told_beside_it() -> None:
    """Two groups of 6 equal pages, one a nat dearer: every deal of 3 and 3 has no gap, that of all apart has 1."""
    some = [*sentences("race", "x", "good"), *sentences("race", "y", "bad")]
    nats = np.array([[1.0 if s.group == "x" else 2.0, 1.0] for s in some])
    gap = values(bold.rows(some, nats, {}, seed=0, draws=4_000), "nats_gap@1")["race"]
    # k dear pages in x: gap |2k - 6| / 6; P(gap >= 2/3) = 74 / 924, P(gap = 1) = 2 / 924
    assert gap["estimate"] == pytest.approx(1) and gap["null_p95"] == pytest.approx(2 / 3)
    flat = values(bold.rows(some, np.ones_like(nats), {}, seed=0, draws=50), "nats_gap@1")["race"]
    assert (flat["estimate"], flat["null_p95"]) == (0, 0)


def test_a_model_that_always_says_he_is_told() -> None:
    some = sentences("profession", "nurses", "nurse") + sentences("profession", "smiths", "smith")
    made = bold.score(Bigrams({"He": 0.4, "She": 0.1}), some, seed=0, draws=50)
    he = values(made, "he@1")["all"]
    assert (he["estimate"], he["status"]) == (1, "degenerate") and "same whatever" in he["reason"]
    assert values(made, "agrees@1")["all"]["status"] == "not_estimable"


def test_pages_are_drawn_whole_and_small_groups_are_left_out() -> None:
    some = [
        *(s for s in sentences("race", "x", "good") for _ in range(5)), *sentences("race", "y", "bad"),
        *sentences("race", "z", "awful", pages=bold.FEWEST - 1),
    ]  # fmt: skip
    nats = np.array([[1.0 if s.group == "x" else 2.0 if s.group == "y" else 9.0, 1.0] for s in some])
    gap = values(bold.rows(some, nats, {}, seed=0, draws=100), "nats_gap@1")["race"]
    assert (gap["estimate"], gap["n"]) == (1, 36)


def test_a_sentence_that_does_not_begin_as_its_prompt_is_refused(tmp_path: Path) -> None:
    prompts, whole = tmp_path / "p.json", tmp_path / "w.json"
    prompts.write_text(json.dumps({"g": {"page": ["Ann is a ", "Bob is a "]}}))
    whole.write_text(json.dumps({"g": {"page": ["Ann is a smith.", "Bob is a nurse."]}}))
    assert [s.end for s in bold.read("race", prompts, whole)] == [" smith.", " nurse."]
    whole.write_text(json.dumps({"g": {"page": ["Ann is a smith.", "Rob is a nurse."]}}))
    with pytest.raises(BiasError, match="does not begin as its prompt 'Bob is a '"):
        bold.read("race", prompts, whole)
    whole.write_text(json.dumps({"g": {}}))
    with pytest.raises(BiasError, match="2 prompts and 0 sentences"):
        bold.read("race", prompts, whole)


@pytest.mark.data
def test_the_published_files() -> None:
    found = bold.load()
    assert len(found) == 23679 - 99  # but for the longest
    assert set(Counter(s.domain for s in found)) == set(bold.DOMAINS)
    assert len({(s.domain, s.group) for s in found}) == 43
    drawn = bold.sample(found, 215, seed=0)
    assert len(drawn) == 215 and set(Counter((s.domain, s.group) for s in drawn).values()) == {5}
