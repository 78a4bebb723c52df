"""Experts on dequantised weights, and what is left of them when their weights are rounded again."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from llm_experts.bases.base import Base
from llm_experts.bases.dequantised import dequantised, write_base
from llm_experts.bases.load import load_base
from llm_experts.bases.quantised import holds_codes
from llm_experts.bases.quantising import quantised
from llm_experts.data.example import Example
from llm_experts.decoder.program import Adapter
from llm_experts.discovery.measuring.domain import Scenario
from llm_experts.discovery.requantising.requantised import Requantised, choice_margins, paired, requantised, right_of
from llm_experts.training.loop.assignment import Assignment
from llm_experts.training.loop.fit import fit
from llm_experts.training.loop.settings import Settings
from llm_experts.training.sequences.choices import Choices
from llm_experts.training.sequences.lanes import SequenceLanes
from metrics.proportions import wilson
from tests.llm_experts.conftest import make_tiny_base
from tests.llm_experts.expert_fixtures import make_adapter

ITEMS = [Example(str(n), f"{n} good?", "no", None, {"labels": ["yes", "no"]}) for n in range(16)]
SCENARIOS = [Scenario("told", one, ("no", "yes")) for one in ITEMS]


def margins_with(base: Base, adapter: Adapter) -> torch.Tensor:
    lanes = SequenceLanes.of(base, [adapter])
    choices = Choices.of(base, [one.example for one in SCENARIOS], [one.answers for one in SCENARIOS])
    return choices.margins(lanes, lanes.start)[0]


@pytest.mark.parametrize("kind", ["ternary", "nf4", "int8"])
def test_svf_trains_on_dequantised_weights_and_its_effect_carries(kind: str, tmp_path: Path) -> None:
    coded = quantised(make_tiny_base(layers=2, hidden=32), kind)
    base = dequantised(coded)
    settings = Settings(kind="svf", rank=None, steps=12, batch_size=8, lr=0.05, evaluate_every=12)
    (fitted,) = fit(base, [Assignment("told", ITEMS, ITEMS, settings)], folder=tmp_path / "experts")
    before, after = choice_margins(base, SCENARIOS), margins_with(base, fitted.adapter)
    assert float(after.mean()) > float(before.mean()) + 0.5  # it has learnt
    carried = margins_with(coded, fitted.adapter)  # on the codes themselves, which stand for the same matrices
    torch.testing.assert_close(carried, after, rtol=0, atol=5e-3 * float(after.abs().max()))
    write_base(base, tmp_path / "base", {})
    torch.testing.assert_close(
        margins_with(load_base(str(tmp_path / "base")), fitted.adapter), after, rtol=0, atol=1e-4
    )
    folded, found = requantised(base, fitted.adapter, "int8", SCENARIOS, texts=["yes or no?"] * 2)
    torch.testing.assert_close(choice_margins(folded, SCENARIOS), after, rtol=0, atol=0.3)  # INT8 keeps it
    assert found.folded.right == int((after > 0).sum()) and found.folded.p_mean > found.base.p_mean


def test_ternary_weights_that_nothing_changed_cost_nothing(tiny_base: Base) -> None:
    base = quantised(tiny_base, "ternary", scale="fitted")
    adapter = make_adapter("lora", base=tiny_base, size=0.0)
    rounded, found = requantised(base, adapter, "ternary", SCENARIOS)
    assert found.agreement.top1 == 1.0 and found.agreement.relative.estimate < 1e-5
    assert found.cost.difference == found.left.difference == 0.0 and found.cost.p == 1.0
    assert holds_codes(rounded.model) and rounded.quantisation == "ternary" and holds_codes(base.model)
    assert found.bytes_after < found.bytes_before


def test_what_it_cost_is_what_the_three_models_say(tiny_base: Base) -> None:
    adapter = make_adapter("lora", 3, base=tiny_base, size=0.5)
    rounded, found = requantised(tiny_base, adapter, "ternary", SCENARIOS, texts=["The age is 23."] * 3)
    mine, theirs = choice_margins(rounded, SCENARIOS) > 0, margins_with(tiny_base, adapter) > 0
    n = len(SCENARIOS)
    assert (found.n, found.rounded.right, found.folded.right) == (n, int(mine.sum()), int(theirs.sum()))
    assert (found.rounded.low, found.rounded.high) == wilson(int(mine.sum()), n)
    assert found.cost.difference == pytest.approx((int(mine.sum()) - int(theirs.sum())) / n)
    assert found.cost.low <= found.cost.difference <= found.cost.high
    assert Requantised.from_dict(found.as_dict()) == found


def test_numbers_by_hand() -> None:
    """Six items: right together twice, the one alone once, the other alone never."""
    one, other = torch.tensor([1.0, 2, 3, -1, -1, -1]), torch.tensor([1.0, 1, -1, -1, -1, 0])
    found = right_of(one)
    assert (found.right, found.share) == (3, 0.5) and (found.low, found.high) == wilson(3, 6)
    assert right_of(torch.zeros(2)).p_mean == 0.5 and right_of(torch.zeros(2)).right == 0
    difference = paired(one, other)
    assert difference.difference == pytest.approx(1 / 6) and difference.p == 1.0
    assert difference.low < 1 / 6 < difference.high
