"""Models by name: ``auto``, ``base``, an expert, or a composition such as ``a=0.7,b=0.3``."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Literal

from serving.error import ServingError
from serving.request import AUTO, Experts

BASE = "base"
Given = Mapping[str, float] | Sequence[str] | Literal["auto", "base"]
"""Experts as requests say them."""


def experts_of(model: str, experts: Given | None, base: str) -> Experts:
    """What a request runs on: its field ``experts`` if it has one, otherwise its model's name.

    Parameters
    ----------
    model : str
        ``auto``, ``base``, the base's id, an expert, or names with weights.
    experts : mapping, list, "auto", "base" or None
        The field; it counts more than the name.
    base : str
        The base's id.

    Raises
    ------
    ServingError
        ``bad-request`` for a weight that is no number, a name that is empty or stands there twice.

    Examples
    --------
    >>> experts_of("a=0.7,b=0.3", None, "nano")
    {'a': 0.7, 'b': 0.3}
    """
    if experts is None:
        return AUTO if model == AUTO else None if model in (BASE, base) else parsed(model)
    if isinstance(experts, str):
        return AUTO if experts == AUTO else None
    if isinstance(experts, Mapping):
        return dict(experts)
    return _by_name([(name, 1.0) for name in experts])


def parsed(model: str) -> dict[str, float]:
    """Names and weights of ``a=0.7,b=0.3``; a name alone has weight 1."""
    return _by_name([_part(part, model) for part in model.split(",")])


def _part(part: str, model: str) -> tuple[str, float]:
    name, sign, weight = part.strip().partition("=")
    if not sign:
        return name, 1.0
    try:
        number = float(weight)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise ServingError("bad-request", f"The model {model!r} gives {name!r} a weight that is no finite number.")
    return name.strip(), number


def _by_name(parts: list[tuple[str, float]]) -> dict[str, float]:
    found = dict(parts)
    if "" in found or len(found) < len(parts):
        raise ServingError("bad-request", "A composition names each expert once, such as a=0.7,b=0.3.")
    return found
