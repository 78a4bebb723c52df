"""All checks of a package in one call."""

from __future__ import annotations

from pathlib import Path

from artefacts.format.archive import open_package
from artefacts.trust.store import TrustStore, Verdict


def verify(path: Path, store: TrustStore) -> Verdict:
    """Check a package's form and every byte of it, then who vouches for it.

    Parameters
    ----------
    path : Path
        A ``.expert`` file.
    store : TrustStore

    Returns
    -------
    Verdict
        About the signatures; only ``trusted`` means that somebody on the user's list vouches for these bytes.

    Raises
    ------
    PackageError
        If it is no sound package, whoever signed it.
    """
    with open_package(path) as package:
        package.check()
        return store.judge(package)
