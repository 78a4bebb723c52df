"""Names, versions and ranges."""

from __future__ import annotations

import itertools
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from artefacts.format.error import PackageError
from artefacts.format.names import Range, Version, check_name, skeleton

ORDER = (  # semver.org, rule 11, and numbers as numbers
    "1.0.0-0", "1.0.0-2", "1.0.0-10", "1.0.0-alpha", "1.0.0-alpha.1", "1.0.0-alpha.beta", "1.0.0-beta", "1.0.0-beta.2",
    "1.0.0-beta.11", "1.0.0-rc.1", "1.0.0", "1.0.2", "1.0.10", "1.2.0", "1.10.0", "2.0.0",
)  # fmt: skip


def test_versions_are_ordered_as_semver_says() -> None:
    for low, high in itertools.combinations(map(Version.parse, ORDER), 2):
        assert low < high
        assert not high < low


def test_builds_have_no_order() -> None:
    one, other = Version.parse("1.0.0+a"), Version.parse("1.0.0+b")
    assert not one < other
    assert not other < one
    assert one != other
    assert str(one) == "1.0.0+a"


NO_VERSIONS = (
    "1", "1.2", "01.2.3", "1.2.3-", "1.2.3-01", "1.2.3+", "v1.2.3", "1.2.3 ", "1.2.3-a..b", "1.2.3\n", "1.2.-3", "",
    "1.2.3-é", "9999999999.0.0", "1.0.0-" + "a" * 200,
)  # fmt: skip


@pytest.mark.parametrize("text", NO_VERSIONS)
def test_what_is_no_version_is_refused(text: str) -> None:
    with pytest.raises(PackageError, match=r"\[version\]"):
        Version.parse(text)


RANGES = {
    "*": ("0.0.0 1.2.3 9.0.0", "1.0.0-rc.1"),
    "1.2.3": ("1.2.3 1.2.3+b", "1.2.4 1.2.3-rc.1"),
    "=1.2.3": ("1.2.3", "1.2.2"),
    "==1.2": ("1.2.0 1.2.9", "1.3.0"),
    "1.2.x": ("1.2.0 1.2.9", "1.3.0 1.1.9 1.2.0-rc.1 1.3.0-rc.1"),
    "1.x": ("1.0.0 1.9.9", "2.0.0 0.9.9"),
    "1": ("1.0.0 1.9.9", "2.0.0"),
    "^1.2": ("1.2.0 1.9.9", "2.0.0 1.1.9 2.0.0-rc.1"),
    "^1.2.3": ("1.2.3 1.9.9", "1.2.2 2.0.0"),
    "^0.2.3": ("0.2.3 0.2.9", "0.3.0 0.2.2"),
    "^0.0.3": ("0.0.3", "0.0.4 0.0.2"),
    "^0.0": ("0.0.0 0.0.9", "0.1.0"),
    "^0": ("0.0.0 0.9.9", "1.0.0"),
    "~1.2": ("1.2.0 1.2.9", "1.3.0"),
    "~1.2.3": ("1.2.3 1.2.9", "1.3.0 1.2.2"),
    "~1": ("1.0.0 1.9.9", "2.0.0"),
    ">=1,<2": ("1.0.0 1.9.9", "2.0.0 0.9.9"),
    ">=1.2.3-rc.1,<2.0.0": ("1.2.3-rc.1 1.2.3-rc.2 1.2.3 1.9.0", "1.2.3-alpha 1.3.0-rc.1"),
    ">1.2": ("1.3.0 2.0.0", "1.2.0 1.2.9 1.3.0-rc.1"),
    ">1.2.3": ("1.2.4", "1.2.3"),
    "<=1.2": ("1.2.9 0.1.0", "1.3.0"),
    "<=1.2.3": ("1.2.3", "1.2.4"),
    ">= 1.0.0 , != 1.5.0": ("1.4.0 1.6.0", "1.5.0"),
}


@pytest.mark.parametrize("text", RANGES)
def test_ranges_hold_what_they_say(text: str) -> None:
    inside, outside = RANGES[text]
    found = Range.parse(text)
    assert [word for word in inside.split() if Version.parse(word) not in found] == []
    assert [word for word in outside.split() if Version.parse(word) in found] == []


@pytest.mark.parametrize(
    "text", ["", ",", "1.2,", "=>1", "1.x.3", "^*", "^", "a", "1 - 2", "!=1.2", "1.2.3.4", "1" * 300]
)
def test_what_is_no_range_is_refused(text: str) -> None:
    with pytest.raises(PackageError, match=r"\[range\]"):
        Range.parse(text)


@pytest.mark.parametrize("name", ["a", "german-mlp", "x1-y2", "a" * 64])
def test_names(name: str) -> None:
    assert check_name(name) == name


@given(st.text(max_size=70))
def test_only_plain_names_are_names(name: str) -> None:
    plain = re.fullmatch("[a-z0-9]+(-[a-z0-9]+)*", name) is not None and len(name) <= 64
    try:
        assert check_name(name) == name
    except PackageError:
        assert not plain
    else:
        assert plain


def test_names_that_look_alike_have_one_skeleton() -> None:
    assert skeleton("modern-fair") == skeleton("modem-fair") == skeleton("m0dernfa1r")
    assert skeleton("german") != skeleton("credit")
