"""Faults of a cluster that end a run."""

from __future__ import annotations


class ClusterError(RuntimeError):
    """A cluster that cannot be used as it is: not installed, not there, or its nodes do not see what they need."""


class StoreAwayError(RuntimeError):
    """A store that did not answer for longer than a unit waits for it."""
