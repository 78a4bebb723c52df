"""What the registry refuses, each with a name that programs can read and a paragraph for people."""

from __future__ import annotations


class RegistryError(ValueError):
    """A package, an index or an installation that is refused.

    Parameters
    ----------
    reason : str
        Its name, such as ``version-conflict``; the same for the same fault.
    text : str
        What, where and what to do.
    """

    def __init__(self, reason: str, text: str) -> None:
        super().__init__(f"{text} [{reason}]")
        self.reason = reason
