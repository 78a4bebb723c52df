"""A discovery from nothing to its package on a tiny base: twice the same, killed in every step, changed, ended."""

from __future__ import annotations

import json
import multiprocessing
import shutil
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from benchmarks.discovering.error import BudgetEndedError
from benchmarks.discovering.run import Discovered, Silent, discover
from benchmarks.discovering.state import without_times
from benchmarks.discovering.step import Step
from benchmarks.discovering.steps.registry import STEPS
from foundation.hashing import hash_file
from tests.benchmarks.discovering.tiny import asked, whole

pytestmark = pytest.mark.slow
PACKAGE = "tiny-mixture-1.0.0.expert"


class Noting(Silent):
    """Notes which steps were done, and which were there."""

    def __init__(self) -> None:
        self.done: list[str] = []
        self.notes: list[str] = []

    def note(self, text: str) -> None:
        self.notes.append(text)

    def end(self, step: Step, result: Mapping[str, Any], was_there: bool) -> None:
        if not was_there:
            self.done.append(step.name)


def made(folder: Path) -> dict[str, Any]:
    """All that must be the same of two runs."""
    results = {step.name: json.loads((folder / step.name / "result.json").read_text()) for step in STEPS}
    return {"results": without_times(results), "package": hash_file(folder / PACKAGE)}


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> Discovered:
    """A whole discovery."""
    return whole(tmp_path_factory.mktemp("first") / "run")


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


def test_killed_in_every_step_it_goes_on_with_the_same_bytes(first: Discovered, tmp_path: Path) -> None:
    folder, context = tmp_path / "killed", multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["tests.benchmarks.discovering.tiny"])
    for number, step in enumerate(STEPS[:-1]):
        process = context.Process(target=whole, args=(folder,))
        process.start()
        while process.is_alive() and not (folder / step.name / "inputs.json").exists():
            time.sleep(0.01)
        time.sleep(0.1 * number)  # a different part of every step
        process.kill()
        process.join()
    whole(folder)
    assert made(folder) == made(first.folder)


def test_a_setting_of_the_search_leaves_the_experts_alone(first: Discovered, tmp_path: Path) -> None:
    folder = tmp_path / "changed"
    shutil.copytree(first.folder, folder)
    noted = Noting()
    discover(asked(folder, generations=5), noted)
    assert noted.done == ["5_search", "6_examination", "7_preserve", "8_gates"]


def test_ended_by_its_budget_again_and_again_it_ends_with_the_same_results(first: Discovered, tmp_path: Path) -> None:
    folder, missing = tmp_path / "budget", []
    for ticks in range(4, 400, 6):
        clock = iter([0.0] * ticks + [1e9] * 10_000)
        try:
            discover(replace(asked(folder, minutes=1e6), clock=lambda clock=clock: next(clock)))
        except BudgetEndedError as error:
            missing.append(str(error).partition("missing: ")[2].partition(".")[0])
            continue
        break
    else:
        pytest.fail("it never came to an end")
    assert len(set(missing)) > 3, missing
    results = {step.name: json.loads((folder / step.name / "result.json").read_text()) for step in STEPS}
    assert without_times(results) == without_times(first.results)


LEAKY = '''
from llm_experts.families.registry import family_named
from llm_experts.generation.draft import Draft
from llm_experts.generation.providers.provider import ProviderKind


class Leaky:
    """Every other item is one of the final examination."""

    name, spent, identity = "leaky", 0.0, {}

    def drafts(self, spec, topic, count, seed, start):
        family = family_named(topic.family)
        fair = family.make("train", start + count, seed, topic.difficulty)
        leaked = family.make("test", start + count, 0, topic.difficulty)
        for number in range(start, start + count):
            yield Draft((leaked if number % 2 else fair)[number], topic.name, topic.difficulty)


PROVIDER = ProviderKind(name="leaky", about="half of it is stolen", make=lambda options: Leaky())
'''


def test_items_of_the_examination_are_refused_whoever_brings_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = tmp_path / "plugins" / "llm_experts" / "generation" / "providers" / "leaky.py"
    place.parent.mkdir(parents=True)
    place.write_text(LEAKY, encoding="utf-8")
    monkeypatch.setenv("FAIRMOE_PLUGINS", str(tmp_path / "plugins"))
    from llm_experts.generation.providers import registry

    monkeypatch.setattr(registry, "PROVIDERS", (*registry.PROVIDERS, "leaky"))
    found = discover(asked(tmp_path / "run", provider="leaky"), steps=STEPS[:3])
    protected = {
        item.prompt for domain in ("arithmetic", "dates", "json_task", "strings")
        for item in family_items(domain, 25)
    }  # fmt: skip
    for row in found.results["3_data"]["experts"]:
        assert row["checks"]["contamination"]["failed"] > 0
        folder = tmp_path / "run" / "3_data" / row["name"]
        kept = [json.loads(line) for line in (folder / "train.jsonl").read_text(encoding="utf-8").splitlines()]
        assert kept
        assert not protected & {item["prompt"] for item in kept}
        assert "contamination" in (folder / "rejected.jsonl").read_text(encoding="utf-8")


def family_items(name: str, count: int) -> Any:
    from llm_experts.families.registry import family_named

    return family_named(name).make("test", count, 0, 0.0)
