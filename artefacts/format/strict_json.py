"""JSON from strangers: one meaning or none."""

from __future__ import annotations

import json
import re
import unicodedata
from typing import Any, NoReturn

from artefacts.format.error import PackageError

DEEPEST = 32
"""Most brackets within brackets."""
_INVISIBLE = {"Cc", "Cs", "Co", "Cn", "Zl", "Zp"}
_REORDERING = set("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
_LONGEST_NUMBER = 400
_STRING = re.compile(r'"(?:[^"\\]|\\.)*"', re.DOTALL)
_BRACKET = re.compile(r"[\[\]{}]")


def read_json(data: bytes, name: str, most: int, *, plain: bool = False) -> Any:
    """Read JSON that says one thing to every reader.

    Parameters
    ----------
    data : bytes
    name : str
        Of the file, for messages.
    most : int
        Bytes that are read at most.
    plain : bool
        Also refuse strings with control or invisible signs, which make terminals and readers show something else.

    Raises
    ------
    PackageError
        ``json-size``, ``json-text`` (no UTF-8), ``json-depth``, ``json-duplicate-key``, ``json-number`` (NaN,
        infinities, too long), ``json-syntax``, ``json-invisible``.
    """
    if len(data) > most:
        raise PackageError("json-size", f"{name} has {len(data):,} bytes, more than the {most:,} that are read.")
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise PackageError("json-text", f"{name} is not UTF-8 (byte {error.start:,}).") from None
    _check_depth(text, name)
    reader = _Reader(name)
    try:
        found = json.loads(
            text, object_pairs_hook=reader.pairs, parse_constant=reader.constant, parse_float=reader.real,
            parse_int=reader.whole,
        )  # fmt: skip
    except PackageError:
        raise
    except ValueError as error:
        raise PackageError("json-syntax", f"{name} is no JSON: {error}.") from None
    if plain:
        _check_plain(found, name)
    return found


def _check_depth(text: str, name: str) -> None:
    """Brackets outside strings, counted before anything recurses."""
    if text.count("[") + text.count("{") <= DEEPEST:
        return
    depth = 0
    for sign in _BRACKET.findall(_STRING.sub("", text)):
        depth += 1 if sign in "[{" else -1
        if depth > DEEPEST:
            raise PackageError("json-depth", f"{name} has more than {DEEPEST} brackets within brackets.")


class _Reader:
    """The hooks of the parser, which say in which file something is wrong."""

    def __init__(self, name: str) -> None:
        self.name = name

    def pairs(self, pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) != len(pairs):
            keys = [key for key, _ in pairs]
            twice = next(key for key in keys if keys.count(key) > 1)
            raise PackageError("json-duplicate-key", f"{self.name} has the key {twice[:80]!r} twice in one object.")
        return found

    def constant(self, word: str) -> NoReturn:
        raise PackageError("json-number", f"{self.name} has {word}, which is no number of JSON.")

    def whole(self, digits: str) -> int:
        self._bounded(digits)
        return int(digits)

    def real(self, digits: str) -> float:
        self._bounded(digits)
        found = float(digits)
        if found in (float("inf"), float("-inf")):
            raise PackageError("json-number", f"{self.name} has {digits[:40]}, which is too large.")
        return found

    def _bounded(self, digits: str) -> None:
        if len(digits) > _LONGEST_NUMBER:
            raise PackageError("json-number", f"{self.name} has a number of {len(digits):,} digits.")


def _check_plain(value: Any, name: str) -> None:
    if isinstance(value, str):
        for sign in value:
            if sign in _REORDERING or (sign not in "\n\t" and unicodedata.category(sign) in _INVISIBLE):
                raise PackageError(
                    "json-invisible", f"{name} has the sign U+{ord(sign):04X} in a text: it is not shown as it is."
                )
    elif isinstance(value, list):
        for part in value:
            _check_plain(part, name)
    elif isinstance(value, dict):
        for key, part in value.items():
            _check_plain(key, name)
            _check_plain(part, name)
