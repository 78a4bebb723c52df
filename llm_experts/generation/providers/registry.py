"""The kinds of providers that there are."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from foundation.discovery import items, load
from llm_experts.data.error import DataError
from llm_experts.generation.draft import Provider
from llm_experts.generation.providers.provider import ProviderKind

ROOM, NAME = "llm_experts.generation.providers", "PROVIDER"
PROVIDERS: tuple[str, ...] = tuple(items(ROOM, NAME))
"""Names of the files of this room, and of plug-in folders, that define a ``PROVIDER``."""


def provider_kind(name: str) -> ProviderKind:
    """The kind of provider with this name.

    Raises
    ------
    DataError
        If there is none.
    """
    if name not in PROVIDERS:
        raise DataError(f"There is no provider {name!r}; providers are {', '.join(PROVIDERS)}.")
    kind: ProviderKind = load(ROOM, NAME, name)
    return kind


def provider_named(name: str, options: Mapping[str, Any] | None = None) -> Provider:
    """A provider with its options.

    Raises
    ------
    DataError
        If there is none of this name, or an option is not one of its own.
    """
    return provider_kind(name).make(dict(options or {}))
