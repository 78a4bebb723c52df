"""What checks say of a whole set: counts, intervals, zone."""

from dataclasses import replace

import pytest

from llm_experts.data.example import Example
from llm_experts.families.registry import family_named
from llm_experts.generation.checks.registry import checks_named
from llm_experts.generation.context import Context
from llm_experts.generation.set_findings import BATCH, CheckCount, examine_set, spec_of
from tests.llm_experts.generation.planted import base_that_says, question


def test_counts_and_intervals() -> None:
    made = list(family_named("lookup").make("train", BATCH + 6, 0, 0.0))
    made[2] = replace(made[2], completion="zebra")
    made.append(replace(made[0], id="late"))  # repeats an item of an earlier batch
    seen: list[tuple[int, int]] = []
    found = examine_set(made, Context(), checks_named(["answer", "clarity"]), progress=lambda *now: seen.append(now))
    assert seen == [(64, 71), (71, 71)]
    answer, clarity = found.counts
    assert (answer.asked, answer.failed, clarity.asked, clarity.failed) == (71, 1, 70, 1)
    assert (answer.low, answer.high) == (pytest.approx(0.0024906, abs=1e-6), pytest.approx(0.0755605, abs=1e-6))
    assert found.accepted == 69
    assert found.acceptance == 69 / 71
    assert found.rejected("clarity") == [("late", f"the same question as {made[0].id}")]
    assert found.zone.mean is None
    assert found.as_dict()["checks"][0]["failed"] == 1


def test_the_zone_is_that_of_accepted_items() -> None:
    items = [question(name, label).example for name in ("Sid", "Per", "Ole") for label in ("yes", "no")]
    found = examine_set(items, Context(base_that_says(0.75)), checks_named(["difficulty"]))
    assert found.accepted == 3
    assert found.zone.mean == pytest.approx(0.75, abs=1e-5)
    assert found.zone.inside


def test_a_check_that_nothing_is_left_for() -> None:
    found = examine_set([Example("a", "What? Answer:", "b")], Context(), checks_named(["answer", "clarity"]))
    assert found.counts[1] == CheckCount("clarity", 0, 0, None, None)
    assert found.accepted == 0


def test_topics_are_the_families_that_items_name() -> None:
    items = [question("Sid", "yes").example, Example("a", "b"), question("Per", "no").example]
    assert [topic.family for topic in spec_of(items).topics] == ["classification", "none"]
