"""The user's own list: keys that are trusted, keys and packages that are no longer."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from artefacts.format.error import PackageError
from artefacts.format.strict_json import read_json
from artefacts.format.writing import telling
from artefacts.trust.keys import fingerprint, raw_key
from artefacts.trust.signature import Signature, Vouched, signatures_of
from foundation.files import write_json
from foundation.folder_lock import turn

FILE = "trust.json"
FORMAT = "expert-trust/1"
LARGEST = 16 * 2**20
_SHA256 = re.compile(r"[0-9a-f]{64}\Z")
Status = Literal["trusted", "unsigned", "unknown", "revoked", "invalid"]


@dataclass(frozen=True)
class Trusted:
    """A key of the list, by the name that the user gave it; ``revoked`` says why it is trusted no longer."""

    name: str
    key: str
    revoked: str | None = None

    @property
    def fingerprint(self) -> str:
        """Of the key."""
        return fingerprint(self.key)


@dataclass(frozen=True)
class Verdict:
    """What the user's list says of a package.

    Attributes
    ----------
    status : str
        ``trusted``: a trusted key has signed it. ``unsigned``. ``unknown``: only keys that are not on the list have.
        ``revoked``: the package, or a key that signed it, has been. ``invalid``: a signature is of something else.
    by : tuple of str
        Names of the trusted keys, or fingerprints of those that the status is about.
    text : str
        A sentence: what, and what to do.
    """

    status: Status
    by: tuple[str, ...]
    text: str


@dataclass(frozen=True)
class _List:
    keys: tuple[Trusted, ...] = ()
    packages: dict[str, str] = field(default_factory=dict)


class TrustStore:
    """A file ``trust.json`` in a folder of the user; every change is whole, also beside other processes.

    Parameters
    ----------
    folder : Path
        Made when something is added first.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def add(self, key: str, name: str) -> Trusted:
        """Trust a key from now on.

        Raises
        ------
        PackageError
            ``key-format``; ``key-revoked`` if it has been revoked; ``trust-name`` if the name is empty, too long, or
            another key's.
        """
        raw_key(key)
        added = Trusted(name.strip(), key.strip())
        if not 0 < len(added.name) <= 80 or not added.name.isprintable():
            raise PackageError("trust-name", "A key's name has 1 to 80 signs that can be printed.")

        def change(held: _List) -> _List:
            for one in held.keys:
                if one.key == added.key and one.revoked is not None:
                    raise PackageError(
                        "key-revoked",
                        f"The key {one.name!a} was revoked ({one.revoked}); remove it before it is trusted.",
                    )
                if one.name == added.name and one.key != added.key:
                    raise PackageError("trust-name", f"{one.name!a} is the name of another key, {one.fingerprint}.")
            return replace(held, keys=(*(one for one in held.keys if one.key != added.key), added))

        self._change(change)
        return added

    def list(self) -> tuple[Trusted, ...]:
        """All keys, by name; those that were revoked too."""
        return tuple(sorted(self._read().keys, key=lambda one: one.name))

    def revoked_packages(self) -> dict[str, str]:
        """Why each revoked package was, by its hash."""
        return dict(self._read().packages)

    def remove(self, which: str) -> Trusted:
        """Forget a key, by name, fingerprint or its text; it is then unknown, not revoked.

        Raises
        ------
        PackageError
            ``trust-absent``.
        """
        found: list[Trusted] = []

        def change(held: _List) -> _List:
            found.append(_named(held, which))
            return replace(held, keys=tuple(one for one in held.keys if one != found[0]))

        self._change(change)
        return found[0]

    def revoke(self, which: str, reason: str = "no reason given") -> str:
        """Never trust again: a key (name, fingerprint or text), or a package (its content's or its file's sha256).

        Returns
        -------
        str
            The fingerprint, or the hash.

        Raises
        ------
        PackageError
            ``trust-absent`` if it is neither a hash, a key, nor on the list.
        """
        which, reason = which.strip(), " ".join(reason.split())[:200] or "no reason given"
        if _SHA256.match(which):
            self._change(lambda held: replace(held, packages={**held.packages, which: reason}))
            return which
        done: list[str] = []

        def change(held: _List) -> _List:
            one = _to_revoke(held, which)
            done.append(one.fingerprint)
            others = tuple(other for other in held.keys if other.key != one.key)
            return replace(held, keys=(*others, replace(one, revoked=reason)))

        self._change(change)
        return done[0]

    def judge(self, package: Vouched) -> Verdict:
        """What the list says of a package; its files are not looked at (``check`` of a package does)."""
        try:
            signatures = signatures_of(package)
        except PackageError as error:
            return Verdict("invalid", (), f"Its signatures cannot be read: {error}")
        held = self._read()
        label = f"{package.manifest.name} {package.manifest.version}"
        for name in (package.content, *([package.digest] if held.packages else [])):
            if name in held.packages:
                return Verdict("revoked", (name,), f"{label} was revoked: {held.packages[name]}.")
        return _verdict(label, signatures, {one.key: one for one in held.keys})

    def _read(self) -> _List:
        path = self.folder / FILE
        try:
            with path.open("rb") as stream:
                facts = read_json(stream.read(LARGEST + 1), str(path), LARGEST)
        except FileNotFoundError:
            return _List()
        except OSError as error:
            raise PackageError("trust-unreadable", f"{path} cannot be read ({error.strerror}).") from None
        return _list_of(facts, path)

    def _change(self, change: Callable[[_List], _List]) -> None:
        with telling(self.folder / FILE), turn(self.folder / ".trust.lock"):
            held = change(self._read())
            keys = [asdict(one) for one in sorted(held.keys, key=lambda one: one.key)]
            write_json(self.folder / FILE, {"format": FORMAT, "keys": keys, "packages": held.packages})


def _verdict(label: str, signatures: tuple[Signature, ...], keys: dict[str, Trusted]) -> Verdict:
    if not signatures:
        return Verdict("unsigned", (), f"Nobody has signed {label}.")
    wrong = tuple(one.fingerprint for one in signatures if not one.valid)
    if wrong:
        return Verdict("invalid", wrong, f"{label} has a signature that is not of this package ({', '.join(wrong)}).")
    known = [(one, keys[one.key]) for one in signatures if one.key in keys]
    revoked = [(key.name, key.revoked) for _, key in known if key.revoked is not None]
    if revoked:
        told = "; ".join(f"{name}: {why}" for name, why in revoked)
        return Verdict("revoked", tuple(name for name, _ in revoked), f"{label} is signed by a revoked key ({told}).")
    if known:
        told = ", ".join(f"{key.name} as {one.role}" for one, key in known)
        return Verdict("trusted", tuple(dict.fromkeys(key.name for _, key in known)), f"{label} is signed by {told}.")
    others = tuple(dict.fromkeys(one.fingerprint for one in signatures))
    return Verdict(
        "unknown", others, f"{label} is signed by keys that you do not trust ({', '.join(others)}). If you know whose "
        "they are, trust them: fairmoe trust add KEY.pub --name WHO.",
    )  # fmt: skip


def _named(held: _List, which: str) -> Trusted:
    which = which.strip()
    for one in held.keys:
        if which in (one.name, one.key, one.fingerprint):
            return one
    raise PackageError("trust-absent", f"{which[:80]!a} is no name, fingerprint or text of a key on your list.")


def _to_revoke(held: _List, which: str) -> Trusted:
    """A key of the list, or one that is put there only to be refused."""
    if which.startswith("ed25519:") and all(one.key != which for one in held.keys):
        return Trusted(fingerprint(which), which)
    return _named(held, which)


def _list_of(facts: Any, path: Path) -> _List:
    try:
        if facts["format"] != FORMAT or not all(isinstance(why, str) for why in facts["packages"].values()):
            raise TypeError
        keys = tuple(Trusted(**entry) for entry in facts["keys"])
        for one in keys:
            raw_key(one.key)
        return _List(keys, dict(facts["packages"]))
    except (KeyError, TypeError, AttributeError, PackageError):
        raise PackageError(
            "trust-unreadable", f"{path} is damaged, so nobody is trusted. Restore it, or delete it and add keys again."
        ) from None
