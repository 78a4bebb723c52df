"""JSON in the one form that can be signed: RFC 8785 (JSON Canonicalization Scheme)."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

LARGEST = 2**53 - 1
"""Largest whole number that every reader of JSON reads alike."""


class CanonicalError(ValueError):
    """A value that has no canonical JSON."""


def canonical(value: Any) -> bytes:
    """UTF-8 bytes of a value as RFC 8785 writes it.

    Keys are ordered by their UTF-16 code units, numbers written by ECMAScript's rule, nothing is padded.

    Parameters
    ----------
    value : None, bool, int, float, str, list, tuple or mapping with str keys
        And those in each other.

    Raises
    ------
    CanonicalError
        On NaN, infinities, whole numbers beyond ±(2⁵³ − 1) that no float is written as, lone surrogates, and types
        that JSON does not have.

    Examples
    --------
    >>> canonical({"b": 1e21, "a": [1.0, "é"]}).decode()
    '{"a":[1,"é"],"b":1e+21}'
    """
    try:
        return _text(value).encode()
    except UnicodeEncodeError:
        raise CanonicalError("half of a surrogate pair has no place in UTF-8.") from None


def _text(value: Any) -> str:
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False)
    if value is None or isinstance(value, bool):
        return json.dumps(value)
    if isinstance(value, int):
        return _whole(value)
    if isinstance(value, float):
        return number(value)
    if isinstance(value, (list, tuple)):
        return f"[{','.join(map(_text, value))}]"
    if isinstance(value, Mapping):
        return f"{{{','.join(f'{_text(key)}:{_text(value[key])}' for key in sorted(value, key=_order))}}}"
    raise CanonicalError(f"JSON has no {type(value).__name__}.")


def _order(key: Any) -> bytes:
    if not isinstance(key, str):
        raise CanonicalError(f"a key of JSON is a string, not {key!r}.")
    return key.encode("utf-16-be")


def _whole(value: int) -> str:
    if abs(value) <= LARGEST:
        return str(int(value))
    if abs(value) < 10**21 and number(float(value)) == str(value):
        return str(value)  # a float that was written without a point: every reader makes the same one of it
    raise CanonicalError(f"the whole number {str(value)[:40]} is none that every reader of JSON reads alike.")


def number(value: float) -> str:
    """A finite number by ECMAScript's ``Number::toString`` (ECMA-262, 6.1.6.1.20).

    Raises
    ------
    CanonicalError
        If it is not finite.
    """
    if not math.isfinite(value):
        raise CanonicalError(f"JSON has no {value}.")
    if value == 0:
        return "0"
    sign = "-" if value < 0 else ""
    digits, point = _shortest(abs(value))
    count = len(digits)
    if count <= point <= 21:
        return f"{sign}{digits}{'0' * (point - count)}"
    if 0 < point <= 21:
        return f"{sign}{digits[:point]}.{digits[point:]}"
    if -6 < point <= 0:
        return f"{sign}0.{'0' * -point}{digits}"
    mantissa = digits if count == 1 else f"{digits[0]}.{digits[1:]}"
    return f"{sign}{mantissa}e{point - 1:+d}"


def _shortest(value: float) -> tuple[str, int]:
    """The fewest digits that read back as the value, and where the point stands: 0.digits · 10^point."""
    mantissa, _, exponent = repr(float(value)).partition("e")
    whole, _, fraction = mantissa.partition(".")
    point = len(whole) + int(exponent or 0)
    digits = (whole + fraction).lstrip("0")
    point -= len(whole + fraction) - len(digits)
    return digits.rstrip("0"), point
