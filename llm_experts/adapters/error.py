"""What is raised where an adapter cannot be had."""

from __future__ import annotations


class AdapterError(ValueError):
    """An adapter that cannot be made, read or composed as asked; the text says what to do."""
