"""Suites: names, overrides, errors."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.suite import SuiteError, load_suite, suite_names


def test_default_suite_is_the_promised_one() -> None:
    suite = load_suite("default")
    assert suite.tasks == ("german", "bail_clean", "credit", "adult:sex", "compas:race", "scm")
    assert (suite.splits, suite.trials, suite.protocol, suite.space) == (5, 30, "robust", "published")


def test_quick_suite_is_the_promised_one() -> None:
    suite = load_suite("quick")
    assert suite.tasks == ("german", "compas:race", "scm")
    assert (suite.splits, suite.trials) == (2, 10)


@pytest.mark.parametrize("name", suite_names())
def test_every_suite_that_ships_loads_and_is_named_after_its_file(name: str) -> None:
    assert load_suite(name).name == name


def test_override_changes_value_and_hash() -> None:
    assert load_suite("quick", seed=1).hash != load_suite("quick").hash
    assert load_suite("quick", seed=None).hash == load_suite("quick").hash


def test_unknown_suite_names_the_closest() -> None:
    with pytest.raises(SuiteError, match="Did you mean 'default'"):
        load_suite("defualt")


def test_unknown_field_is_named(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text('name = "mine"\ntasks = ["scm"]\ntrails = 3\n')
    with pytest.raises(SuiteError, match="trails"):
        load_suite(str(path))


def test_broken_toml_is_an_error_with_its_place(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text("name = \n")
    with pytest.raises(SuiteError, match="not valid TOML"):
        load_suite(str(path))
