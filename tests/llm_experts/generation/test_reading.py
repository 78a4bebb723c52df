"""Specs from files: their fields, and every fault by its field."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from llm_experts.data.error import DataError
from llm_experts.generation.budget import Budget
from llm_experts.generation.reading import read_spec
from llm_experts.generation.spec import DataSpec, Topic

WHOLE = """
expert = "sums"
count = 300
success = [0.5, 0.9]
requirements = ["numbers below 100"]
[[topics]]
family = "arithmetic"
difficulty = 0.3
[[topics]]
name = "credit"
family = "rows:german"
about = "is it a good risk"
"""


def test_a_spec_reads_back_from_toml_and_json(tmp_path: Path) -> None:
    path = tmp_path / "sums.toml"
    path.write_text(WHOLE)
    topics = (
        Topic(name="arithmetic", family="arithmetic", difficulty=0.3),
        Topic(name="credit", family="rows:german", about="is it a good risk"),
    )
    expected = DataSpec(
        expert="sums", topics=topics, count=300, success=(0.5, 0.9), requirements=("numbers below 100",)
    )  # fmt: skip
    assert read_spec(path) == expected
    other = tmp_path / "sums.json"
    other.write_text(json.dumps(expected.as_dict() | {"topics": [{"family": "arithmetic"}]}))
    assert read_spec(other).topics == (Topic(name="arithmetic", family="arithmetic"),)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('expert = "sums"', "", r"field expert: it is missing. Write expert = "),
        ("count = 300", "count = 0", r"field count: it is no whole number above 0. Write count = 300"),
        ("count = 300", f"count = {10**23}", r"field count: it is more than 1,000,000, as a set is held in memory"),
        ("count = 300", "count = 1_000_001", "field count: it is more than 1,000,000"),
        ('"numbers below 100"', f'"{"x" * 2_001}"', "field requirements: it is no list of texts of at most 2,000"),
        ('"numbers below 100"', '"a", ' * 51, "field requirements: it is a list of more than 50"),
        ('"is it a good risk"', f'"{"x" * 2_001}"', r"topics\[1\].about: it is a text of 2,001 characters"),
        ("[[topics]]", '[[topics]]\nfamily = "sql"\n' * 100 + "[[topics]]", "field topics: it has 102 tables"),
        ("count = 300", "cuont = 300", r"field cuont: it is unknown. Did you mean 'count'\?"),
        ("[0.5, 0.9]", "[0.9, 0.5]", r"field success: it is no pair .* the lower one first"),
        ("0.3", "3", r"field topics\[0\].difficulty: it is no number from 0 to 1"),
        ('"arithmetic"', '"chess"', r"field topics\[0\].family: There is no family 'chess'"),
        ("about", "abuot", r"field topics\[1\].abuot: it is unknown. Did you mean 'about'\?"),
        ('"credit"', '"arithmetic"', "field topics: it names a topic twice"),
        ('["numbers below 100"]', '"x"', "field requirements: it is no list of texts"),
        ('expert = "sums"', 'expert = "sums', "is no valid TOML"),
    ],
)
def test_faults_are_named_by_field(old: str, new: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "sums.toml"
    path.write_text(WHOLE.replace(old, new, 1))
    with pytest.raises(DataError, match=message):
        read_spec(path)


def test_files_that_are_no_specs_are_explained(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="There is no file"):
        read_spec(tmp_path / "none.toml")
    with pytest.raises(DataError, match=r"must end in \.toml or \.json"):
        read_spec(tmp_path / "spec.yaml")
    (tmp_path / "list.json").write_text("[]")
    with pytest.raises(DataError, match=r"holds a list; .*docs/generating_items\.md"):
        read_spec(tmp_path / "list.json")
    (tmp_path / "none.json").write_text('{"expert": "a", "count": 1, "topics": []}')
    with pytest.raises(DataError, match="field topics: it is no list of tables"):
        read_spec(tmp_path / "none.json")


def test_bounds_hold_also_where_no_file_is_read() -> None:
    topics = (Topic(name="a", family="sql"),)
    with pytest.raises(DataError, match=r"1 topics and 1e\+23 items; a set has at most 100 and 1,000,000"):
        DataSpec(expert="sums", topics=topics, count=10**23)
    for dollars in (float("nan"), float("inf"), -1.0):
        with pytest.raises(DataError, match="leave it out for no bound"):
            Budget(dollars=dollars)
