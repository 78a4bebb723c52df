"""What is raised where a prompt cannot be routed."""

from __future__ import annotations


class RouterError(ValueError):
    """A router that cannot be made, read or asked; the text says what to do."""
