"""A package's file, looked at once: its format, who vouches for it, and what the registry has to know of it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from artefacts.format.archive import Package, open_package
from artefacts.registry.error import RegistryError
from artefacts.registry.release import Needs, Release, needs_of
from artefacts.trust.signature import signatures_of
from artefacts.trust.store import TrustStore

MARKED = ("unsigned", "unknown", "revoked")
"""Verdicts with which a package is installed only on demand, and marked."""


@dataclass(frozen=True)
class Examined:
    """A checked package.

    Attributes
    ----------
    package : Package
        Open, for its files.
    bytes : int
        Size of its file.
    manifest : str
        sha256 of its canonical manifest.
    needs : Needs
    keys : tuple of str
        Fingerprints that signed it validly.
    mark : str
        Empty for a trusted one.
    location, index : str
        Where it came from.
    """

    package: Package
    bytes: int
    manifest: str
    needs: Needs
    keys: tuple[str, ...]
    mark: str
    location: str = ""
    index: str = ""

    @property
    def name(self) -> str:
        """Name in the manifest."""
        return self.package.manifest.name

    @property
    def version(self) -> str:
        """Version in the manifest."""
        return self.package.manifest.version


def examine(path: Path, trust: TrustStore, *, allow_untrusted: bool, location: str = "", index: str = "") -> Examined:
    """Check a package's file, and whether the user trusts it.

    Raises
    ------
    PackageError
        Its format is violated.
    RegistryError
        ``untrusted-unsigned``, ``untrusted-unknown``, ``untrusted-revoked`` unless allowed; ``signature-invalid``.
    """
    package = open_package(path)
    package.check()
    verdict = trust.judge(package)
    what = f"{package.manifest.name} {package.manifest.version}"
    if verdict.status != "trusted" and verdict.status not in MARKED:
        raise RegistryError("signature-invalid", f"{what} is refused: {verdict.text}")
    if verdict.status != "trusted" and not allow_untrusted:
        raise RegistryError(
            f"untrusted-{verdict.status}",
            f"{what} is refused. {verdict.text} --allow-untrusted installs it all the same and marks it.",
        )
    return Examined(
        package,
        path.stat().st_size,
        package.content,
        needs_of(package.manifest),
        signers(package),
        "" if verdict.status == "trusted" else verdict.status,
        location,
        index,
    )


def signers(package: Package) -> tuple[str, ...]:
    """Fingerprints of the keys whose signatures hold, authors first."""
    found = [signature for signature in signatures_of(package) if signature.valid]
    return tuple(dict.fromkeys(one.fingerprint for one in sorted(found, key=lambda one: one.role != "author")))


def check_against(found: Examined, release: Release, index: str) -> None:
    """A package must be what its index told when it was chosen.

    Raises
    ------
    RegistryError
        ``index-tampered``, naming the first difference.
    """
    pairs = {
        "name": (found.name, release.name),
        "version": (found.version, release.version),
        "manifest": (found.manifest, release.manifest),
        "requirements": (found.needs, release.needs),
        "publisher's key": (release.key if release.key in found.keys else ", ".join(found.keys) or "none", release.key),
    }
    for what, (is_, told) in pairs.items():
        if is_ != told:
            raise RegistryError(
                "index-tampered",
                f"The index {index} tells of {release.name} {release.version} the {what} {told}, its file has {is_}. "
                "Nothing was installed; tell the owner of the index.",
            )
