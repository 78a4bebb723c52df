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


def offline_error(what: str, location: str) -> RegistryError:
    """Without the network something cannot be had.

    Parameters
    ----------
    what : str
        Such as ``german-net 1.0.0``.
    location : str
        Where it lies.
    """
    return RegistryError(
        "offline",
        f"{what} lies at {location}, and --offline asks no network. Nothing was installed. Give its .expert file "
        "(beside the lock file, if you install from one), or go without --offline.",
    )
