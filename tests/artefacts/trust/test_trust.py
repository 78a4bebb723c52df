"""Keys, signatures and the user's list."""

from __future__ import annotations

import multiprocessing
import stat
from multiprocessing.synchronize import Barrier
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from artefacts.format.archive import PackageError, open_package
from artefacts.trust.keys import fingerprint, generate, is_encrypted, is_signed_by, load, public_text, read_public
from artefacts.trust.signature import sign, signatures_of
from artefacts.trust.store import TrustStore
from artefacts.trust.verify import verify
from tests.artefacts.making import packed


def reason(error: pytest.ExceptionInfo[PackageError]) -> str:
    return error.value.reason


def test_a_signature_of_the_rfc() -> None:
    """RFC 8032, 7.1, test 2."""
    secret = bytes.fromhex("4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb")
    key = Ed25519PrivateKey.from_private_bytes(secret)
    signature = bytes.fromhex(
        "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da"
        "085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00"
    )
    assert key.sign(b"\x72") == signature
    assert is_signed_by(public_text(key), signature, b"\x72")
    assert not is_signed_by(public_text(key), signature, b"\x73")


def test_a_private_key_is_its_owners_alone_whatever_the_umask(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import os

    seen: list[int] = []
    create = os.open

    def watched(path: object, flags: int, mode: int = 0o777, **more: int) -> int:
        file = create(path, flags, mode, **more)  # type: ignore[arg-type]
        seen.append(stat.S_IMODE(os.fstat(file).st_mode))
        return file

    before = os.umask(0)
    try:
        with monkeypatch.context() as patch:
            patch.setattr(os, "open", watched)
            text = generate(tmp_path / "k")
    finally:
        os.umask(before)
    assert seen[0] == 0o600  # before its first byte
    assert stat.S_IMODE((tmp_path / "k").stat().st_mode) == 0o600
    assert public_text(load(tmp_path / "k")) == text == read_public(tmp_path / "k.pub")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["k", "k.pub"]


def test_a_key_is_never_written_over(tmp_path: Path) -> None:
    generate(tmp_path / "k")
    before = (tmp_path / "k").read_bytes()
    with pytest.raises(PackageError) as error:
        generate(tmp_path / "k")
    assert reason(error) == "key-exists"
    assert (tmp_path / "k").read_bytes() == before


def test_a_passphrase_is_needed_and_no_other_will_do(tmp_path: Path) -> None:
    text = generate(tmp_path / "k", b"right")
    assert is_encrypted(tmp_path / "k")
    assert public_text(load(tmp_path / "k", b"right")) == text
    for wrong in (None, b"wrong"):
        with pytest.raises(PackageError) as error:
            load(tmp_path / "k", wrong)
        assert reason(error) == "key-passphrase"


def test_files_that_are_no_keys_are_refused(tmp_path: Path) -> None:
    from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

    other = X25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    for name, data, expected in (("a", b"no key", "key-format"), ("b", other, "key-format"), ("c", b"", "key-format")):
        (tmp_path / name).write_bytes(data)
        (tmp_path / name).chmod(0o600)
        with pytest.raises(PackageError) as error:
            load(tmp_path / name)
        assert reason(error) == expected
    generate(tmp_path / "k")
    (tmp_path / "k").chmod(0o644)
    with pytest.raises(PackageError) as error:
        load(tmp_path / "k")
    assert reason(error) == "key-open"
    with pytest.raises(PackageError) as error:
        load(tmp_path / "absent")
    assert reason(error) == "key-unreadable"


def test_signing_is_deterministic_and_keeps_what_others_signed(tmp_path: Path) -> None:
    path = packed(tmp_path / "a.expert")
    ada, bob = (load(tmp_path / name) for name in ("ada", "bob") if generate(tmp_path / name))
    with open_package(path) as package:
        content = package.content
    sign(path, ada)
    once = path.read_bytes()
    sign(path, ada)
    assert path.read_bytes() == once
    sign(path, bob, "auditor")
    with open_package(path) as package:
        assert package.content == content
        found = signatures_of(package)
    assert [(one.role, one.key, one.valid) for one in found] == [
        ("auditor", public_text(bob), True),
        ("author", public_text(ada), True),
    ][:: 1 if found[0].role == "auditor" else -1]
    other = packed(tmp_path / "b.expert")
    sign(other, bob, "auditor")
    sign(other, ada)
    assert other.read_bytes() == path.read_bytes()


def test_the_verdicts(tmp_path: Path) -> None:
    store = TrustStore(tmp_path / "home")
    path = packed(tmp_path / "a.expert")
    ada, audit = generate(tmp_path / "ada"), generate(tmp_path / "audit")
    assert verify(path, store).status == "unsigned"
    sign(path, load(tmp_path / "ada"))
    assert (verify(path, store).status, verify(path, store).by) == ("unknown", (fingerprint(ada),))
    store.add(ada, "Ada")
    assert (verify(path, store).status, verify(path, store).by) == ("trusted", ("Ada",))
    sign(path, load(tmp_path / "audit"), "auditor")
    assert verify(path, store).status == "trusted"
    store.revoke(audit, "sold")
    assert verify(path, store).status == "revoked"
    store.remove(fingerprint(audit))
    store.revoke("Ada", "lost")
    assert "lost" in verify(path, store).text
    with pytest.raises(PackageError) as error:
        store.add(ada, "Ada again")
    assert reason(error) == "key-revoked"
    store.remove("Ada")
    store.add(ada, "Ada")
    assert verify(path, store).status == "trusted"


def test_a_revoked_package_is_refused_however_it_is_signed(tmp_path: Path) -> None:
    store = TrustStore(tmp_path / "home")
    path = packed(tmp_path / "a.expert")
    store.add(generate(tmp_path / "ada"), "Ada")
    with open_package(path) as package:
        store.revoke(package.content, "wrong labels")
    sign(path, load(tmp_path / "ada"))
    assert verify(path, store).status == "revoked"
    other = packed(tmp_path / "b.expert", description="Other.")
    sign(other, load(tmp_path / "ada"))
    with open_package(other) as package:
        store.revoke(package.digest)
    assert verify(other, store).status == "revoked"


def test_names_are_of_one_key(tmp_path: Path) -> None:
    store = TrustStore(tmp_path / "home")
    ada, bob = generate(tmp_path / "ada"), generate(tmp_path / "bob")
    store.add(ada, "Ada")
    for name in ("Ada", "", "a" * 81, "a\x1b[2J"):
        with pytest.raises(PackageError) as error:
            store.add(bob, name)
        assert reason(error) == "trust-name"
    for act in (store.remove, store.revoke):
        with pytest.raises(PackageError) as error:
            act("Bob")
        assert reason(error) == "trust-absent"
    assert [one.name for one in store.list()] == ["Ada"]


def test_a_damaged_list_trusts_nobody(tmp_path: Path) -> None:
    store = TrustStore(tmp_path)
    for text in ("", "{}", '{"format":"expert-trust/1","keys":[{}],"packages":{}}', "[1]", "\x00"):
        (tmp_path / "trust.json").write_text(text)
        with pytest.raises(PackageError):
            store.list()


def _add(folder: Path, number: int) -> None:
    key = Ed25519PrivateKey.from_private_bytes(bytes([number]) * 32)
    TrustStore(folder).add(public_text(key), f"key {number}")


def test_processes_that_add_at_once_lose_nothing(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    workers = [context.Process(target=_add, args=(tmp_path, number)) for number in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(60)
    assert [one.name for one in TrustStore(tmp_path).list()] == [f"key {number}" for number in range(4)]


def _sign(path: Path, begin: Barrier, numbers: range) -> None:
    begin.wait(60)
    for number in numbers:
        sign(path, Ed25519PrivateKey.from_private_bytes(bytes([number]) * 32), "auditor")


def test_processes_that_sign_one_file_at_once_lose_no_signature(tmp_path: Path) -> None:
    path, context = packed(tmp_path / "a.expert"), multiprocessing.get_context("spawn")
    begin = context.Barrier(2)
    workers = [context.Process(target=_sign, args=(path, begin, range(n, n + 8))) for n in (1, 9)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(60)
    with open_package(path) as package:
        signatures = signatures_of(package)
    assert (len(signatures), all(one.valid for one in signatures)) == (16, True)
    assert [other.name for other in tmp_path.glob("a.expert*")] == ["a.expert"]
