"""What cannot be made again."""

from __future__ import annotations


class RebuildError(ValueError):
    """A cell that is not there, or whose models cannot be made again."""
