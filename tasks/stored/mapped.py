"""Arrays in files, mapped into memory; pages that were read can be given back."""

from __future__ import annotations

import mmap
from pathlib import Path
from typing import Any

import numpy as np

from tasks.card import DataError


class MappedArray:
    """A raw array in a file, read only.

    Parameters
    ----------
    path : Path
    dtype : NumPy type
    shape : tuple of int

    Raises
    ------
    DataError
        If the file is missing or has another size.
    """

    def __init__(self, path: Path, dtype: Any, shape: tuple[int, ...]) -> None:
        wanted = int(np.prod(shape, dtype=np.int64)) * np.dtype(dtype).itemsize
        found = path.stat().st_size if path.is_file() else -1
        if found != wanted:
            what = "is missing" if found < 0 else f"has {found} bytes, not {wanted}"
            raise DataError(
                f"{path} of an encoded table {what}; remove its folder, {path.parent}, and run again: the table is "
                "encoded anew."
            )
        self._map: mmap.mmap | None = None
        self.array: np.ndarray = np.zeros(shape, dtype)
        if wanted:
            with path.open("rb") as file:
                self._map = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
            self.array = np.frombuffer(self._map, dtype=dtype).reshape(shape)

    def take(self, rows: np.ndarray) -> np.ndarray:
        """A copy of rows; the pages that were read for it do not stay."""
        found: np.ndarray = self.array[rows]
        if self._map is not None:
            self._map.madvise(mmap.MADV_DONTNEED)
        return found
