"""The training methods that there are."""

from __future__ import annotations

from foundation.discovery import items
from llm_experts.training.loop.method import NAME, ROOM, MethodRecord, method_named

METHODS: dict[str, MethodRecord] = {item: method_named(item) for item in items(ROOM, NAME)}
"""The files of this room that define a ``METHOD``, and those of plug-in folders."""

__all__ = ["METHODS", "method_named"]
