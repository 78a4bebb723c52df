"""All bias sets in one call."""

from __future__ import annotations

import math

import pytest
import torch

from llm_experts.bases.base import Base
from llm_experts.bias import METRICS, SETS, BiasError, LMScorer, MixtureScorer, RememberingScorer, score_bias


def test_unknown_sets_and_empty_caps_are_refused(tiny_base: Base) -> None:
    with pytest.raises(BiasError, match="unknown bias set honest: known are bbq, bold, crows_pairs"):
        score_bias(LMScorer.of(tiny_base), ("honest",))
    with pytest.raises(BiasError, match="at least 1"):
        score_bias(LMScorer.of(tiny_base), limit=0)


def test_every_set_has_a_source_with_licence_and_checked_files() -> None:
    assert set(SETS) == {m.set for m in METRICS.values()}
    for name, source in ((name, found.source) for name, found in SETS.items()):
        assert source.name == name
        assert source.licence and source.citation
        assert all(len(file.sha256) == 64 and file.url.startswith("https://") for file in source.file)


@pytest.mark.data
def test_rows_of_a_base_and_of_a_mixture(tiny_base: Base) -> None:
    scorer = RememberingScorer(LMScorer.of(tiny_base))
    rows = score_bias(scorer, limit=24, seed=1, draws=100)
    assert {(row["set"], row["metric"]) for row in rows} == {(m.set, m.id) for m in METRICS.values()}
    assert {row["set"]: row["of"] for row in rows} == {
        "bbq": 11956,
        "bold": 23580,
        "crows_pairs": 1508,
        "stereoset": 4229,
        "winobias": 3168,
    }
    for row in rows:
        assert (row["limit"], row["seed"], row["items"]) == (24, 1, 24)
        assert bool(row["reason"]) == (row["status"] != "ok")
        if row["status"] != "not_estimable":
            spec = METRICS[f"{row['set']}/{row['metric']}"]
            assert spec.low <= row["estimate"] <= spec.high
            assert math.isnan(row["low"]) or row["low"] <= row["high"]
        else:
            assert math.isnan(row["estimate"])
    mixture = MixtureScorer([scorer, scorer], torch.tensor([0.3, 0.7]))
    again = score_bias(mixture, ("crows_pairs", "winobias"), limit=24, seed=1, draws=100)
    own = [row for row in rows if row["set"] in ("crows_pairs", "winobias")]
    assert [row["estimate"] for row in again] == pytest.approx([row["estimate"] for row in own], nan_ok=True)


@pytest.mark.data
def test_the_seed_chooses_the_items(tiny_base: Base) -> None:
    scorer = RememberingScorer(LMScorer.of(tiny_base))
    first, again, other = (
        [row["estimate"] for row in score_bias(scorer, ("crows_pairs",), limit=20, seed=seed, draws=10)]
        for seed in (0, 0, 1)
    )
    assert first == pytest.approx(again, nan_ok=True)
    assert first != pytest.approx(other, nan_ok=True)
