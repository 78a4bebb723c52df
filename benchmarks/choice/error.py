"""Why nothing can be chosen: a paragraph that says what, where and what to do."""

from __future__ import annotations


class ChoiceError(ValueError):
    """A choice that cannot be made as it is asked for."""
