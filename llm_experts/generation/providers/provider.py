"""How a kind of provider is told apart and made."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from llm_experts.generation.draft import Provider


@dataclass(frozen=True, kw_only=True)
class ProviderKind:
    """One kind of provider.

    Attributes
    ----------
    name : str
        Word in commands; that of its file.
    about : str
        Where its items come from, in one line.
    make : callable
        ``make(options) -> Provider``; names of options that it does not know are refused.
    """

    name: str
    about: str
    make: Callable[[Mapping[str, Any]], Provider]
