"""Edges: what is used, and what is left out and counted."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tasks.card import DataError
from tasks.edges import count_edges, read_edges


def test_every_kind_of_pair_is_counted(tmp_path: Path) -> None:
    path = tmp_path / "edges.csv"
    path.write_text("source,target\n10,11\n11,10\n10,11\n12,12\n12,99\n98,99\n10,12\n")
    ids = np.array([10, 11, 12, 13])
    found = count_edges(path, ",", ids)
    assert (found.pairs, found.used, found.unknown, found.first_unknown) == (7, 2, 2, 99)
    assert (found.loops, found.both_ways, found.repeated, found.isolated) == (1, 1, 1, 1)
    assert read_edges(path, ",", ids).tolist() == [[0, 0], [1, 2]]


@pytest.mark.parametrize("ids", [np.array(["a", "b"]), np.array([1, 1])])
def test_a_key_that_names_no_rows_is_refused(tmp_path: Path, ids: np.ndarray) -> None:
    (tmp_path / "edges.csv").write_text("1,2\n")
    with pytest.raises(DataError, match="key column of the edges"):
        read_edges(tmp_path / "edges.csv", ",", ids)
