"""A page of less than a whole suite, or of cells that were not computed alike, begins with that."""

from __future__ import annotations

from typing import Any

import pytest

from reports.render.part_words import part_words


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
