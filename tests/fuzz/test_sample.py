"""A small sample of the fuzzing campaign, and what it found before."""

from __future__ import annotations

import pytest
from hypothesis import given, settings

from tests.fuzz.inputs import CARD, STRATEGIES, predictions, table
from tests.fuzz.packages import sound
from tests.fuzz.seeds import answer, read_seeds
from tests.fuzz.targets import TARGETS, Broken, judge

EXAMPLES = {
    "tables": 25, "cards": 40, "rows": 25, "predictions": 60, "suites": 40, "manifests": 100, "packages": 100,
}  # fmt: skip


@pytest.mark.parametrize("kind", sorted(TARGETS))
def test_every_input_is_accepted_or_refused_in_one_paragraph(kind: str) -> None:
    @settings(max_examples=EXAMPLES[kind], derandomize=True, database=None, deadline=None)
    @given(STRATEGIES[kind])
    def holds(data: bytes) -> None:
        judge(TARGETS[kind], data)

    holds()


def test_the_good_ones_are_accepted() -> None:
    assert judge(TARGETS["tables"], table().encode()) == "accepted"
    assert judge(TARGETS["cards"], CARD.encode()) == "accepted"
    assert judge(TARGETS["predictions"], predictions().encode()) == "accepted"
    assert judge(TARGETS["predictions"], b"row;probability\n") == "PredictionError"
    assert [judge(TARGETS["packages"], data) for data in sound()] == ["accepted"] * 3
    assert judge(TARGETS["manifests"], b"{}") == "PackageError"


def test_what_coverage_has_found_is_refused_for_the_same_reason() -> None:
    seeds = read_seeds()
    assert {seed.kind for seed in seeds} == {"manifests", "packages"}
    for seed in seeds:
        assert answer(seed.kind, seed.data)[0] == seed.reason, seed.line()


def test_a_traceback_is_told_as_broken() -> None:
    def target(data: bytes, folder: object) -> None:
        raise KeyError("row")

    with pytest.raises(Broken, match="a traceback: KeyError"):
        judge(target, b"")
