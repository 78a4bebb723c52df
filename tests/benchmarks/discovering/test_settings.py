"""Settings of a discovery: file, command, preset, and what is said of faults."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.discovering.context import BaseOnDemand, Context
from benchmarks.discovering.error import DiscoverError
from benchmarks.discovering.settings import QUICK, DiscoverySettings, settings_of
from benchmarks.discovering.sizing.sizes import LEAST, Rates, estimated, plan_sizes, too_long, with_sizes
from benchmarks.discovering.steps.capability import _check_start
from tests.llm_experts.conftest import make_tiny_base

RATES = Rates(item=0.005, domain=0.05, read=0.004, trained=0.01, draft=0.02)


def test_the_command_counts_over_the_file_and_the_file_over_the_preset(tmp_path: Path) -> None:
    path = tmp_path / "discovery.toml"
    path.write_text('items = 30\nsearch-items = 7\ndomains = ["sql", "dates"]\n', encoding="utf-8")
    found = settings_of(path, {"items": 50, "seed": None}, quick=True)
    assert (found.items, found.search_items, found.domains) == (50, 7, ("sql", "dates"))
    assert found.count == QUICK["count"]
    assert settings_of(None, {}) == DiscoverySettings()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("itmes = 3\n", "there is no setting 'itmes'. Did you mean 'items'?"),
        ("items = 1\n", "items: Input should be greater than or equal to 2 (given: '1')"),
        ('evidence = "guess"\n', "evidence: Input should be 'gradients', 'errors'"),
        ("items = \n", "is no valid TOML"),
        (f"items = {'1' * 5000}\n", "is no valid TOML"),
    ],
)
def test_faults_name_file_and_setting(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "discovery.toml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(DiscoverError) as error:
        settings_of(path, {})
    assert said in str(error.value)
    assert str(path) in str(error.value)


def test_faults_are_put_down_to_whoever_said_it(tmp_path: Path) -> None:
    path = tmp_path / "discovery.toml"
    path.write_text('items = 1\ncount = 1\ndomains = "sql"\n', encoding="utf-8")
    with pytest.raises(DiscoverError) as error:
        settings_of(path, {"count": 0, "base": ""})
    told = str(error.value)
    of_file, of_command = sorted(told.split("; of "), key=lambda part: "the command" in part)
    assert (
        str(path) in of_file
        and "items: Input should be greater than or equal to 2 (given: '1')" in of_file
        and "domains is 'sql', and has to be a list, such as ['sql']" in of_file
    )
    assert "count: Input should be greater than" in of_command and "base: String should have at least 1" in of_command
    assert str(path) not in of_command


def test_a_layer_that_the_base_does_not_have_is_refused_before_anything_is_measured(tmp_path: Path) -> None:
    base = make_tiny_base(layers=3, hidden=16)
    for start, fine in ((99, False), (-4, False), (2, True)):
        context = Context(
            root=tmp_path,
            folder=tmp_path,
            settings=DiscoverySettings(start=start),
            on_demand=BaseOnDemand(lambda: base),
        )
        if fine:
            _check_start(context)
            continue
        with pytest.raises(DiscoverError, match=f"begin at layer {start}, and .* has 3: --start goes from 0 to 2"):
            _check_start(context)


def test_without_a_budget_sizes_are_as_they_were_asked_for() -> None:
    settings = DiscoverySettings()
    found = plan_sizes(settings, 10, RATES, None)
    assert (found.settings, found.factor, found.sizes) == (settings, 1.0, {})


def test_a_budget_lowers_sizes_until_the_estimate_keeps_it_and_never_below_the_least() -> None:
    settings = DiscoverySettings()
    whole = sum(estimated(settings, 10, RATES).values())
    half = plan_sizes(settings, 10, RATES, whole / 60 / 2)
    assert sum(half.seconds.values()) <= whole / 2
    assert half.settings.items < settings.items
    assert with_sizes(settings, half.sizes) == half.settings
    least = plan_sizes(settings, 10, RATES, whole / 60 / 1000)
    assert {name: getattr(least.settings, name) for name in LEAST} == LEAST


def test_a_budget_that_is_large_enough_changes_nothing() -> None:
    settings = DiscoverySettings()
    assert plan_sizes(settings, 10, RATES, 10_000).sizes == {}


def test_the_estimate_follows_what_is_asked_for() -> None:
    settings = DiscoverySettings(experts=4)
    seconds = estimated(settings, 10, RATES)
    assert seconds["1_capability"] == pytest.approx(10 * (100 * RATES.item + RATES.domain))
    assert seconds["3_data"] == pytest.approx(4 * RATES.draft * (300 + 10 * (100 + 40 + 40 + 50) / 15))
    one, two = (estimated(settings.model_copy(update={"steps": steps}), 10, RATES) for steps in (100, 200))
    assert two["4_training"] > 1.9 * one["4_training"]
    assert {name: two[name] for name in two if name != "4_training"} == {
        name: one[name] for name in one if name != "4_training"
    }


def test_layers_are_the_last_two_unless_others_are_asked_for(tmp_path: Path) -> None:
    def start(layers: int, **asked: int) -> int:
        base = make_tiny_base(layers=layers, hidden=16)
        return Context(
            root=tmp_path, folder=tmp_path, settings=DiscoverySettings(**asked), on_demand=BaseOnDemand(lambda: base)
        ).start

    assert (start(3), start(4), start(6), start(6, start=-1), start(6, start=0)) == (0, 2, 4, -1, 0)


def test_an_examination_keeps_its_hundred_scenarios_and_a_budget_that_is_too_short_is_told() -> None:
    found = plan_sizes(DiscoverySettings(), 4, RATES, 0.1)
    assert found.settings.scenarios * 4 >= 100
    assert "Even the smallest sizes are estimated to take" in too_long(found, 0.1)
    assert too_long(found, 1000) == too_long(found, None) == ""
