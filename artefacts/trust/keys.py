"""Ed25519 keys: a private one in a file that only its owner reads, a public one as a line of text."""

from __future__ import annotations

import base64
import binascii
import hashlib
import os
import secrets
from pathlib import Path

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from artefacts.format.error import PackageError
from artefacts.format.writing import telling

PREFIX = "ed25519:"
LARGEST = 2**16
"""Bytes of a key's file at most."""
PrivateKey = Ed25519PrivateKey


def generate(path: Path, passphrase: bytes | None = None) -> str:
    """Make a key pair: ``path`` (PEM, PKCS #8, mode 0600 from its first byte) and ``path`` + ``.pub``.

    Parameters
    ----------
    path : Path
        A file that does not exist.
    passphrase : bytes or None
        Encrypts the private key.

    Returns
    -------
    str
        The public key's text.

    Raises
    ------
    PackageError
        ``key-exists`` if either file does: a key is never written over; ``unwritable``.
    """
    key = Ed25519PrivateKey.generate()
    hidden: serialization.KeySerializationEncryption = serialization.NoEncryption()
    if passphrase:
        hidden = serialization.BestAvailableEncryption(passphrase)
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, hidden)
    text = public_text(key)
    public = path.with_name(f"{path.name}.pub")
    for file in (path, public):
        if file.exists() or file.is_symlink():
            raise PackageError("key-exists", f"{file} exists already; a key is never written over. Give another name.")
    with telling(path):
        _write_new(path, pem, 0o600)
        _write_new(public, f"{text}\n".encode(), 0o644)
    return text


def _write_new(path: Path, data: bytes, mode: int) -> None:
    """Write a file that is whole or absent, and never replaces one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}.tmp")
    file = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, mode)
    try:
        with os.fdopen(file, "wb") as stream:
            stream.write(data)
        try:
            os.link(temporary, path)
        except FileExistsError:
            raise PackageError("key-exists", f"{path} exists already; a key is never written over.") from None
    finally:
        temporary.unlink()


def load(path: Path, passphrase: bytes | None = None) -> PrivateKey:
    """Read a private key.

    Raises
    ------
    PackageError
        ``key-unreadable``, ``key-open`` (others may read the file), ``key-passphrase``, ``key-format``.
    """
    data = _read(path)
    if path.stat().st_mode & 0o077:
        raise PackageError("key-open", f"Others than you may read the private key {path}; close it: chmod 600 {path}")
    try:
        key = serialization.load_pem_private_key(data, passphrase or None)
    except TypeError:
        needs = "has no passphrase; give none" if passphrase else "is encrypted; give its passphrase"
        raise PackageError("key-passphrase", f"The private key {path} {needs}.") from None
    except (ValueError, UnsupportedAlgorithm):
        if passphrase:
            raise PackageError("key-passphrase", f"The passphrase does not open the private key {path}.") from None
        raise PackageError("key-format", f"{path} is no private key in PEM; 'fairmoe keygen' makes one.") from None
    if not isinstance(key, Ed25519PrivateKey):
        raise PackageError("key-format", f"{path} is a key of another kind than Ed25519; 'fairmoe keygen' makes one.")
    return key


def is_encrypted(path: Path) -> bool:
    """Whether a private key's file asks for a passphrase."""
    return b"ENCRYPTED" in _read(path)


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as stream:
            return stream.read(LARGEST)
    except OSError as error:
        raise PackageError("key-unreadable", f"The key {path} cannot be read ({error.strerror}).") from None


def public_text(key: PrivateKey) -> str:
    """``ed25519:`` and the 32 bytes of the public key in base64.

    Examples
    --------
    >>> public_text(Ed25519PrivateKey.from_private_bytes(bytes(32)))
    'ed25519:O2onvM62pC1ioosAAMlGskJWuKZIS4ZwQeFYSAzNjPA='
    """
    return PREFIX + base64.b64encode(key.public_key().public_bytes_raw()).decode()


def raw_key(text: str) -> bytes:
    """The 32 bytes of a public key's text.

    Raises
    ------
    PackageError
        ``key-format``.
    """
    word = text.strip()
    try:
        raw = base64.b64decode(word.removeprefix(PREFIX), validate=True)
    except (binascii.Error, ValueError):
        raw = b""
    if not word.startswith(PREFIX) or len(raw) != 32 or PREFIX + base64.b64encode(raw).decode() != word:
        raise PackageError("key-format", f"{word[:80]!a} is no public key, as in {PREFIX}... from a .pub file.")
    return raw


def read_public(path: Path) -> str:
    """The text of a public key's file.

    Raises
    ------
    PackageError
        ``key-unreadable``, ``key-format``.
    """
    text = _read(path).decode("utf-8", "replace").strip()
    raw_key(text)
    return text


def fingerprint(text: str) -> str:
    """A public key's short name, to read aloud or compare by eye: SHA256 of its 32 bytes in base64.

    Examples
    --------
    >>> fingerprint("ed25519:O2onvM62pC1ioosAAMlGskJWuKZIS4ZwQeFYSAzNjPA=")
    'SHA256:E54FSwkT61+ABRA8+xT/gbhczh7tz81tocOdNoWsbBI'
    """
    return "SHA256:" + base64.b64encode(hashlib.sha256(raw_key(text)).digest()).decode().rstrip("=")


def is_signed_by(text: str, signature: bytes, message: bytes) -> bool:
    """Whether the owner of a public key has signed a message."""
    try:
        Ed25519PublicKey.from_public_bytes(raw_key(text)).verify(signature, message)
    except (InvalidSignature, ValueError):
        return False
    return True
