"""Folders can be merged in any order, merges can be merged, and what is there twice changes nothing."""

from __future__ import annotations

import tempfile
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.benchmarks.merging.made_folders import PLACES, Place, make_folder, merged

Made = tuple[dict[Place, int], int]
FOLDERS = st.tuples(
    st.dictionaries(st.sampled_from(PLACES), st.integers(0, 3), min_size=1, max_size=5), st.integers(1, 3)
)
"""Finished cells with the time at which each was finished, and how far the folder's tuning is."""
FEW = settings(max_examples=4, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def placed(root: Path, *made: Made) -> list[Path]:
    return [make_folder(root / "abc"[i], cells, trials=trials) for i, (cells, trials) in enumerate(made)]


@FEW
@given(FOLDERS, FOLDERS)
def test_a_merge_does_not_depend_on_the_order(first: Made, second: Made) -> None:
    with tempfile.TemporaryDirectory() as name:
        a, b = placed(Path(name), first, second)
        assert merged([a, b], Path(name) / "ab") == merged([b, a], Path(name) / "ba")


@FEW
@given(FOLDERS, FOLDERS, FOLDERS)
def test_merges_of_merges_are_merges_of_all(first: Made, second: Made, third: Made) -> None:
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        a, b, c = placed(root, first, second, third)
        merged([a, b], root / "ab")
        merged([b, c], root / "bc")
        at_once = merged([a, b, c], root / "abc")
        assert merged([root / "ab", c], root / "x") == merged([a, root / "bc"], root / "y") == at_once


@FEW
@given(FOLDERS, FOLDERS)
def test_what_is_merged_already_changes_nothing(first: Made, second: Made) -> None:
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        a, b = placed(root, first, second)
        once = merged([a, b], root / "ab")
        assert merged([a, b], root / "ab") == once  # the same command again
        assert merged([root / "ab", a], root / "again") == once
