"""What is raised where a base model cannot be had."""

from __future__ import annotations


class BaseError(ValueError):
    """A base model that cannot be had or used; the text says what to do."""
