"""A discovery from nothing to its package on a tiny base, and twice the same."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks.discovering.run import Discovered
from tests.benchmarks.discovering.tiny import PACKAGE, asked, made, whole

pytestmark = pytest.mark.slow


def test_every_step_has_its_result(first: Discovered) -> None:
    record = json.loads((first.folder / "discovery.json").read_text(encoding="utf-8"))
    assert [line["state"] for line in record["steps"]] == ["done"] * 8
    assert first.results["2_plan"]["chosen"] == len(first.results["4_training"]["experts"]) == 3
    assert first.results["6_examination"]["scenarios"] == 100
    assert {one["kind"] for one in first.results["6_examination"]["contenders"]} >= {"base", "single", "uniform"}


def test_the_package_holds_mixture_experts_weights_and_figures(first: Discovered) -> None:
    from artefacts.format.archive import open_package
    from artefacts.packing.adapter_sources import adapter_sources
    from llm_experts.adapters.store import load_adapter

    with open_package(first.folder / PACKAGE) as opened:
        manifest = opened.manifest
    assert (manifest.kind, manifest.author, manifest.name) == ("mixture", "Ada", "tiny-mixture")
    assert len(manifest.adapters) == 4
    assert manifest.fairness is not None
    assert manifest.fairness.metrics["accuracy"].low is not None
    told = json.loads((first.folder / "mixture" / "mixture.json").read_text(encoding="utf-8"))
    assert (
        set(told["expert_library"])
        == set(told["experts"])
        == {e["name"] for e in first.results["4_training"]["experts"]}
    )
    assert {"latency_ms", "vram_gb", "overall_accuracy", "eudaimonia_score", "edge_of_chaos", "tool_use_rate",
            "persona_consistency"} == set(told["performance"])  # fmt: skip
    places = adapter_sources(first.folder / "mixture", "m")
    assert set(places) == {"m", *(f"m/experts/{name}" for name in told["experts"])}
    for place in places.values():
        load_adapter(asked(first.folder).load(), place)


def test_the_same_settings_give_the_same_bytes(first: Discovered, tmp_path: Path) -> None:
    whole(tmp_path / "again")
    assert made(tmp_path / "again") == made(first.folder)
