"""Result files are read with tolerance: what is absent or of another type is unknown, never an error."""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from reports.discovery.page import render_page
from reports.discovery.reading import (
    STEPS,
    Discovery,
    Measured,
    clean,
    finite,
    measured,
    number,
    numbers,
    read_discovery,
    rows,
    text,
    texts,
    truth,
)
from tests.reports.discovery.sample import sample, write

TEXT = st.text(max_size=8).filter(lambda text: "nan" not in text.lower())
"""So that a page with nan has it of a number."""
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=8,
)


def test_numbers_are_finite_or_nan() -> None:
    node = {"a": {"b": 2}, "flag": True, "word": "3", "none": None, "big": 10**400}
    assert number(node, "a", "b") == 2.0
    for path in (("a",), ("flag",), ("word",), ("none",), ("gone",), ("a", "b", "c"), ("big",)):
        assert math.isnan(number(node, *path)), path
    assert math.isnan(finite(1e308)) and math.isnan(finite(-1e101)) and finite(-1e99) == -1e99
    assert math.isnan(finite(float("inf"))) and numbers({"x": [1, None]}, "x")[0] == 1.0


def test_texts_rows_and_truths_of_other_types_are_left_out() -> None:
    node = {"rows": [{"a": 1}, 3, None, {"b": 2}], "names": ["x", 1, "y\nz"], "yes": True, "one": 1}
    assert rows(node, "rows") == [{"a": 1}, {"b": 2}] and rows(node, "names") == [] and rows(node, "one") == []
    assert texts(node, "names") == ["x", "y↵z"] and text(node, "one") == "1" and text(node, "rows") == ""
    assert truth(node, "yes") is True and truth(node, "one") is None
    assert clean("\x1b[31m" + "x" * 9000).startswith("\\x1b[31m") and len(clean("x" * 9000)) == 4000


def test_an_interval_says_which_side_it_is_on() -> None:
    signs = [Measured(0.2, 0.1, 0.3).sure, Measured(0.1, 0.0, 0.3).sure, Measured(-0.2, -0.3, -0.1).sure]
    assert signs == [1, 0, -1] and Measured(0.2).sure == 0
    assert measured({"x": 0.5}, "x") == Measured(0.5) or math.isnan(measured({"x": 0.5}, "x").low)


def test_files_that_are_no_objects_are_named(tmp_path: Path) -> None:
    write(tmp_path, {"capability": sample()["capability"]})
    for place, content in (("2_plan", "{"), ("3_data", "[1]"), ("4_training", "\xff")):
        (tmp_path / place).mkdir()
        (tmp_path / place / "result.json").write_text(content, encoding="latin-1")
    found = read_discovery(tmp_path)
    assert list(found.steps) == ["capability"]
    assert list(found.unreadable) == [f"{place}/result.json" for place in ("2_plan", "3_data", "4_training")]
    assert "2_plan/result.json" in render_page(found) and len(found.domains) == 10


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.dictionaries(st.sampled_from(list(STEPS.values())), st.dictionaries(st.text(max_size=6), JSON), max_size=4))
def test_a_page_of_any_json(steps: dict[str, Any]) -> None:
    assert render_page(Discovery({}, steps)).endswith("</html>")


def changed(node: object, draw: st.DrawFn) -> object:
    """A result in which some leaves, rows or keys are something else, or gone."""
    if draw(st.integers(0, 12)) == 0:
        return draw(JSON)
    if isinstance(node, dict):
        return {key: changed(value, draw) for key, value in node.items() if draw(st.integers(0, 15))}
    if isinstance(node, list):
        return [changed(value, draw) for value in node[:3]]
    return node


@st.composite
def damaged(draw: st.DrawFn) -> dict[str, Any]:
    """A whole discovery with damage anywhere."""
    return {name: changed(node, draw) for name, node in sample().items()}


UNSHRUNK = (Phase.explicit, Phase.reuse, Phase.generate)
"""Whole runs take minutes to shrink."""


@settings(max_examples=10, deadline=None, suppress_health_check=list(HealthCheck), phases=UNSHRUNK)
@given(damaged())
def test_a_page_of_damaged_results(results: dict[str, Any]) -> None:
    objects = {name: node for name, node in results.items() if isinstance(node, dict)}
    page = render_page(Discovery(objects.pop("top", {}), objects))
    assert page.endswith("</html>")
    assert "nan" not in re.findall(r"\w+", page.lower())
