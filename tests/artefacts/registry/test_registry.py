"""Installing, updating and removing: what is refused and why, and what is then on the disk."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from artefacts.format.error import PackageError
from artefacts.format.package import Package
from artefacts.registry.error import RegistryError
from artefacts.registry.indexes import Source
from artefacts.registry.lockfile import read_lock, write_lock
from artefacts.registry.publish import publish, yank
from artefacts.registry.registry import Allowed, Registry
from artefacts.trust.keys import fingerprint
from tests.artefacts.registry.made import Maker, check_clean, git, registry_for


@pytest.fixture
def maker(tmp_path: Path) -> Maker:
    return Maker(tmp_path / "makers")


@pytest.fixture
def index(tmp_path: Path) -> Path:
    return tmp_path / "index"


@pytest.fixture
def published(maker: Maker, index: Path) -> Callable[..., Path]:
    def add(name: str, version: str = "1.0.0", **settings: object) -> Path:
        package = maker.make(name, version, **settings)  # type: ignore[arg-type]
        publish(package, index, allow_downgrade=True)
        return package

    return add


def versions(registry: Registry) -> dict[str, str]:
    check_clean(registry)
    return {name: record.version for name, record in registry.state.installed.items()}


def reason(call: Callable[[], object], registry: Registry | None = None) -> str:
    """Why a call is refused; a registry must be as it was."""
    before = registry.state if registry else None
    with pytest.raises((RegistryError, PackageError)) as refused:
        call()
    if registry:
        assert registry.state == before
        check_clean(registry)
    assert isinstance(refused.value, RegistryError | PackageError)
    return refused.value.reason


def test_a_file_is_installed_and_removed_without_a_trace(tmp_path: Path, maker: Maker) -> None:
    registry = registry_for(tmp_path / "home", maker)
    change = registry.install([str(maker.make("german-net"))])
    assert [record.name for record in change.added] == ["german-net"]
    assert (registry.folder("german-net", check=True) / "model.json").read_text() == '{"model": "german-net 1.0.0"}'
    record = registry.record("german-net")
    assert (record.asked, record.mark, record.key) == ("*", "", fingerprint(maker.public))
    assert versions(registry) == {"german-net": "1.0.0"}
    assert [r.name for r in registry.uninstall(["german-net"]).removed] == ["german-net"]
    assert versions(registry) == {} and not list((tmp_path / "home" / "blobs").glob("*/*"))


def test_the_same_bytes_of_two_packages_are_stored_once(tmp_path: Path, maker: Maker) -> None:
    registry = registry_for(tmp_path / "home", maker)
    registry.install([str(maker.make("first", content="same")), str(maker.make("second", content="same"))])
    folders = [registry.folder(name) for name in ("first", "second")]
    for file in ("model.json", "LICENSE"):
        assert folders[0].joinpath(file).samefile(folders[1] / file)
        assert folders[0].joinpath(file).stat().st_mode & 0o777 == 0o444
    registry.uninstall(["first"])
    assert versions(registry) == {"second": "1.0.0"}


def test_requirements_come_from_the_index_in_versions_that_go_together(
    tmp_path: Path, maker: Maker, index: Path, published: Callable[..., Path]
) -> None:
    for version in ("1.0.0", "1.4.0", "2.0.0", "3.0.0-rc.1"):
        published("encoder", version)
    published("old-net", requires={"encoder": "^1"})
    published("new-net", requires={"encoder": ">=1.2"})
    registry = registry_for(tmp_path / "home", maker, index=index)
    registry.install(["new-net"])
    assert versions(registry) == {"new-net": "1.0.0", "encoder": "2.0.0"}
    assert registry.state.installed["encoder"].asked == ""
    assert reason(lambda: registry.install(["old-net"]), registry) == "downgrade"
    registry.install(["old-net"], Allowed(downgrade=True))
    assert versions(registry) == {"new-net": "1.0.0", "old-net": "1.0.0", "encoder": "1.4.0"}
    registry.uninstall(["old-net"])
    registry.update()
    assert versions(registry) == {"new-net": "1.0.0", "encoder": "2.0.0"}
    registry.uninstall(["new-net"])
    assert versions(registry) == {}


def test_a_conflict_is_told_in_words(tmp_path: Path, maker: Maker, index: Path, published: Callable[..., Path]) -> None:
    published("encoder", "1.0.0")
    published("encoder", "2.0.0")
    published("old-net", requires={"encoder": "^1"})
    published("new-net", requires={"encoder": "^2"})
    registry = registry_for(tmp_path / "home", maker, index=index)
    with pytest.raises(RegistryError) as refused:
        registry.install(["old-net", "new-net"])
    assert refused.value.reason == "version-conflict"
    for words in ("old-net 1.0.0 requires encoder ^1", "new-net 1.0.0 requires encoder ^2", "encoder 2.0.0, 1.0.0"):
        assert words in str(refused.value)


def test_what_cannot_stand_together_is_refused(
    tmp_path: Path, maker: Maker, index: Path, published: Callable[..., Path]
) -> None:
    published("left", incompatible={"right": "<2"})
    published("right", "1.0.0")
    registry = registry_for(tmp_path / "home", maker, index=index)
    registry.install(["left"])
    assert versions(registry) == {"left": "1.0.0"}
    assert reason(lambda: registry.install(["right"]), registry) == "version-conflict"
    published("right", "2.0.0")
    registry.install(["right"])
    assert versions(registry) == {"left": "1.0.0", "right": "2.0.0"}


def test_circles_and_long_chains_are_named(
    tmp_path: Path, maker: Maker, index: Path, published: Callable[..., Path]
) -> None:
    published("a", requires={"b": "*"})
    published("b", requires={"c": "*"})
    published("c", requires={"a": "*"})
    registry = registry_for(tmp_path / "home", maker, index=index)
    with pytest.raises(RegistryError, match="circle") as refused:
        registry.install(["a"])
    assert refused.value.reason == "cyclic-requires" and "a requires b requires c requires a" in str(refused.value)
    for number in range(11):
        published(f"chain{number}", requires={f"chain{number + 1}": "*"} if number < 10 else {})
    assert reason(lambda: registry.install(["chain0"]), registry) == "chain-too-long"
    registry.install(["chain1"])
    assert len(versions(registry)) == 10


def test_bases_and_members_must_match(
    tmp_path: Path, maker: Maker, index: Path, published: Callable[..., Path]
) -> None:
    published("adapter-one", base="a" * 64)
    published("blend", base="b" * 64, requires={"adapter-one": "*"})
    registry = registry_for(tmp_path / "home", maker, index=index)
    assert reason(lambda: registry.install(["blend"]), registry) == "wrong-base"
    member = Package(published("member"), _limits())
    told = {"name": "member", "version": "1.0.0", "content": member.content}
    published("mixture", members=[told])
    published("other-mixture", members=[{**told, "content": "0" * 64}])
    assert reason(lambda: registry.install(["other-mixture"]), registry) == "wrong-member"
    registry.install(["mixture"])
    assert versions(registry) == {"member": "1.0.0", "mixture": "1.0.0"}


def _limits():  # type: ignore[no-untyped-def]
    from artefacts.format.limits import LIMITS

    return LIMITS


def test_whom_nobody_vouches_for_is_refused_or_marked(tmp_path: Path, maker: Maker) -> None:
    stranger = Maker(tmp_path / "makers", "stranger")
    registry = registry_for(tmp_path / "home", maker)
    cases = {
        "unsigned": maker.make("plain", signed=False),
        "unknown": stranger.make("foreign"),
        "revoked": maker.make("withdrawn"),
    }
    registry._trust.revoke(Package(cases["revoked"], _limits()).content, "it was trained on the test rows")
    for status, package in cases.items():
        assert reason(lambda package=package: registry.install([str(package)]), registry) == f"untrusted-{status}"
        registry.install([str(package)], Allowed(untrusted=True))
    assert {name: r.mark for name, r in registry.state.installed.items()} == {
        "plain": "unsigned", "foreign": "unknown", "withdrawn": "revoked",
    }  # fmt: skip


def test_a_downgrade_and_other_content_of_one_version_are_refused(tmp_path: Path, maker: Maker) -> None:
    registry = registry_for(tmp_path / "home", maker)
    old, new = maker.make("net", "1.0.0"), maker.make("net", "1.1.0")
    registry.install([str(new)])
    assert reason(lambda: registry.install([str(old)]), registry) == "downgrade"
    assert (
        reason(lambda: registry.install([str(maker.make("net", "1.1.0", content="other"))]), registry)
        == "version-taken"
    )
    registry.install([str(old)], Allowed(downgrade=True))
    assert versions(registry) == {"net": "1.0.0"}


def test_another_key_for_a_known_name_is_noticed_even_after_it_was_removed(tmp_path: Path, maker: Maker) -> None:
    second = Maker(tmp_path / "makers", "second")
    registry = registry_for(tmp_path / "home", maker, second)
    registry.install([str(maker.make("net"))])
    registry.uninstall(["net"])
    later = second.make("net", "2.0.0")
    assert reason(lambda: registry.install([str(later)]), registry) == "other-key"
    registry.install([str(later)], Allowed(new_key=True))
    assert versions(registry) == {"net": "2.0.0"}


def test_uninstalling_what_others_need_is_refused(
    tmp_path: Path, maker: Maker, index: Path, published: Callable[..., Path]
) -> None:
    published("encoder")
    published("net", requires={"encoder": "*"})
    registry = registry_for(tmp_path / "home", maker, index=index)
    registry.install(["net", "encoder"])
    assert reason(lambda: registry.uninstall(["encoder"]), registry) == "required"
    assert reason(lambda: registry.uninstall(["nothing"]), registry) == "not-installed"
    registry.uninstall(["net"])
    assert versions(registry) == {"encoder": "1.0.0"}


def test_names_that_no_index_has_and_versions_that_were_withdrawn(
    tmp_path: Path, maker: Maker, index: Path, published: Callable[..., Path]
) -> None:
    published("german-net", "1.0.0")
    published("german-net", "1.1.0")
    registry = registry_for(tmp_path / "home", maker, index=index)
    with pytest.raises(RegistryError, match=r"your indexes \(main\).*Did you mean 'german-net'"):
        registry.install(["germn-net"])
    with pytest.raises(RegistryError, match="You have no index yet"):
        registry_for(tmp_path / "empty", maker).install(["german-net"])
    with pytest.raises(RegistryError, match=r"^You asked for german-net 3, but no version.*is: german-net 1") as no:
        registry.install(["german-net@3"])
    assert no.value.reason == "unknown-version"
    assert reason(lambda: registry.install(["germn-net"]), registry) == "unknown-name"
    yank(index, "german-net", "1.1.0", "its groups were swapped")
    with pytest.raises(RegistryError, match="groups were swapped") as refused:
        registry.install(["german-net@1.1.0"])
    assert refused.value.reason == "yanked"
    registry.install(["german-net"])
    assert versions(registry) == {"german-net": "1.0.0"}


@pytest.mark.parametrize("fault", ["bytes", "hash", "key", "needs", "manifest", "line", "escape"])
def test_an_index_that_was_tampered_with(
    tmp_path: Path, maker: Maker, index: Path, published: Callable[..., Path], fault: str
) -> None:
    published("net", "1.0.0")
    published("net", "1.1.0")
    file, lines = index / "files" / "net-1.1.0.expert", index / "packages" / "ne" / "net.jsonl"
    second = Maker(tmp_path / "makers", "second")
    text = lines.read_text()
    first, last = text.splitlines()
    match fault:
        case "bytes":
            data = bytearray(file.read_bytes())
            data[700] ^= 1
            file.write_bytes(data)
        case "hash":
            other = second.make("net", "1.1.0", content="evil")
            file.write_bytes(other.read_bytes())
            lines.write_text(text.replace(Package(maker.folder / "net-1.1.0-.expert", _limits()).digest,
                                          Package(other, _limits()).digest))  # fmt: skip
        case "key":
            lines.write_text(f"{first}\n{last.replace(fingerprint(maker.public), fingerprint(second.public))}\n")
        case "needs":
            lines.write_text(text.replace('"requires": {}', '"requires": {"net2": "*"}'))
            published("net2")
        case "manifest":
            content = Package(maker.folder / "net-1.1.0-.expert", _limits()).content
            lines.write_text(text.replace(content, "0" * 64))
        case "line":
            lines.write_text(f"{first}\n[1, 2]\n")
        case "escape":
            (tmp_path / "outside.expert").write_bytes(file.read_bytes())
            lines.write_text(text.replace("files/net-1.1.0.expert", "../outside.expert"))
    registry = registry_for(tmp_path / "home", maker, second, index=index)
    expected = "index-damaged" if fault in ("line", "escape") else "index-tampered"
    assert reason(lambda: registry.install(["net"]), registry) == expected


def test_the_first_index_that_has_a_name_is_the_only_one_asked_for_it(tmp_path: Path, maker: Maker) -> None:
    stranger = Maker(tmp_path / "makers", "stranger")
    own, public = tmp_path / "own", tmp_path / "public"
    publish(maker.make("net", "1.0.0"), own)
    publish(stranger.make("net", "9.0.0"), public)
    publish(stranger.make("tool"), public)
    registry = registry_for(tmp_path / "home", maker, stranger)
    registry.indexes.add(Source("public", str(public)))
    registry.indexes.add(Source("own", str(own), priority=10))
    registry.install(["net", "tool"])
    assert versions(registry) == {"net": "1.0.0", "tool": "1.0.0"}
    registry.indexes.remove("own")
    assert reason(lambda: registry.update(["net"]), registry) == "other-key"
    assert reason(lambda: registry.indexes.remove("own")) == "unknown-index"


def test_a_lock_file_installs_the_same_bytes_elsewhere(
    tmp_path: Path, maker: Maker, index: Path, published: Callable[..., Path]
) -> None:
    published("encoder", "1.0.0")
    published("net", requires={"encoder": "*"})
    given = maker.make("given")
    first = registry_for(tmp_path / "home", maker, index=index)
    first.install(["net", str(given)])
    lock = tmp_path / "elsewhere" / "fairmoe.lock"
    lock.parent.mkdir()
    write_lock(first.state, lock)
    published("encoder", "1.1.0")
    yank(index, "encoder", "1.0.0", "a newer one is better")
    second = registry_for(tmp_path / "second", maker, index=index)
    second.install_locked(read_lock(lock))
    assert second.state.installed == first.state.installed
    check_clean(second)
    given.rename(lock.parent / "moved.expert")
    third = registry_for(tmp_path / "third", maker, index=index)
    third.install_locked(read_lock(lock))
    assert third.state.installed == first.state.installed
    (lock.parent / "moved.expert").unlink()
    fourth = registry_for(tmp_path / "fourth", maker, index=index)
    assert reason(lambda: fourth.install_locked(read_lock(lock)), fourth) == "package-missing"
    lock.write_text("{}")
    assert reason(lambda: read_lock(lock)) == "lock-damaged"


def test_a_lock_file_finds_what_was_given_again_or_says_that_it_has_changed(tmp_path: Path, maker: Maker) -> None:
    """A file, a folder and a commit in Git; the bytes are those that were installed, or none."""
    file, opened, repository = maker.make("file"), tmp_path / "open", tmp_path / "repository"
    Package(maker.make("opened"), _limits()).extract(opened)
    repository.mkdir()
    git(repository, "init", "-q")
    for version in ("1.0.0", "2.0.0"):
        (repository / "net.expert").write_bytes(maker.make("net", version).read_bytes())
        git(repository, "add", ".")
        git(repository, "commit", "-qm", version)
        git(repository, "tag", f"v{version}")
    first = registry_for(tmp_path / "home", maker)
    first.install([str(file), str(opened), f"git+file://{repository}@v1.0.0"])
    write_lock(first.state, tmp_path / "fairmoe.lock")
    locked = read_lock(tmp_path / "fairmoe.lock")
    git(repository, "tag", "-f", "v1.0.0")  # the commit is what was locked
    second = registry_for(tmp_path / "second", maker)
    second.install_locked(locked)
    assert second.state.installed == first.state.installed
    check_clean(second)
    third = registry_for(tmp_path / "third", maker)
    before = file.read_bytes()
    file.write_bytes(maker.make("file", content="other").read_bytes())
    with pytest.raises(RegistryError, match="another file than the lock file names") as refused:
        third.install_locked(locked)
    assert refused.value.reason == "other-bytes"
    file.write_bytes(before)
    (opened / "LICENSE").write_text("changed\n")
    assert reason(lambda: third.install_locked(locked), third) == "other-bytes"
    bundle = tmp_path / "bundle"
    bundle.mkdir()
    assert [path.name for path in first.write_files(bundle)] == [
        "file-1.0.0.expert", "net-1.0.0.expert", "opened-1.0.0.expert",
    ]  # fmt: skip
    write_lock(first.state, bundle / "fairmoe.lock")
    file.unlink()
    repository.rename(tmp_path / "away")
    third.install_locked(read_lock(bundle / "fairmoe.lock"))
    assert third.state.installed == first.state.installed


def test_a_changed_installed_file_is_noticed_and_mended(tmp_path: Path, maker: Maker) -> None:
    registry = registry_for(tmp_path / "home", maker)
    package = maker.make("net")
    registry.install([str(package)])
    file = registry.folder("net") / "model.json"
    file.chmod(0o644)
    file.write_text("{}")
    with pytest.raises(RegistryError, match="has other bytes"):
        registry.folder("net", check=True)
    registry.install([str(package)])
    assert versions(registry) == {"net": "1.0.0"}


def test_a_folder_and_a_repository_are_packages_too(tmp_path: Path, maker: Maker) -> None:
    registry = registry_for(tmp_path / "home", maker)
    repository = tmp_path / "repository"
    repository.mkdir()
    git(repository, "init", "-q")
    (repository / "net.expert").write_bytes(maker.make("net").read_bytes())
    git(repository, "add", ".")
    git(repository, "commit", "-qm", "one")
    git(repository, "tag", "v1")
    (repository / "net.expert").write_bytes(maker.make("net", "2.0.0").read_bytes())
    git(repository, "commit", "-qam", "two")
    url = f"git+file://{repository}"
    registry.install([f"{url}@v1"])
    assert versions(registry) == {"net": "1.0.0"}
    registry.install([url])
    assert versions(registry) == {"net": "2.0.0"}
    assert registry.record("net").location == f"{url}@{git(repository, 'rev-parse', 'HEAD')}"
    assert reason(lambda: registry.install([f"{url}@v9"]), registry) == "git-unknown-ref"
    assert reason(lambda: registry.install([f"{url}@{'0' * 40}"]), registry) == "git-unknown-ref"
    opened = tmp_path / "open"
    Package(maker.make("open-net"), _limits()).extract(opened)
    git(tmp_path, "init", "-q", str(opened))
    registry.install([str(opened)])
    assert registry.record("open-net").mark == ""
    assert reason(lambda: registry.install([str(tmp_path)]), registry) == "no-package"
    assert reason(lambda: registry.install(["./nowhere.expert"]), registry) == "no-package"


def test_a_registry_that_cannot_be_written_says_so(tmp_path: Path, maker: Maker) -> None:
    (tmp_path / "home").write_text("a file where the folder should be")
    registry = Registry(tmp_path / "home" / "experts", registry_for(tmp_path / "trust", maker)._trust)
    with pytest.raises(RegistryError) as refused:
        registry.install([str(maker.make("net"))])
    assert refused.value.reason == "cannot-write"


def test_what_is_judged_is_of_one_moment(maker: Maker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another process may replace a version between two looks at what is installed."""
    from artefacts.registry import registry as module

    mine = registry_for(tmp_path / "home", maker)
    mine.install([str(maker.make("one", "1.0.0"))])
    looks: list[Path] = []
    read = module.read_state

    def watched(path: Path) -> object:
        looks.append(path)
        return read(path)

    monkeypatch.setattr(module, "read_state", watched)
    tree, _ = mine.judged("one")
    assert len(looks) == 1 and tree.manifest.name == "one"
    record, tree = mine.checked("one")
    assert len(looks) == 2 and (record.manifest, record.package) == (tree.content, tree.digest)
