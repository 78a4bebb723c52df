"""Safetensors files read without torch: the header means one thing, and every weight is a finite number."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Protocol

from artefacts.format.error import PackageError
from artefacts.format.files import check_start
from artefacts.format.limits import LIMITS, Limits
from artefacts.format.strict_json import read_json

if TYPE_CHECKING:
    import numpy as np

BLOCK = 2**20
"""Bytes that are read at a time; a multiple of every number's."""
ITEM = {
    "BOOL": 1, "U8": 1, "I8": 1, "F8_E5M2": 1, "F8_E4M3": 1, "U16": 2, "I16": 2, "F16": 2, "BF16": 2, "U32": 4,
    "I32": 4, "F32": 4, "U64": 8, "I64": 8, "F64": 8,
}  # fmt: skip
"""Bytes of a number of each dtype."""
_TOP = {
    "F8_E5M2": ("u1", 0x7F, 0x7C),
    "F8_E4M3": ("u1", 0x7F, 0x7F),
    "F16": ("<u2", 0x7FFF, 0x7C00),
    "BF16": ("<u2", 0x7FFF, 0x7F80),
}
"""Small floats as whole numbers: their type, all bits but the sign, and the first value that is not finite."""
_DEEPEST_SHAPE = 16


class Stream(Protocol):
    """What is read from: exactly as many bytes as asked, or an error."""

    def take(self, count: int) -> bytes:
        """The next ``count`` bytes."""
        ...


def check_tensors(
    stream: Stream, size: int, name: str = "weights.safetensors", limits: Limits = LIMITS
) -> dict[str, int]:
    """Read a safetensors file from its start to its end.

    Parameters
    ----------
    stream : Stream
        At the file's first byte; read once, in blocks.
    size : int
        Bytes of the file.
    name : str
        For messages.
    limits : Limits

    Returns
    -------
    dict of str -> int
        How many numbers there are of each dtype.

    Raises
    ------
    PackageError
        ``tensors-header`` (too long, no JSON object, unknown fields), ``tensors-count``, ``tensors-dtype``,
        ``tensors-shape`` (dtype times shape is not the range's length), ``tensors-offsets`` (gaps, overlaps, a range
        beyond the file, bytes after the last), ``not-a-number``, ``pickle``, or ``json-...``.
    """
    start = stream.take(min(9, size))
    check_start(name, start)
    length = int.from_bytes(start[:8], "little")
    if size < 10 or not 2 <= length <= min(limits.header, size - 8):
        raise PackageError(
            "tensors-header", f"{name} tells of a header of {length:,} bytes, in a file of {size:,}; at most "
            f"{limits.header:,} are read. It is damaged, or no safetensors file.",
        )  # fmt: skip
    header = read_json(start[8:] + stream.take(length - 1), f"{name}'s header", limits.header)
    numbers: Counter[str] = Counter()
    for dtype, count in _runs(header, size - 8 - length, name, limits):
        numbers[dtype] += count
        _scan(stream, dtype, count, name)
    return dict(numbers)


def _runs(header: Any, size: int, name: str, limits: Limits) -> Iterator[tuple[str, int]]:
    """Neighbours of one dtype as one: (dtype, how many numbers), after all ranges are checked."""
    if not isinstance(header, dict):
        raise PackageError("tensors-header", f"{name}'s header is no JSON object.")
    told = header.pop("__metadata__", {})
    if not isinstance(told, dict) or not all(isinstance(value, str) for value in told.values()):
        raise PackageError("tensors-header", f"{name}'s metadata are not texts by name.")
    if len(header) > limits.tensors:
        raise PackageError("tensors-count", f"{name} has {len(header):,} tensors; at most {limits.tensors:,} are read.")
    ranges = sorted((_range(entry, tensor, name) for tensor, entry in header.items()), key=lambda found: found[:2])
    end = 0
    runs: list[tuple[str, int]] = []
    for first, last, dtype, count, tensor in ranges:
        if first != end:
            told_as = "a gap before" if first > end else "an overlap at"
            raise PackageError("tensors-offsets", f"{name} has {told_as} the tensor {tensor[:80]!a}.")
        end = last
        if runs and runs[-1][0] == dtype:
            runs[-1] = (dtype, runs[-1][1] + count)
        else:
            runs.append((dtype, count))
    if end != size:
        raise PackageError("tensors-offsets", f"{name} has {size:,} bytes of tensors, and tells of {end:,}.")
    return iter(runs)


def _range(entry: Any, tensor: str, name: str) -> tuple[int, int, str, int, str]:
    """A tensor's first and last byte, dtype and size, if they fit each other."""
    where = f"{name}, tensor {tensor[:80]!a}"
    if not isinstance(entry, dict) or set(entry) != {"dtype", "shape", "data_offsets"}:
        raise PackageError("tensors-header", f"{where}: not exactly dtype, shape and data_offsets.")
    dtype, shape, offsets = entry["dtype"], entry["shape"], entry["data_offsets"]
    if not isinstance(dtype, str) or dtype not in ITEM:
        raise PackageError("tensors-dtype", f"{where}: the dtype {str(dtype)[:40]!a} is none of {', '.join(ITEM)}.")
    if not _wholes(shape) or len(shape) > _DEEPEST_SHAPE:
        raise PackageError("tensors-shape", f"{where}: the shape is no short list of whole numbers.")
    if not _wholes(offsets) or len(offsets) != 2 or offsets[0] > offsets[1]:
        raise PackageError("tensors-offsets", f"{where}: data_offsets are no range.")
    count = math.prod(shape)
    if count * ITEM[dtype] != offsets[1] - offsets[0]:
        raise PackageError(
            "tensors-shape",
            f"{where}: {str(shape)[:80]} numbers of {dtype} take {count * ITEM[dtype]:,} bytes, not the "
            f"{offsets[1] - offsets[0]:,} that it has.",
        )
    return offsets[0], offsets[1], dtype, count, tensor


def _wholes(value: Any) -> bool:
    return isinstance(value, list) and all(type(part) is int and 0 <= part < 2**63 for part in value)


def _scan(stream: Stream, dtype: str, count: int, name: str) -> None:
    left = count * ITEM[dtype]
    while left:
        block = stream.take(min(left, BLOCK))
        left -= len(block)
        if not _finite(block, dtype):
            raise PackageError("not-a-number", f"{name} has NaN, an infinity or a truth value that is neither 0 nor 1.")


def _finite(block: bytes, dtype: str) -> bool:
    """Whether all numbers of a block are finite; whole numbers are."""
    import numpy as np

    if dtype in ("F32", "F64"):
        return bool(np.isfinite(np.frombuffer(block, f"<f{ITEM[dtype]}")).all())
    if dtype == "BOOL":
        return not block or max(block) <= 1
    if dtype in _TOP:
        kind, mask, top = _TOP[dtype]
        found: np.ndarray[Any, Any] = np.frombuffer(block, kind) & np.array(mask, kind)
        return bool(found.max(initial=0) < top)
    return True
