"""Stolen items, a writer that dies, a base that drifts: what a discovery makes of them."""

from __future__ import annotations

import itertools
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from benchmarks.discovering.error import DiscoverError
from benchmarks.discovering.handing.package import Named, hand_on
from benchmarks.discovering.run import discover
from benchmarks.discovering.steps.registry import STEPS
from tests.benchmarks.discovering.tiny import PACKAGE, asked, whole

pytestmark = pytest.mark.slow


LEAKY = '''
from llm_experts.families.registry import family_named
from llm_experts.generation.draft import Draft
from llm_experts.generation.providers.provider import ProviderKind


class Leaky:
    """Every other item is one of the final examination."""

    name, spent, identity = "leaky", 0.0, {}

    def allow(self, dollars):
        """It costs nothing."""

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


def test_a_writer_that_dies_midway_is_told_and_what_it_wrote_is_asked_for_only_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from llm_experts.data.error import DataError
    from tests.llm_experts.generation.protocol_server import refused, said, served

    numbers = itertools.count(100)

    def write(handler: Any, body: dict[str, Any]) -> None:
        many = int(body["messages"][1]["content"].split()[1])
        items = [
            {"prompt": f"Ann has {n} pens. Finds 1 more. How many now? Answer:", "completion": str(n + 1),
             "facts": {"answer": n + 1}} for n in itertools.islice(numbers, many)
        ]  # fmt: skip
        said(json.dumps({"items": items}))(handler, body)

    monkeypatch.setenv("OPENAI_API_KEY", "word")
    options = {"models": ["writer"], "max_requests": 60, "items": 4, "tries": 1, "cache": str(tmp_path / "cache")}
    changed = {
        "domains": ("arithmetic", "arithmetic@0.3", "arithmetic@0.6"), "provider": "openai", "checks": ("clarity",),
        "provider_options": options, "count": 8,
    }  # fmt: skip
    with served(write) as running:
        running.script = [write, write, write, *[refused(401, "no more")] * 50]
        monkeypatch.setenv("OPENAI_BASE_URL", running.url)
        with pytest.raises((DataError, DiscoverError)) as error:
            discover(asked(tmp_path / "run", **changed), steps=STEPS[:3])
        assert "no more" in str(error.value) or "401" in str(error.value)
        before = len(running.seen)
        running.script = []
        found = discover(asked(tmp_path / "run", **changed), steps=STEPS[:3])
    assert [row["accepted"] for row in found.results["3_data"]["experts"]] == [8, 8, 8]
    assert len(running.seen) - before == 6 - 3


def test_experts_that_drift_are_given_up_and_the_verdict_says_what_is_left(tmp_path: Path) -> None:
    from reports.discovery.reading import read_discovery
    from reports.discovery.verdict import verdict

    found = whole(tmp_path / "run", lr=1.0, most_drift=1.0)
    rows = found.results["4_training"]["experts"]
    assert [(row["restarts"], row["given_up"], row["best_step"]) for row in rows] == [(1, True, 0)] * 3
    assert found.results["6_examination"]["winner"] == "base"
    assert not found.results["6_examination"]["accepted"]
    assert verdict(read_discovery(found.folder)).headline.startswith("No mixture was accepted: the base stays.")
    assert (tmp_path / "run" / PACKAGE).is_file()


def test_a_base_of_codes_is_dequantised_for_singular_values_and_rounded_again(tmp_path: Path) -> None:
    from llm_experts.adapters.store import load_adapter
    from llm_experts.bases.quantised import holds_codes
    from llm_experts.bases.quantising import quantised
    from tests.llm_experts.conftest import make_tiny_base

    codes = quantised(make_tiny_base(), "ternary")
    settings = {"kind": "svf", "rank": None, "quantisation": "ternary", "requantize": "ternary"}
    given = replace(
        asked(tmp_path / "run", **settings), load=lambda: codes,
        identity={"id": codes.id, "hash": codes.hash, "quantisation": "ternary"},
    )  # fmt: skip
    found = discover(given)
    hand_on(found, Named("tiny-mixture", "Ada"))
    assert found.results["1_capability"]["dequantised"]["agreement"] == 1
    gate = next(one for one in found.results["8_gates"]["gates"] if one["id"] == "dequantised")
    assert gate["passed"] is True
    told = json.loads((tmp_path / "run" / "mixture" / "mixture.json").read_text(encoding="utf-8"))
    rounded = told["compression_notes"]["rounded"]
    assert (rounded["to"], rounded["n"]) == ("ternary", 100)
    assert rounded["left"]["low"] <= rounded["left"]["difference"] <= rounded["left"]["high"]
    assert told["quantization"] == "ternary"
    assert holds_codes(codes.model)
    load_adapter(codes, tmp_path / "run" / "mixture")
