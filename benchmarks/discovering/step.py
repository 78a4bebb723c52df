"""What a step of a discovery is."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from benchmarks.discovering.context import Context

Result = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Step:
    """One step: what it is called, what decides its result, and what it does.

    Attributes
    ----------
    name : str
        Of its folder: ``1_capability``.
    label : str
        As people read it.
    settings : tuple of str
        Settings that its result depends on, beside the base, the seed and the results of earlier steps.
    do : callable
        ``do(context) -> result``; all that later steps need is in the result or in files of the step's folder. It may
        be ended at any instant, and then begins again in the same folder.
    words : callable
        ``words(result) -> sentence`` for people, when it is done.
    """

    name: str
    label: str
    settings: tuple[str, ...]
    do: Callable[[Context], Result]
    words: Callable[[Mapping[str, Any]], str]
