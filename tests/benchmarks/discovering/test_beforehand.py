"""What a late step would refuse is refused before the first one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from artefacts.format.error import PackageError
from benchmarks.cli import app
from benchmarks.discovering.beforehand import check_beforehand
from benchmarks.discovering.error import DiscoverError
from benchmarks.discovering.settings import QUICK, DiscoverySettings
from llm_experts.adapters.error import AdapterError
from llm_experts.data.error import DataError


@pytest.mark.parametrize(
    ("changed", "kind", "said"),
    [
        ({"domains": ("sql", "nosuch", "dates")}, DataError, "There is no family 'nosuch'"),
        ({"domains": ("sql", "dates")}, DiscoverError, "2 domains are named, and a discovery plans 3 experts at least"),
        ({"domains": ("sql", "dates", "lookup"), "experts": 4}, DiscoverError, "Ask for 3 experts at most"),
        ({"provider": "nosuch"}, DataError, "There is no provider 'nosuch'; providers are"),
        ({"checks": ("clarity", "nosuch")}, DataError, "There is no check 'nosuch'; checks are"),
        ({"kind": "nosuch"}, AdapterError, "There is no adapter kind 'nosuch'"),
        ({"kind": "ia3"}, AdapterError, "Experts of kind ia3 cannot be mixed into one adapter"),
        ({"kind": "prefix"}, AdapterError, "train experts as lora or svf"),
        ({"preserve": ("tools", "nosuch[/red]")}, DataError, "'nosuch[/red]' is nothing that can be preserved"),
        ({"preserve": ("none", "tools")}, DataError, "'none' is nothing that can be preserved"),
        ({"name": "A [/red] B"}, PackageError, "is no package's name"),
    ],
)
def test_names_and_numbers_are_looked_at_first(changed: dict[str, Any], kind: type[Exception], said: str) -> None:
    with pytest.raises(kind) as error:
        check_beforehand(DiscoverySettings(**changed))
    assert said in str(error.value)


@pytest.mark.parametrize(
    "fine",
    [{}, QUICK, {"kind": "svf"}, {"preserve": ("none",)}, {"preserve": ("tools", "sql@0.5")}, {"checks": ("none",)}],
)
def test_what_every_step_takes_is_taken(fine: dict[str, Any]) -> None:
    check_beforehand(DiscoverySettings(**fine))


def test_the_command_refuses_before_it_makes_a_folder(tmp_path: Path) -> None:
    output = tmp_path / "run"
    result = CliRunner().invoke(app, ["discover", "--output", str(output), "--quick", "--preserve", "nosuch"])
    assert isinstance(result.exception, DataError)
    assert not output.exists()
