"""Parquet read in parts: what is held does not grow with the file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow
import pyarrow.parquet as pq
import pytest

from tasks.formats.arrow import parquet_parts

ROWS, COLUMNS = 400_000, 10


@pytest.mark.parametrize("group", [20_000, ROWS], ids=["many row groups", "one row group"])
def test_parts_do_not_keep_what_was_read(tmp_path: Path, group: int) -> None:
    """32 MB of numbers that cannot be compressed, a fortieth at a time: a quarter of them is never held."""
    random = np.random.default_rng(0)
    frame = pd.DataFrame({f"n{column}": random.standard_normal(ROWS) for column in range(COLUMNS)})
    path = tmp_path / "numbers.parquet"
    pages: dict[str, object] = {"data_page_size": 1 << 16, "use_dictionary": False}  # a page of each column is held
    frame.to_parquet(path, index=False, row_group_size=group, **pages)
    with pq.ParquetFile(path) as file:
        assert file.metadata.num_row_groups == ROWS // group
    size, before = path.stat().st_size, pyarrow.total_allocated_bytes()
    held, parts = 0, []
    for part in parquet_parts(path, ROWS // 40):
        held = max(held, pyarrow.total_allocated_bytes() - before)
        parts.append(part.iloc[::1000].copy())
    assert size > 30e6
    assert held < size / 4, f"{held:,} of {size:,} bytes"
    pd.testing.assert_frame_equal(pd.concat(parts, ignore_index=True), frame.iloc[::1000].reset_index(drop=True))
