"""What a page says of a run is true of that run, also where options made it another than its suite."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from benchmarks.plan.suite import load_suite

QUICK = load_suite("quick").description


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"tasks": ["scm"]}, "1 of its 4 tasks (scm)."),
        ({"tasks": ["scm", "adult:sex"]}, "2 of its 4 tasks (scm and adult:sex)."),
        ({"tasks": ["my/card.toml:sex"]}, "the task card.toml:sex instead of its 4."),
        (
            {"tasks": ["german", "nba"], "trials": 2},
            "tasks german and nba instead of its 4; trials 2 instead of 6.",
        ),
        ({"methods": ["my/model.py:make", "constant"]}, "the methods model.make and constant instead of its 16."),
        ({"protocol": "robust"}, "protocol robust instead of large_test."),
        ({"use_sensitive": ["keep", "drop"]}, "use sensitive keep and drop instead of keep."),
        ({"method_seconds": 5.0}, "method seconds 5.0 instead of none."),
    ],
)
def test_a_run_with_other_settings_says_which(options: dict[str, Any], told: str) -> None:
    said = load_suite("quick", **options).description
    assert said.startswith("The suite quick with other settings: ") and told in said
    assert "Four tasks" not in said and "90 seconds" not in said


@pytest.mark.parametrize(
    "options",
    [
        {"seed": 3}, {"tasks": ["adult:sex", "bail_clean:race", "compas:race", "scm"]}, {"splits": 1}, {"cfa": True},
        {"executor": "ray", "unit_minutes": 3.0}, {"tasks": None},
    ],
)  # fmt: skip
def test_settings_that_change_nothing_of_which_it_speaks_leave_the_description(options: dict[str, Any]) -> None:
    assert load_suite("quick", **options).description == QUICK


def test_many_names_are_counted() -> None:
    assert "5 of its 15 tasks;" in load_suite("default", tasks=load_suite("default").tasks[:5], trials=1).description


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"text": False}, "settings: without its text experts."),
        ({"tasks": ["scm"]}, "1 of its 15 tasks (scm); without its text experts."),
        (
            {"llm": {"base": "a/b", "dtype": "float16"}},
            "text experts with base a/b instead of nano, dtype float16",
        ),
        ({"methods": ["llm_mixture"]}, "none of its "),
    ],
)
def test_text_experts_are_part_of_it(options: dict[str, Any], told: str) -> None:
    assert told in load_suite("default", **options).description


def test_a_suite_of_ones_own(tmp_path: Path) -> None:
    """What its file leaves to the defaults is its own too; an empty description says what changed all the same."""
    path = tmp_path / "mine.toml"
    path.write_text('name = "mine"\ntasks = ["scm"]\n')
    assert load_suite(str(path)).description == load_suite(str(path), trials=30).description == ""
    assert "mine with other settings: trials 2 instead of 30." in load_suite(str(path), trials=2).description
