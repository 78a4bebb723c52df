"""Publishing into folders and Git repositories, and installing from them."""

from __future__ import annotations

from pathlib import Path

import pytest

from artefacts.registry.error import RegistryError
from artefacts.registry.git import split_url
from artefacts.registry.index import Index
from artefacts.registry.indexes import Source
from artefacts.registry.publish import publish, yank
from artefacts.trust.signature import sign
from tests.artefacts.registry.made import Maker, check_clean, git, registry_for


@pytest.fixture
def maker(tmp_path: Path) -> Maker:
    return Maker(tmp_path / "makers")


def refused(package: Path, index: Path, **settings: bool) -> str:
    before = {path: path.read_bytes() for path in index.rglob("*") if path.is_file()}
    with pytest.raises(RegistryError) as error:
        publish(package, index, **settings)
    assert {path: path.read_bytes() for path in index.rglob("*") if path.is_file()} == before
    return error.value.reason


def test_what_an_index_refuses(tmp_path: Path, maker: Maker) -> None:
    index, second = tmp_path / "index", Maker(tmp_path / "makers", "second")
    assert publish(maker.make("fin-german", "1.1.0"), index).new
    assert refused(second.make("fin-german", "2.0.0"), index) == "other-key"
    assert refused(maker.make("fin-german", "1.1.0", content="changed"), index) == "version-taken"
    assert refused(maker.make("fin-german", "1.0.9"), index) == "downgrade"
    assert refused(second.make("f1n-german"), index) == "look-alike"
    assert refused(maker.make("plain", signed=False), index) == "unsigned"
    again = publish(maker.make("fin-german", "1.1.0"), index)
    assert not again.new and not again.committed
    publish(maker.make("fin-german", "1.0.9"), index, allow_downgrade=True)
    both = second.make("fin-german", "2.0.0")
    sign(both, maker.key, "auditor")
    publish(both, index)  # the owner of the name has signed it too
    found = Index(index, "index").releases("fin-german")
    assert [release.version for release in found] == ["1.1.0", "1.0.9", "2.0.0"]
    assert len({release.key for release in found}) == 1


def test_a_folder_that_holds_something_else_is_no_index(tmp_path: Path, maker: Maker) -> None:
    (tmp_path / "index").mkdir()
    (tmp_path / "index" / "thesis.txt").touch()
    assert refused(maker.make("net"), tmp_path / "index") == "no-index"
    with pytest.raises(RegistryError, match="https://"):
        publish(maker.make("net"), tmp_path / "other", location="http://example.org/net.expert")


def test_a_half_done_publication_is_completed_by_the_same_command(tmp_path: Path, maker: Maker) -> None:
    index = tmp_path / "index"
    publish(maker.make("other"), index)
    (index / "files" / "net-1.0.0.expert").write_bytes(b"half a copy")
    publish(maker.make("net"), index)
    registry = registry_for(tmp_path / "home", maker, index=index)
    registry.install(["net"])
    check_clean(registry)


def test_a_work_tree_gets_one_commit_with_only_these_files(tmp_path: Path, maker: Maker) -> None:
    index = tmp_path / "index"
    index.mkdir()
    git(index, "init", "-q")
    hook = index / ".git" / "hooks" / "pre-commit"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text(f"#!/bin/sh\ntouch {tmp_path / 'hook-ran'}\n")
    hook.chmod(0o755)
    assert publish(maker.make("net"), index).committed
    (index / "draft.txt").write_text("not yet")
    git(index, "add", "draft.txt")
    assert publish(maker.make("net", "1.1.0"), index).committed
    assert not publish(maker.make("net", "1.1.0"), index).committed
    assert yank(index, "net", "1.0.0", "swapped groups").committed
    assert git(index, "log", "--format=%s").splitlines() == [
        "Withdraw net 1.0.0",
        "Publish net 1.1.0",
        "Publish net 1.0.0",
    ]
    assert git(index, "status", "--porcelain") == "A  draft.txt"
    assert not (tmp_path / "hook-ran").exists()
    registry = registry_for(tmp_path / "home", maker, index=f"git+file://{index}")
    registry.install(["net"])
    assert registry.record("net").version == "1.1.0"


def test_an_index_in_git_is_read_at_a_reference_and_offline_as_last_read(tmp_path: Path, maker: Maker) -> None:
    index = tmp_path / "index"
    index.mkdir()
    git(index, "init", "-q")
    publish(maker.make("net", "1.0.0"), index)
    git(index, "tag", "v1")
    git(index, "branch", "team/stable")
    publish(maker.make("net", "2.0.0"), index)
    for ref, version in (("@v1", "1.0.0"), ("@team/stable", "1.0.0"), ("@main", "2.0.0"), ("", "2.0.0")):
        registry = registry_for(tmp_path / f"home{ref.replace('/', '-')}", maker, index=f"git+file://{index}{ref}")
        registry.install(["net"])
        assert registry.record("net").version == version
    publish(maker.make("net", "2.1.0"), index)
    index.rename(tmp_path / "away")
    with pytest.raises(RegistryError, match="Check the address and the network") as error:
        registry.update()
    assert error.value.reason == "git-unreachable"
    assert not registry.update(offline=True).added
    (tmp_path / "away").rename(index)
    assert [record.version for record in registry.update().added] == ["2.1.0"]
    assert len([path for path in (registry.root / "indexes").glob("*/*") if path.is_dir()]) == 1
    with pytest.raises(RegistryError, match="no branch, tag or commit 'v9'") as error:
        registry.indexes.add(Source("bad", f"git+file://{index}@v9"))
    assert error.value.reason == "git-unknown-ref"
    assert [source.name for source in registry.indexes.sources()] == ["main"]


@pytest.mark.parametrize(
    "address",
    [
        "git+ssh://host/repository", "git+http://host/repository", "git+ext::sh -c touch% /tmp/x", "git+file:///",
        "git+https://user:secret@host/repository", "git+file:///repository@--upload-pack=touch", "git+--help",
        "git+file:///repository@a..b", "git+file:///repository@", "git+file://host/repository", "git+https://host/a\nb",
    ],
)  # fmt: skip
def test_addresses_that_git_would_take_for_something_else(address: str) -> None:
    with pytest.raises(RegistryError) as error:
        split_url(address)
    assert error.value.reason == "bad-git-url"


def test_no_network_is_named(tmp_path: Path) -> None:
    registry = registry_for(tmp_path / "home")
    with pytest.raises(RegistryError) as error:
        registry.indexes.add(Source("away", "git+https://localhost:9/repository"))
    assert error.value.reason == "git-unreachable"


def test_a_package_that_lies_elsewhere_is_named_when_it_cannot_be_fetched(tmp_path: Path, maker: Maker) -> None:
    index = tmp_path / "index"
    publish(maker.make("net"), index, location="https://localhost:9/net.expert")
    assert not (index / "files").exists()
    registry = registry_for(tmp_path / "home", maker, index=index)
    with pytest.raises(RegistryError, match="https://localhost:9/net") as error:
        registry.install(["net"])
    assert error.value.reason == "network"
    assert not registry.state.installed
