"""What is wrong with a bias set, and where its files are described."""

from __future__ import annotations

from llm_experts.data.sources import RAW, Source, published_file


class BiasError(ValueError):
    """A bias set or a scorer that cannot be used; the text says what to do."""


__all__ = ["RAW", "BiasError", "Source", "published_file"]
