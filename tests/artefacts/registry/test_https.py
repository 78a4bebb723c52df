"""Indexes, repositories and packages over https, from a server whose certificate only the user's settings know."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from artefacts.registry.error import RegistryError
from artefacts.registry.git import commit_of
from artefacts.registry.indexes import Source
from artefacts.registry.lockfile import read_lock, write_lock
from artefacts.registry.publish import publish
from artefacts.registry.registry import Registry
from artefacts.trust.store import TrustStore
from tests.artefacts.registry.made import Maker, check_clean, git
from tests.artefacts.registry.served import certificate, served


@pytest.fixture
def maker(tmp_path: Path) -> Maker:
    return Maker(tmp_path / "makers")


@pytest.fixture
def address(tmp_path: Path, maker: Maker, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Serves ``index`` (net 1.0.0, and far 1.0.0 that lies elsewhere); Git's settings name the certificate."""
    root, home = tmp_path / "served", tmp_path / "user"
    index = root / "index"
    home.mkdir()
    index.mkdir(parents=True)
    git(index, "init", "-q")
    publish(maker.make("net"), index)
    pair = certificate(tmp_path)
    monkeypatch.setenv("HOME", str(home))
    for name in ("XDG_CONFIG_HOME", "GIT_SSL_CAINFO", "GIT_SSL_CAPATH"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("SSL_CERT_FILE", str(pair[0]))
    with served(root, pair) as url:
        (root / "far.expert").write_bytes(maker.make("far").read_bytes())
        publish(root / "far.expert", index, location=f"{url}/far.expert")
        (home / ".gitconfig").write_text(f'[http "{url}/"]\n\tsslCAInfo = {pair[0]}\n')
        yield url


def test_an_index_and_a_package_over_https(tmp_path: Path, maker: Maker, address: str) -> None:
    told: list[tuple[str, int, int]] = []
    trust = TrustStore(tmp_path / "home")
    trust.add(maker.public, "Ada")
    registry = Registry(tmp_path / "home", trust, lambda *now: told.append(now))
    registry.indexes.add(Source("team", f"git+{address}/index@main"))
    registry.install(["net", "far"])
    assert set(registry.state.installed) == {"net", "far"}
    assert registry.record("far").location == f"{address}/far.expert"
    check_clean(registry)
    size = registry.record("far").bytes
    assert ("the index team", 0, 0) in told and told[-1] == ("far 1.0.0", size, size)
    other = Registry(tmp_path / "other", trust)
    alone = tmp_path / "served" / "alone"
    alone.mkdir()
    (alone / "far.expert").write_bytes((tmp_path / "served" / "far.expert").read_bytes())
    for words in (("init", "-q"), ("add", "."), ("commit", "-qm", "one")):
        git(alone, *words)
    other.install([f"git+{address}/alone"])
    assert other.record("far").location == f"git+{address}/alone@{git(alone, 'rev-parse', 'HEAD')}"


def test_offline_asks_no_network(tmp_path: Path, maker: Maker, address: str) -> None:
    """An index is used as it was read; what only a network has is refused, and a bundle needs no index at all."""
    trust = TrustStore(tmp_path / "home")
    trust.add(maker.public, "Ada")
    team = Source("team", f"git+{address}/index@main")
    first, second = (Registry(tmp_path / name, trust) for name in ("first", "second"))
    first.indexes.add(team)
    first.install(["net", "far"])
    write_lock(first.state, tmp_path / "fairmoe.lock")
    second.indexes.add(team)
    second.install(["net"], offline=True)
    for ask in (
        lambda: second.install(["far"], offline=True),
        lambda: second.install([f"git+{address}/alone"], offline=True),
        lambda: second.install_locked(read_lock(tmp_path / "fairmoe.lock"), offline=True),
    ):
        with pytest.raises(RegistryError, match="--offline asks no network") as error:
            ask()
        assert error.value.reason == "offline"
    assert set(second.state.installed) == {"net"}
    bundle = tmp_path / "bundle"
    bundle.mkdir()
    first.write_files(bundle)
    write_lock(first.state, bundle / "fairmoe.lock")
    third = Registry(tmp_path / "third", trust)
    third.indexes.add(team)
    shutil.rmtree(tmp_path / "third" / "indexes")  # as if it had never been read
    third.install_locked(read_lock(bundle / "fairmoe.lock"), offline=True)
    assert third.state.installed == first.state.installed


def test_a_certificate_that_nobody_knows_is_refused(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    (Path.home() / ".gitconfig").unlink()
    with pytest.raises(RegistryError, match="certificate") as error:
        commit_of(f"{address}/index", "main")
    assert error.value.reason == "git-unreachable"
    monkeypatch.setenv("GIT_SSL_CAINFO", str(Path.home().parent / "cert.pem"))
    assert commit_of(f"{address}/index", "main")
