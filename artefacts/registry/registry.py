"""Installing, updating and removing: each a change of one file, after all bytes are in place."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Self

from artefacts.format.archive import pack
from artefacts.format.error import PackageError
from artefacts.format.files import MANIFEST
from artefacts.format.manifest import parse_manifest
from artefacts.format.names import Version
from artefacts.registry.choosing.candidates import Candidate, Candidates, Rules
from artefacts.registry.choosing.resolve import Requirement, resolve
from artefacts.registry.error import RegistryError
from artefacts.registry.examined import Examined, check_against, examine
from artefacts.registry.index import Index
from artefacts.registry.indexes import Indexes
from artefacts.registry.lockfile import Locked
from artefacts.registry.record import Record, State, read_state, write_state
from artefacts.registry.sources import Given, read_source
from artefacts.registry.store import Store, check_tree
from artefacts.registry.tree import Tree
from artefacts.trust.store import TrustStore, Verdict
from foundation.folder_lock import turn
from foundation.home import home
from foundation.progress import Tell, silent


@dataclass(frozen=True)
class Allowed:
    """What the user allows explicitly.

    Attributes
    ----------
    untrusted : bool
        Packages that are unsigned, or signed by a key that is unknown or revoked; they are marked.
    downgrade : bool
        An older version than the installed one.
    new_key : bool
        Another key than the name was first seen with.
    """

    untrusted: bool = False
    downgrade: bool = False
    new_key: bool = False


NOTHING = Allowed()


@dataclass(frozen=True)
class Change:
    """What a command did.

    Attributes
    ----------
    before, after : State
    asked : tuple of str
        Names that the user named.
    """

    before: State
    after: State
    asked: tuple[str, ...] = ()

    @property
    def added(self) -> list[Record]:
        """New, or of another version."""
        old = self.before.installed
        return [r for n, r in sorted(self.after.installed.items()) if n not in old or old[n].package != r.package]

    @property
    def removed(self) -> list[Record]:
        """No longer there."""
        return [r for n, r in sorted(self.before.installed.items()) if n not in self.after.installed]


@dataclass(frozen=True)
class _Plan:
    """What is wanted: ``targets`` are names and ranges asked for now; ``given`` are packages at hand."""

    targets: Mapping[str, str]
    rules: Rules
    given: Mapping[str, Examined] = field(default_factory=dict)


class Registry:
    """The experts that are installed for this user.

    Parameters
    ----------
    root : Path
        Its folder.
    trust : TrustStore
        Which keys and packages are trusted.
    watch : Tell
        Told of what is fetched.
    """

    def __init__(self, root: Path, trust: TrustStore, watch: Tell = silent) -> None:
        self.root, self._trust, self._watch = root, trust, watch
        self.store, self.indexes = Store(root), Indexes(root, watch)
        self._file = root / "installed.json"

    @classmethod
    def of_user(cls, watch: Tell = silent) -> Self:
        """The registry of this user, in FAIRMOE_HOME."""
        return cls(home() / "experts", TrustStore(home()), watch)

    @property
    def state(self) -> State:
        """What is installed now."""
        return read_state(self._file)

    def record(self, name: str) -> Record:
        """An installed package; ``not-installed`` if it is none."""
        installed = self.state.installed
        if name not in installed:
            there = ", ".join(sorted(installed)[:20]) or "nothing"
            raise RegistryError(
                "not-installed",
                f"No expert {name!r} is installed; there is {there}. Install it first: fairmoe install {name}",
            )
        return installed[name]

    def folder(self, name: str, *, check: bool = False) -> Path:
        """Where the files of an installed package lie; ``check`` hashes them again.

        Raises
        ------
        RegistryError
            ``not-installed``, ``installed-damaged``.
        """
        return self.checked(name)[1].folder if check else self.store.tree(self.record(name).package)

    def checked(self, name: str) -> tuple[Record, Tree]:
        """What is known of an installed package, and its files, hashed again: both of one moment.

        Raises
        ------
        RegistryError
            ``not-installed``, ``installed-damaged``.
        """
        record = self.record(name)
        folder = self.store.tree(record.package)
        check_tree(folder, {MANIFEST: record.manifest}, name)
        manifest = parse_manifest((folder / MANIFEST).read_bytes())
        check_tree(folder, {path: file.sha256 for path, file in manifest.files.items()}, name)
        return record, Tree(folder, manifest, record.manifest, record.package)

    def judged(self, name: str) -> tuple[Tree, Verdict]:
        """An installed package, hashed again, and what the user's list says of it today.

        Raises
        ------
        RegistryError
            ``not-installed``, ``installed-damaged``.
        """
        _, tree = self.checked(name)
        return tree, self._trust.judge(tree)

    def install(self, sources: Sequence[str], allowed: Allowed = NOTHING, *, offline: bool = False) -> Change:
        """Install packages and what they require; all or nothing.

        Parameters
        ----------
        sources : sequence of str
            ``FILE``, ``DIR``, ``git+URL[@ref]`` or ``NAME[@RANGE]``.
        allowed : Allowed
        offline : bool
            Ask no network: indexes in Git are used as they were when last read.

        Raises
        ------
        RegistryError, PackageError
            Named; nothing was changed.
        """
        with self._turn() as state, self.store.scratch() as scratch:
            targets: dict[str, str] = {}
            given: dict[str, Examined] = {}
            for number, text in enumerate(sources):
                place = scratch / f"source{number}"
                place.mkdir()
                found = read_source(text, place, self._watch, offline=offline)
                if isinstance(found, Given):
                    package = self._examine(found.path, allowed, found.location)
                    given[package.name] = package
                    targets[package.name] = "*"
                else:
                    targets[found.name] = found.range
            rules = Rules(state.installed, _given(given), frozenset(targets), allowed.downgrade)
            return self._apply(state, _Plan(targets, rules, given), allowed, scratch, offline)

    def update(self, names: Sequence[str] = (), allowed: Allowed = NOTHING, *, offline: bool = False) -> Change:
        """Move packages to the newest versions that fit; all when none is named.

        Raises
        ------
        RegistryError, PackageError
            As :meth:`install`; ``not-installed``.
        """
        with self._turn() as state, self.store.scratch() as scratch:
            for name in names:
                self.record(name)
            free = frozenset(names or state.installed)
            targets = {name: state.installed[name].asked for name in free if state.installed[name].asked}
            rules = Rules(state.installed, {}, free, allowed.downgrade, newest=True)
            return self._apply(state, _Plan(targets, rules), allowed, scratch, offline)

    def install_locked(self, locked: Locked, allowed: Allowed = NOTHING, *, offline: bool = False) -> Change:
        """Install exactly the packages of a lock file, byte for byte.

        Raises
        ------
        RegistryError, PackageError
            As :meth:`install`; ``package-missing`` if the bytes are nowhere, ``other-bytes`` if others are there.
        """
        with self._turn() as state, self.store.scratch() as scratch:
            indexes = _Lazy(self.indexes, offline)
            given = {}
            for record in locked.records:
                path = locked.fetch(record, scratch, indexes, self._watch, offline=offline)
                found = self._examine(path, allowed, record.location, record.index)
                if (found.name, found.version, found.manifest) != (record.name, record.version, record.manifest):
                    raise RegistryError(
                        "lock-damaged", f"The lock file's entry {record.name} is not what its bytes are."
                    )
                given[record.name] = found
            targets = {record.name: record.asked for record in locked.records if record.asked}
            rules = Rules(state.installed, _given(given), frozenset(given), downgrade=True)
            return self._apply(state, _Plan(targets, rules, given), replace(allowed, downgrade=True), scratch, offline)

    def write_files(self, folder: Path) -> list[Path]:
        """Write every installed package as a file again, the same bytes that it was installed from.

        Raises
        ------
        RegistryError
            ``installed-damaged``.
        PackageError
            ``unwritable``.
        """
        found = []
        for name in sorted(self.state.installed):
            record, tree = self.checked(name)
            target = folder / f"{name}-{record.version}.expert"
            if pack(tree.folder, target) != record.package:
                target.unlink()
                raise RegistryError(
                    "installed-damaged", f"{name} cannot be written as it was: install it again from its file."
                )
            found.append(target)
        return found

    def uninstall(self, names: Sequence[str]) -> Change:
        """Remove packages, and what was only there for them.

        Raises
        ------
        RegistryError
            ``not-installed``; ``required`` if another installed package requires one.
        """
        with self._turn() as state:
            for name in names:
                self.record(name)
                if others := [other for other in state.requiring(name) if other not in names]:
                    raise RegistryError(
                        "required",
                        f"{name} is required by {', '.join(others)}; uninstall them with it, or keep it.",
                    )
            kept = {name: record for name, record in state.installed.items() if name not in names}
            return self._write(state, replace(state, installed=kept).reachable(), names)

    @contextmanager
    def _turn(self) -> Iterator[State]:
        """Alone among processes, with what killed ones left swept away."""
        try:
            with turn(self.root / ".lock"):
                self._sweep()
                try:
                    yield self.state
                finally:
                    self._sweep()
        except OSError as error:
            raise self._unwritable(f"{error.strerror or error} ({error.filename or 'no file named'})") from error
        except PackageError as error:
            if error.reason != "unwritable":
                raise
            raise self._unwritable(str(error.__cause__ or error)) from error

    def _unwritable(self, why: str) -> RegistryError:
        return RegistryError(
            "cannot-write",
            f"The registry in {self.root} could not do this: {why}. What was installed before is as it was; make room "
            "or mend the folder, then run the same command again.",
        )

    def _sweep(self) -> None:
        self.store.sweep({record.package for record in self.state.installed.values()})

    def _examine(self, path: Path, allowed: Allowed, location: str, index: str = "") -> Examined:
        return examine(path, self._trust, allow_untrusted=allowed.untrusted, location=location, index=index)

    def _apply(self, state: State, plan: _Plan, allowed: Allowed, scratch: Path, offline: bool) -> Change:
        _check_given(state, plan.given.values(), allowed)
        targets = {**{n: r.asked for n, r in state.installed.items() if r.asked}, **plan.targets}
        requirements = [Requirement(name, text) for name, text in sorted(targets.items())]
        chosen = resolve(requirements, Candidates(_Lazy(self.indexes, offline), plan.rules))
        records: dict[str, Record] = {}
        keys = dict(state.keys)
        for candidate in chosen:
            asked = targets.get(candidate.name, "")
            old = state.installed.get(candidate.name)
            found = plan.given.get(candidate.name)
            if found is None and old is not None and Version.parse(old.version) == candidate.version:
                records[old.name] = replace(old, asked=asked)
                continue
            if found is None:
                found = self._fetch(candidate, scratch, allowed, offline)
            key = _key(found, candidate, keys, allowed)
            records[found.name] = _record(found, asked, key)
            self._add(found)
            if key:
                keys[found.name] = key
        for record in records.values():
            _check_members(record, records)
        return self._write(state, State(records, keys), plan.targets)

    def _fetch(self, candidate: Candidate, scratch: Path, allowed: Allowed, offline: bool) -> Examined:
        release, index = candidate.release, candidate.index
        if release is None or index is None:
            raise RegistryError("package-missing", f"{candidate} is in no index.")
        path = index.fetch(release, scratch / f"{candidate.name}.expert", self._watch, offline=offline)
        found = self._examine(path, allowed, release.location, index.name)
        check_against(found, release, index.name)
        return found

    def _add(self, found: Examined) -> None:
        with self.store.scratch() as folder:
            tree = folder / "tree"
            found.package.extract(tree)
            self.store.add(tree, found.package.digest)

    def _write(self, before: State, after: State, asked: Iterable[str]) -> Change:
        if after != before:
            write_state(self._file, after)
        return Change(before, after, tuple(asked))


class _Lazy:
    """The indexes, opened when the first name is looked up: a file without requirements needs no network."""

    def __init__(self, indexes: Indexes, offline: bool) -> None:
        self._indexes, self._offline = indexes, offline
        self._open: list[Index] | None = None

    def _all(self) -> list[Index]:
        if self._open is None:
            self._open = self._indexes.open_all(offline=self._offline)
        return self._open

    def __iter__(self) -> Iterator[Index]:
        return iter(self._all())


def _given(found: Mapping[str, Examined]) -> dict[str, Candidate]:
    return {name: Candidate(name, Version.parse(one.version), one.needs) for name, one in found.items()}


def _check_given(state: State, given: Iterable[Examined], allowed: Allowed) -> None:
    for found in given:
        old = state.installed.get(found.name)
        if old is None:
            continue
        versions = Version.parse(old.version), Version.parse(found.version)
        if versions[1] < versions[0] and not allowed.downgrade:
            raise RegistryError(
                "downgrade",
                f"{found.name} {old.version} is installed, and the given one is the older {found.version}. It may lack "
                "corrections; --allow-downgrade installs it all the same.",
            )
        if versions[0] == versions[1] and old.manifest != found.manifest:
            raise RegistryError(
                "version-taken",
                f"{found.name} {old.version} is installed with other content. A version means one content: give the "
                "changed one a new version, or uninstall the old one first.",
            )


def _key(found: Examined, candidate: Candidate, keys: Mapping[str, str], allowed: Allowed) -> str:
    """The key of a package: that of its index line, the one its name has always had, or the first that signed it."""
    known = keys.get(found.name, "")
    line = candidate.release.key if candidate.release is not None else ""
    key = line or (known if known in found.keys else "") or next(iter(found.keys), "")
    if known and key and key != known and not allowed.new_key:
        raise RegistryError(
            "other-key",
            f"{found.name} was first seen with the key {known}; {found.name} {found.version} is by {key}. Somebody may "
            "have taken the name. Ask its publisher; --allow-new-key accepts the change.",
        )
    return key


def _record(found: Examined, asked: str, key: str) -> Record:
    return Record(
        found.name, found.version, found.package.digest, found.manifest, found.bytes, found.needs,
        found.location, found.index, key, asked, found.mark,
    )  # fmt: skip


def _check_members(record: Record, records: Mapping[str, Record]) -> None:
    for name, content in record.needs.members.items():
        if records[name].manifest != content:
            raise RegistryError(
                "wrong-member",
                f"{record.name} {record.version} was made with a {name} whose manifest has the hash {content[:16]}…, "
                f"and {name} {records[name].version} has {records[name].manifest[:16]}…: not the same mixture.",
            )
