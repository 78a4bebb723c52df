"""Why a package is refused."""

from __future__ import annotations


class PackageError(ValueError):
    """A package, or a part of one, that is refused.

    Attributes
    ----------
    reason : str
        Short and stable, for programs: ``hash``, ``path-traversal``, ``not-a-number``, ...; see ``docs/packages.md``.
    """

    def __init__(self, reason: str, text: str) -> None:
        super().__init__(f"{text} [{reason}]")
        self.reason = reason
