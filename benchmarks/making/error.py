"""What is raised where an expert cannot be made as asked."""

from __future__ import annotations


class ConfigError(ValueError):
    """A configuration that cannot be used; the text says which setting, why, and what to write."""
