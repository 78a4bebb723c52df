"""Whether experts can be composed: known sizes and interferences, and that what must hold is looked at."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import pytest
import torch

from llm_experts.adapters.error import AdapterError
from llm_experts.adapters.svf import spectra_in
from llm_experts.mixtures.bank import AdapterBank, Gate
from llm_experts.runtime.compatibility import check_set
from llm_experts.runtime.resident import ResidentBase
from tests.llm_experts.runtime.resident_fixtures import BASE, peft_adapter, saved

TEXTS = (
    "The applicant's age is 23 years.",
    "Question: Is the applicant a good credit risk?",
    "no",
    "Options: yes or no",
)


@pytest.fixture(autouse=True)
def no_svd_cache() -> Iterator[None]:
    with spectra_in(None):
        yield


def resident(*kinds: str, size: float = 0.1, seeds: Sequence[int] = (0, 1, 2, 3, 4)) -> ResidentBase:
    on = ResidentBase(BASE, slots=len(kinds))
    for name, kind, seed in zip("abcde", kinds, seeds, strict=False):
        on.known(name, saved(peft_adapter(kind, seed, size=size)))
    return on


def test_all_kinds_together_hold_what_must_hold() -> None:
    found = check_set(resident("lora", "dora", "ia3", "svf", "soft_prompt"), "abcde", TEXTS)
    assert found.problems == () and found.whole_undefined == "" and found.texts == 4
    assert len(found.pairs) == 10 and all(not pair.defined for pair in found.pairs)
    for share in [*found.effects.values(), found.whole, *(pair.interference for pair in found.pairs)]:
        assert 0 < share.low <= share.estimate <= share.high
    assert check_set(resident("lora"), "a", TEXTS).effects["a"].estimate == pytest.approx(found.effects["a"].estimate)


def test_an_expert_beside_itself_has_twice_its_weight_and_interference_vanishes_with_its_size() -> None:
    pairs = []
    for size in (0.01, 0.001):
        found = check_set(resident("lora", "lora", size=size, seeds=(3, 3)), "ab", TEXTS)
        double = check_set(resident("lora", size=size, seeds=(3,)), "a", TEXTS, weight=2.0)
        assert found.effects["a"] == found.effects["b"]
        assert double.effects["a"].estimate == pytest.approx(found.pairs[0].size.estimate, rel=1e-2)
        pairs.append(found.pairs[0])
    large, small = (pair.interference.estimate for pair in pairs)
    assert small == pytest.approx(large / 10, rel=0.3)  # what is not linear is of second order
    assert pairs[1].size.estimate == pytest.approx(2 * found.effects["a"].estimate, rel=0.03)


def test_an_expert_without_an_effect_has_size_0_and_no_interference() -> None:
    found = check_set(resident("lora", "lora", size=0.0), "ab", TEXTS)
    assert found.effects["a"].estimate == 0 and found.problems == ()
    assert not torch.tensor(found.pairs[0].interference.estimate).isfinite()


def test_undefined_sets_say_why() -> None:
    found = check_set(resident("prefix", "lora", "prefix"), "abc", TEXTS)
    assert "both prefixes" in found.whole_undefined and not torch.tensor(found.whole.estimate).isfinite()
    assert [bool(pair.defined) for pair in found.pairs] == [False, True, False]
    with pytest.raises(AdapterError, match="one without a token"):
        check_set(resident("lora"), "a", ["yes", ""])


def test_weights_that_overflow_are_a_problem() -> None:
    on = ResidentBase(BASE, slots=2)
    model = peft_adapter("lora", size=1e30)
    on.known("a", saved(model))
    on.known("b", saved(peft_adapter("lora", 1)))
    found = check_set(on, "ab", TEXTS)
    assert [text for text in found.problems if "of a are not finite" in text]
    assert [text for text in found.problems if "of a + b are not finite" in text]


def test_a_bank_that_leaks_between_rows_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    prepared = AdapterBank.prepared

    def leaking(self: AdapterBank, weights: torch.Tensor, used: Sequence[int] | None = None) -> Gate:
        return prepared(self, weights + 0.1 * weights.mean(0), used)

    monkeypatch.setattr(AdapterBank, "prepared", leaking)
    problems = check_set(resident("lora", "lora"), "ab", TEXTS).problems
    assert [text for text in problems if "A weight of 0 is not the base" in text]
    assert [text for text in problems if "a is not the same beside others" in text]
