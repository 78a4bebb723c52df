"""What a file of tensors says of itself: one entry of its header, so that equal files are equal bytes."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

FACTS = "facts"
"""The entry that holds all others; safetensors writes several in any order, another one in every process."""


def header_of(facts: Mapping[str, Any]) -> dict[str, str]:
    """Facts as the ``metadata`` of :func:`safetensors.torch.save_file`: of one entry, whose bytes follow from them.

    Parameters
    ----------
    facts : mapping
        Anything that JSON takes.
    """
    return {FACTS: json.dumps(facts, sort_keys=True)}


def facts_of(header: Mapping[str, str] | None) -> dict[str, Any] | None:
    """What :func:`header_of` was given; None of a header without it, as earlier versions wrote them.

    Raises
    ------
    ValueError
        If the entry holds no facts.
    """
    if not header or FACTS not in header:
        return None
    found = json.loads(header[FACTS])
    if not isinstance(found, dict):
        raise ValueError(f"the entry {FACTS!r} of its header holds a {type(found).__name__}, no facts")
    return found
