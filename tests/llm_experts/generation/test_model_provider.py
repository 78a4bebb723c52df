"""Items that a base writes itself: what is unusable is counted, and said."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from llm_experts.bases.base import Base
from llm_experts.bases.load import load_base
from llm_experts.data.error import DataError
from llm_experts.generation.checks.registry import checks_named
from llm_experts.generation.context import Context
from llm_experts.generation.produce import produce
from llm_experts.generation.providers.registry import provider_named
from llm_experts.generation.writers.answers import MalformedError
from llm_experts.generation.writers.local import items_within
from tests.llm_experts.generation.production_fixtures import spec_of

CHECKS = checks_named(("answer", "clarity"))


def test_a_random_base_writes_nothing_and_the_report_says_so(tiny_base: Base, tmp_path: Path) -> None:
    spec = spec_of(2, "arithmetic")
    reports = []
    for name in ("a", "b"):
        provider = provider_named("model", {"base": tiny_base, "longest": 12})
        folder = tmp_path / name
        reports.append(produce(spec, provider, Context(), checks=CHECKS, folder=folder, seed=0).report)
    assert reports[0] == reports[1]
    assert (reports[0].drafts, reports[0].accepted, reports[0].items) == (16, 0, 0)
    assert reports[0].checks == {"form": {"failed": 16, "share": 1.0}}
    assert "0% of the drafts were accepted" in reports[0].said[0] and "only 0 of 2 items passed" in reports[0].said[1]
    lines = (tmp_path / "a" / "rejected.jsonl").read_text().splitlines()
    assert len({json.loads(line)["prompt"] for line in lines}) > 8  # each is another answer


def test_requests_that_do_not_fit_and_wrong_options_are_explained(tiny_base: Base, tmp_path: Path) -> None:
    provider = provider_named("model", {"base": tiny_base, "longest": 1000})
    with pytest.raises(DataError, match="do not fit into the context of tiny"):
        produce(spec_of(1, "arithmetic"), provider, Context(), checks=CHECKS, folder=tmp_path, seed=0)
    with pytest.raises(DataError, match="has no option 'heat'; options are base, temperature, longest"):
        provider_named("model", {"heat": 1})
    with pytest.raises(DataError, match="at least one token"):
        provider_named("model", {"longest": 0})


def test_items_of_small_models_are_read_out_of_their_answers() -> None:
    assert items_within('Sure:\n```json\n{"items": [{"prompt": "a"}]}\n```') == [{"prompt": "a"}]
    assert items_within('{"prompt": "a"} and so on') == [{"prompt": "a"}] and items_within("[1, 2]") == [1, 2]
    with pytest.raises(MalformedError):
        items_within("no idea")


@pytest.mark.real_base
@pytest.mark.slow
def test_a_real_base_writes_what_can_be_read_in_part(real_base_folder: Path, tmp_path: Path) -> None:
    provider = provider_named("model", {"base": load_base(str(real_base_folder)), "longest": 64, "temperature": 0.3})
    report = produce(spec_of(1, "arithmetic"), provider, Context(), checks=CHECKS, folder=tmp_path, seed=0).report
    assert 1 <= report.drafts <= 8 and report.accepted + report.rejected == report.drafts
    print(report.as_dict())
