"""Signatures of a package, in ``signature.json``: outside what they sign, so that they can be checked and added to."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from artefacts.format.archive import open_package, rewrite
from artefacts.format.canonical import canonical
from artefacts.format.error import PackageError
from artefacts.format.files import SIGNATURE
from artefacts.format.limits import LIMITS
from artefacts.format.manifest import Manifest
from artefacts.format.strict_json import read_json
from artefacts.trust.keys import PrivateKey, fingerprint, is_signed_by, public_text, raw_key
from foundation.folder_lock import turn_at

FORMAT = "expert-signature/1"
MOST = 32
"""Signatures of a package."""
_ROLE = re.compile(r"[a-z][a-z-]{0,30}\Z")


@dataclass(frozen=True)
class Signature:
    """One signature.

    Attributes
    ----------
    role : str
        As what the owner of the key signs: ``author``, ``auditor``.
    key : str
        The public key's text.
    value : bytes
        64 bytes.
    valid : bool
        Whether the owner of the key has signed this package in this role.
    """

    role: str
    key: str
    value: bytes
    valid: bool

    @property
    def fingerprint(self) -> str:
        """Of the key."""
        return fingerprint(self.key)


def message(content: str, key: str, role: str) -> bytes:
    """What is signed: who signs as what, and the sha256 of the canonical manifest, which holds every file's hash."""
    return canonical({"format": FORMAT, "key": key, "manifest": content, "role": role})


def sign(package: Path, key: PrivateKey, role: str = "author") -> Signature:
    """Add a signature to a package's file; signing again in the same role changes nothing.

    Raises
    ------
    PackageError
        ``signature-role``; ``signature`` if there are signatures already that do not hold or are too many; or what the
        package is refused for: what is signed has been checked.
    """
    if not _ROLE.match(role):
        raise PackageError("signature-role", f"{role[:40]!a} is no role, such as author or auditor: a-z and hyphens.")
    text = public_text(key)
    with _alone(package), open_package(package) as opened:
        opened.check()
        present = signatures_of(opened)
        if any(not one.valid for one in present):
            raise PackageError(
                "signature", f"{package} has a signature that does not hold; pack it anew before it is signed."
            )
        added = Signature(role, text, key.sign(message(opened.content, text, role)), valid=True)
        if added not in present:
            if len(present) == MOST:
                raise PackageError("signature", f"{package} has {MOST} signatures, the most that there may be.")
            rewrite(opened, package, {SIGNATURE: _written((*present, added))})
    return added


@contextmanager
def _alone(package: Path) -> Iterator[None]:
    """Two who sign at once sign one after the other, so that no signature is lost."""
    with ExitStack() as stack:
        try:
            stack.enter_context(turn_at(package))
        except OSError as error:
            raise PackageError(
                "unreadable", f"{package} cannot be read ({error.strerror}). Give a .expert file."
            ) from error
        yield


def _written(signatures: tuple[Signature, ...]) -> bytes:
    listed = [
        {"key": one.key, "role": one.role, "signature": base64.b64encode(one.value).decode()}
        for one in sorted(signatures, key=lambda one: (one.role, one.key))
    ]
    return canonical({"format": FORMAT, "signatures": listed})


class Vouched(Protocol):
    """What signatures are about: a package's file, or its files where it is installed."""

    @property
    def manifest(self) -> Manifest:
        """What it says of itself."""
        ...

    @property
    def content(self) -> str:
        """sha256 of the canonical manifest."""
        ...

    @property
    def digest(self) -> str:
        """sha256 of the package's file."""
        ...

    @property
    def signature(self) -> bytes | None:
        """``signature.json``, unread; None if nobody has signed."""
        ...


def signatures_of(package: Vouched) -> tuple[Signature, ...]:
    """All signatures of a package, each checked against the key that it names; () if nobody has signed.

    Raises
    ------
    PackageError
        ``signature`` if ``signature.json`` is no list of signatures; ``json-...``.
    """
    if package.signature is None:
        return ()
    facts = read_json(package.signature, SIGNATURE, LIMITS.signature, plain=True)
    if not isinstance(facts, dict) or set(facts) != {"format", "signatures"} or facts["format"] != FORMAT:
        raise PackageError("signature", f"{SIGNATURE} is not of the format {FORMAT}.")
    listed = facts["signatures"]
    if not isinstance(listed, list) or not 0 < len(listed) <= MOST:
        raise PackageError("signature", f"{SIGNATURE} holds no list of 1 to {MOST} signatures.")
    found = tuple(_one(entry, package.content) for entry in listed)
    if len({(one.role, one.key) for one in found}) < len(found):
        raise PackageError("signature", f"{SIGNATURE} holds two signatures of one key in one role.")
    return found


def _one(entry: Any, content: str) -> Signature:
    if (
        not isinstance(entry, dict)
        or set(entry) != {"key", "role", "signature"}
        or not all(isinstance(part, str) for part in entry.values())
        or not _ROLE.match(entry["role"])
    ):
        raise PackageError("signature", f"{SIGNATURE} holds an entry that is not exactly key, role and signature.")
    try:
        value = base64.b64decode(entry["signature"], validate=True)
    except (binascii.Error, ValueError):
        value = b""
    if len(value) != 64:
        raise PackageError("signature", f"{SIGNATURE} holds a signature that is not 64 bytes in base64.")
    raw_key(entry["key"])
    valid = is_signed_by(entry["key"], value, message(content, entry["key"], entry["role"]))
    return Signature(entry["role"], entry["key"], value, valid)
