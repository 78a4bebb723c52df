"""Items that a base writes itself: what is unusable is counted, and said."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from llm_experts.bases.base import Base
from llm_experts.data.error import DataError
from llm_experts.generation.checks.registry import checks_named
from llm_experts.generation.context import Context
from llm_experts.generation.draft import Draft
from llm_experts.generation.produce import produce
from llm_experts.generation.providers.registry import provider_named
from llm_experts.generation.writers.answers import MalformedError
from llm_experts.generation.writers.local import items_within
from tests.llm_experts.generation.production_fixtures import contents, spec_of

CHECKS = checks_named(("answer", "clarity"))


def test_a_random_base_writes_nothing_and_the_report_says_so(tiny_base: Base, tmp_path: Path) -> None:
    spec = spec_of(1, "arithmetic")
    reports = []
    for name in ("a", "b"):
        provider = provider_named("model", {"base": tiny_base, "longest": 6})
        folder = tmp_path / name
        reports.append(produce(spec, provider, Context(), checks=CHECKS, folder=folder, seed=0).report)
    assert reports[0] == reports[1]
    assert (reports[0].drafts, reports[0].accepted, reports[0].items) == (8, 0, 0)
    assert reports[0].checks == {"form": {"failed": 8, "share": 1.0}}
    assert "0% of the drafts were accepted" in reports[0].said[0] and "only 0 of 1 items passed" in reports[0].said[1]
    lines = (tmp_path / "a" / "rejected.jsonl").read_text().splitlines()
    assert len({json.loads(line)["prompt"] for line in lines}) > 4  # each is another answer


def test_requests_that_do_not_fit_and_wrong_options_are_explained(tiny_base: Base, tmp_path: Path) -> None:
    provider = provider_named("model", {"base": tiny_base, "longest": 1000})
    with pytest.raises(DataError, match="do not fit into the context of tiny"):
        produce(spec_of(1, "arithmetic"), provider, Context(), checks=CHECKS, folder=tmp_path, seed=0)
    with pytest.raises(DataError, match="has no option 'heat'; options are base, temperature, longest, together"):
        provider_named("model", {"heat": 1})
    with pytest.raises(DataError, match="at least one token"):
        provider_named("model", {"longest": 0})


def test_items_of_small_models_are_read_out_of_their_answers() -> None:
    assert items_within('Sure:\n```json\n{"items": [{"prompt": "a"}]}\n```') == [{"prompt": "a"}]
    assert items_within('{"prompt": "a"} and so on') == [{"prompt": "a"}] and items_within("[1, 2]") == [1, 2]
    with pytest.raises(MalformedError):
        items_within("no idea")


def drafts_of(base: Base, together: int, count: int, start: int = 0) -> list[Draft]:
    provider = provider_named("model", {"base": base, "longest": 3, "together": together})
    spec = spec_of(1, "arithmetic")
    return list(provider.drafts(spec, spec.topics[0], count, 3, start))


def test_items_that_are_written_together_are_those_that_are_written_alone(tiny_base: Base) -> None:
    together = drafts_of(tiny_base, 4, 5)
    assert together == drafts_of(tiny_base, 1, 5)
    assert len({draft.example.prompt for draft in together}) == 5
    assert drafts_of(tiny_base, 4, 2, start=3) == together[3:]  # from the middle of a group, as after a kill


def test_stopped_in_a_group_it_goes_on_to_the_same_bytes(tiny_base: Base, tmp_path: Path) -> None:
    spec = spec_of(1, "arithmetic")

    def made(folder: Path, most: int = 100) -> dict[str, bytes]:
        provider = provider_named("model", {"base": tiny_base, "longest": 2, "together": 3})
        asked = iter(range(most))
        produce(spec, provider, Context(), checks=CHECKS, folder=folder, seed=0, stop=lambda: next(asked, None) is None)
        return contents(folder)

    whole = made(tmp_path / "whole")
    made(tmp_path / "parts", 2)
    made(tmp_path / "parts", 5)
    assert made(tmp_path / "parts") == whole


@pytest.mark.real_base
@pytest.mark.slow
def test_what_a_real_base_writes_is_an_item_or_has_a_reason(real_base_folder: Path) -> None:
    provider = provider_named("model", {"base": str(real_base_folder), "longest": 48, "temperature": 0.3})
    spec = spec_of(2, "arithmetic")
    drafts = list(provider.drafts(spec, spec.topics[0], 2, 0, 0))
    assert len(drafts) == 2 and len({draft.example.id for draft in drafts}) == 2
    for draft in drafts:
        assert bool(draft.fault) != (draft.example.facts.get("family") == "arithmetic")
