"""Items from files of JSON lines: their format is told by their keys, and every fault by its line."""

from __future__ import annotations

import gzip
import json
import math
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, Any, Literal, NoReturn, cast

from foundation.files import atomic_path
from llm_experts.data.error import DataError
from llm_experts.data.example import Example, Message
from llm_experts.data.records import FORMATS, Fault, Record, example_of, format_of, wants

Need = Literal["completion", "pair", "prompt", "text"]
"""What a trainer or an examination takes from an item: an answer, a pair of answers, a prompt alone, or any text."""
LONGEST = 16 << 20
"""Most bytes of a line."""
MOST_EMPTY = 1_000_000
"""Most empty lines of a file: a packed one of a few kilobytes may hold billions."""


def read_examples(path: Path, *, need: Need) -> list[Example]:
    r"""Items of a file of JSON lines, which may be gzipped (``.gz``).

    One object per line, all with the keys of one format (:data:`llm_experts.data.records.FORMATS`). A byte order mark,
    ``\r\n`` and empty lines are read over. An item without an ``id`` is called ``line-N``.

    Parameters
    ----------
    path : Path
    need : str
        ``completion``: every item has an answer; ``pair``: a preferred and another one; ``prompt``: only a prompt is
        needed; ``text``: plain texts, or items with an answer.

    Returns
    -------
    list of Example
        In the order of the file; not empty.

    Raises
    ------
    DataError
        File, line, field and remedy of what is wrong first.
    """
    found: list[Example] = []
    lines_of: dict[str, int] = {}
    shape, first = "", 0
    for number, line in _lines(path):
        record = _object(path, number, line)
        own = format_of(record)
        try:
            if own and shape and own != shape:
                raise _mixed(own, shape, first)
            example = example_of(record, shape or own, need, f"line-{number}")
            if example.id in lines_of:
                raise _known(example.id, lines_of[example.id])
        except Fault as fault:
            _refuse(path, number, fault.what, fault.remedy)
        lines_of[example.id] = number
        if not shape:
            shape, first = own, number
        found.append(example)
    if not found:
        raise DataError(
            f"{path} holds no item: it is empty or has only empty lines. Write one JSON object per line, such as "
            f"{wants(need)}."
        )
    return found


def write_examples(path: Path, examples: Sequence[Example]) -> None:
    """Write items as JSON lines that :func:`read_examples` reads back; whole or not at all, gzipped for ``.gz``."""
    with atomic_path(path) as temporary, temporary.open("wb") as raw:
        if path.suffix == ".gz":  # without name and time: the same items are the same bytes
            with gzip.GzipFile(filename="", mode="wb", fileobj=raw, mtime=0) as out:
                _write_lines(cast(IO[bytes], out), examples)
        else:
            _write_lines(raw, examples)


def as_record(example: Example) -> dict[str, Any]:
    """An item as the object of its line: prompt and completion, or prompt, chosen and rejected."""
    asked = example.prompt
    record: dict[str, Any] = {
        "id": example.id,
        "prompt": asked if isinstance(asked, str) else [turn.as_mapping() for turn in asked],
    }
    if example.rejected is not None:
        record |= {"chosen": example.completion, "rejected": example.rejected}
    else:
        record["completion"] = example.completion
    return record | ({"facts": dict(example.facts)} if example.facts else {})


def _write_lines(out: IO[bytes], examples: Sequence[Example]) -> None:
    for example in examples:
        line = json.dumps(as_record(example), ensure_ascii=False, allow_nan=False)
        out.write(line.encode("utf-8") + b"\n")


def _mixed(own: str, shape: str, first: int) -> Fault:
    return Fault(
        f"this line is {FORMATS[own].described}, and line {first} is {FORMATS[shape].described}",
        "Keep one format in a file: split the file, or bring the lines to one format",
    )


def _known(name: str, first: int) -> Fault:
    return Fault(
        f"the id {name!r} is that of line {first} already",
        "Give every item an id of its own, or leave the field id out",
    )


def _lines(path: Path) -> Iterator[tuple[int, bytes]]:
    """Number and bytes of every line that is not empty."""
    try:
        with cast(IO[bytes], gzip.open(path)) if path.suffix == ".gz" else path.open("rb") as stream:
            number = empty = 0
            while line := stream.readline(LONGEST + 1):
                number += 1
                if len(line) > LONGEST:
                    _refuse(
                        path, number, f"the line is longer than {LONGEST >> 20} MiB", "Write one JSON object per line"
                    )
                if number == 1:
                    line = _without_mark(path, line)
                if line.strip():
                    yield number, line
                elif (empty := empty + 1) > MOST_EMPTY:
                    _refuse(path, number, f"the file has more than {MOST_EMPTY:,} empty lines", "Take them out")
    except FileNotFoundError as error:
        raise DataError(f"There is no file {path}. Name a file of JSON lines (.jsonl or .jsonl.gz).") from error
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise DataError(f"{path} is not a whole gzip file ({error}). Copy it again, or unpack it by hand.") from error
    except OSError as error:
        raise DataError(f"{path} cannot be read ({error}). Name a file of JSON lines (.jsonl or .jsonl.gz).") from error


def _without_mark(path: Path, line: bytes) -> bytes:
    """The first line without its byte order mark; other encodings are named."""
    if line.startswith((b"\xff\xfe", b"\xfe\xff")):
        _refuse(path, 1, "the file is in UTF-16", "Save it as UTF-8")
    return line.removeprefix(b"\xef\xbb\xbf")


def _object(path: Path, number: int, line: bytes) -> Record:
    """The object of a line."""
    try:
        text = line.rstrip(b"\r\n").decode("utf-8")
    except UnicodeDecodeError as error:
        _refuse(path, number, f"byte {error.start + 1} is not UTF-8", "Save the file as UTF-8")
    try:
        value = _DECODER.decode(text)
    except json.JSONDecodeError as error:
        hint = "Write one JSON object per line, without line breaks inside"
        if text.lstrip().startswith("["):
            hint = "The file looks like one JSON list: write its objects one per line, without the brackets"
        _refuse(path, number, f"column {error.colno} is not valid JSON ({error.msg})", hint)
    except _NotFinite as error:
        _refuse(path, number, f"{error} is not a JSON number", "Write a finite number, null or a text")
    except _Twice as error:
        _refuse(path, number, f"the field {error} stands there twice", "Keep one of them")
    except (RecursionError, ValueError) as error:  # nested too deep; a number of thousands of digits
        _refuse(path, number, f"the JSON cannot be read ({error})", "Write a plain object, as in the other lines")
    if not isinstance(value, dict):
        found = _KINDS.get(type(value), "a number")
        hint = "Write one JSON object per line"
        if isinstance(value, list):
            hint = "The file looks like one JSON list: write its objects one per line, without the brackets"
        _refuse(path, number, f"the line is {found}, not an object", hint)
    return value


_KINDS: Mapping[type, str] = {list: "a list", str: "a text", bool: "true or false", type(None): "null"}


class _NotFinite(ValueError):
    """NaN or an infinity, which JSON does not have."""


class _Twice(ValueError):
    """A name that an object has twice: one of the values would be lost without a word."""


def _not_finite(word: str) -> NoReturn:
    raise _NotFinite(word)


def _finite(text: str) -> float:
    value = float(text)
    return value if math.isfinite(value) else _not_finite(text)


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        raise _Twice(repr(next(name for name in names if names.count(name) > 1)))
    return found


_DECODER: Any = json.JSONDecoder(
    parse_constant=cast(Callable[[str], Any], _not_finite), parse_float=_finite, object_pairs_hook=_once
)


def _refuse(path: Path, number: int, what: str, remedy: str) -> NoReturn:
    raise DataError(f"{path}, line {number}: {what}. {remedy}.") from None


__all__ = ["DataError", "Example", "Message", "Need", "as_record", "read_examples", "write_examples"]
