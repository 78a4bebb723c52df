"""A page of less than a whole suite, or of cells that were not computed alike, begins with that."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from reports.render.markdown import render_markdown
from reports.render.page import render_page
from reports.render.part_words import IN_FILES, described, part_words
from reports.summary import summarise
from reports.table import read_results
from tests.reports import conftest


@pytest.mark.parametrize(
    ("shards", "heading"),
    [
        ([[3, 20]], "Shard 3 of 20: not the whole suite"),
        ([[1, 3], [3, 3]], "Shards 1 and 3 of 3: not the whole suite"),
        ([[1, 2], [1, 3]], "Shard 1 of 2 and shard 1 of 3: not the whole suite"),
    ],
)
def test_shares_are_named(shards: list[list[int]], heading: str) -> None:
    ((what, why),) = part_words({"shards": shards})
    assert what == heading and "fairmoe merge" in why


def test_a_whole_suite_says_nothing() -> None:
    assert part_words({"name": "quick"}) == []


def test_what_differs_is_named_with_its_folders() -> None:
    facts: list[dict[str, Any]] = [{"what": "torch", "values": [["2.8", ["a"]], ["2.9", ["b", "c"]]]}]
    ((what, why),) = part_words({"different": facts})
    assert what == "Merged from cells of different torch" and why.startswith("2.8 in a; 2.9 in b and c. ")


@pytest.mark.parametrize(
    ("suite", "said"),
    [
        ({"description": "Four tasks."}, ["Four tasks."]),
        ({"description": ""}, []),
        ({"description": "Four tasks.", "shards": [[1, 2]]}, ["The whole suite: Four tasks."]),
        ({"description": "Four tasks.", "rows_in_files": True}, ["Four tasks.", IN_FILES]),
    ],
)
def test_a_suite_speaks_of_what_was_run(suite: dict[str, Any], said: list[str]) -> None:
    assert described(suite) == said


def test_rows_in_files_are_told_and_nothing_is_promised_that_the_run_cannot_have(tmp_path: Path) -> None:
    """No levels, no saved models and, without a mixture, nothing that it achieves."""
    conftest.write_run(tmp_path, ("german",), 2, ("utility", "constant"), rows_in_files=True)
    report = summarise(read_results(tmp_path))
    page, text = render_page(report), render_markdown(report)
    for written in (page, text):
        assert "Rows stayed in files (" in written and "Rows of this run stayed in files (" in written
        assert "run the same command again" not in written.lower() and "What the mixture achieves" not in written
        assert "fairmoe choose . --task" not in written
