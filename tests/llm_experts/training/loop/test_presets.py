"""Settings to begin with: by kind, base and number of items."""

import pytest

from llm_experts.adapters.registry import KINDS
from llm_experts.bases.base import Base
from llm_experts.training.loop.presets import advice, learning_rate, settings_for
from llm_experts.training.loop.settings import SettingsError
from tests.llm_experts.conftest import make_tiny_base


@pytest.fixture(scope="module")
def base() -> Base:
    return make_tiny_base()


@pytest.mark.parametrize("kind", KINDS)
def test_rates_lie_in_the_kind_s_range_at_the_reference_width(base: Base, kind: str) -> None:
    from llm_experts.adapters.registry import kind_named

    chosen = kind_named(kind)
    scale = 1024 / base.hidden_size if chosen.trains_matrices else 1
    assert chosen.lr_range[0] * scale < learning_rate(kind, base) < chosen.lr_range[1] * scale


def test_more_items_get_larger_adapters_and_fewer_epochs(base: Base) -> None:
    found = [settings_for(base, "lora", items) for items in (100, 5_000, 50_000)]
    assert [each.rank for each in found] == [4, 8, 16]
    assert [each.epochs for each in found] == [5, 3, 2]
    assert [each.evaluate_every for each in found] == [None, 250, 250]
    assert settings_for(base, "prefix", 100).rank == 8


def test_what_is_given_goes_first(base: Base) -> None:
    dpo, sft = (settings_for(base, "lora", 100, method=method, epochs=7) for method in ("dpo", "sft"))
    assert dpo.epochs == 7 and dpo.lr == pytest.approx((sft.lr or 0) / 4)


def test_advice_on_the_number_of_items() -> None:
    assert advice(100, "format") == "100 items are few for format: 500 teach something, 2,000 are good."
    assert advice(2_000, "format") == ""
    assert "more than format needs" in advice(9_000, "format")
    with pytest.raises(SettingsError, match="no complexity 'hard'; choose one of format, grammar"):
        advice(1, "hard")
