"""What an engine can be asked: installed experts as they are now, and packages and folders that were named."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.models.error import ModelError
from benchmarks.models.loading import load_model
from benchmarks.models.packages import INVALID, is_package, load_expert, opened_expert
from benchmarks.models.saved import SavedModel
from benchmarks.saving.layout import MODEL
from foundation.home import home
from serving.catalogue import Entry
from serving.router import ExpertProfile

if TYPE_CHECKING:
    from artefacts.format.manifest import Manifest
    from artefacts.registry.registry import Registry

Stamp = tuple[tuple[int, int], ...]


@dataclass(frozen=True)
class Known:
    """An expert, and how it is opened.

    Attributes
    ----------
    entry : Entry
    profile : ExpertProfile
    rows : Path or str or None
        What :func:`load_expert` or :func:`load_model` reads for rows.
    """

    entry: Entry
    profile: ExpertProfile
    rows: Path | str | None = None


class InstalledExperts:
    """The catalogue of an engine.

    Files of the registry are only looked at again when they have changed; every package is hashed and judged once, when
    it is first seen, and judged again when the user's list of keys has changed.

    Parameters
    ----------
    only : sequence of str, optional
        Names of installed experts, ``.expert`` files, folders of adapters or saved models; default: all installed ones.
    stack : ExitStack
        Owns the folders that files are unpacked to.
    allow_untrusted : bool
        Also files that nobody whom the user trusts has signed, and installed ones that were revoked since.
    """

    def __init__(self, only: tuple[str, ...] | None, stack: ExitStack, allow_untrusted: bool = False) -> None:
        self._allow, self._lock = allow_untrusted, threading.Lock()
        self._given: dict[str, Known] = {}
        self._names: tuple[str, ...] | None = None if only is None else tuple(n for n in only if not _is_path(n))
        for word in only or ():
            if _is_path(word):
                self._given.update(self._of_path(Path(word), stack))
        self._judged: dict[tuple[str, Stamp], tuple[Known, ...]] = {}
        self._stamp: Stamp | None = None
        self._now: dict[str, Known] = {}
        self._entries: dict[str, Entry] = {}
        self._check_names()

    def __call__(self) -> Mapping[str, Entry]:
        """Entries by name."""
        self.known()
        return self._entries

    def known(self) -> Mapping[str, Known]:
        """All that there is now, by name."""
        with self._lock:
            stamp = _stamp(home() / "experts" / "installed.json", home() / "trust.json")
            if stamp != self._stamp:
                self._now, self._stamp = {**self._installed(stamp[1:]), **self._given}, stamp
                self._entries = {name: known.entry for name, known in self._now.items()}
            return self._now

    def open_rows(self, name: str, base: str | None = None) -> SavedModel:
        """The row model of a name; ``base`` as for :func:`load_expert`."""
        rows = self.known()[name].rows
        if isinstance(rows, Path) and rows.is_dir():
            return load_model(rows, base=base)
        if rows is None:
            raise ModelError(f"{name} holds no saved model of rows; ask it for text.")
        return load_expert(rows, base=base, allow_untrusted=self._allow)

    def _check_names(self) -> None:
        from artefacts.registry.error import RegistryError
        from artefacts.registry.registry import Registry

        there = set(Registry.of_user().state.installed) if self._names else set()
        lacking = [name for name in self._names or () if name not in there]
        if lacking:
            listed = ", ".join(sorted(there)[:12]) or "nothing"
            raise RegistryError(
                "not-installed",
                f"No expert {lacking[0]!r} is installed; there is {listed}. Install it, or give the path of its file.",
            )

    def _installed(self, trust: Stamp) -> dict[str, Known]:
        from artefacts.registry.registry import Registry

        registry = Registry.of_user()
        found: dict[str, Known] = {}
        judged: dict[tuple[str, Stamp], tuple[Known, ...]] = {}
        for name, record in registry.state.installed.items():
            if self._names is None or name in self._names:
                key = record.package, trust
                judged[key] = self._judged.get(key) or self._judge(registry, name)
                found.update({known.entry.name: known for known in judged[key]})
        self._judged = judged
        return found

    def _judge(self, registry: Registry, name: str) -> tuple[Known, ...]:
        from artefacts.format.error import PackageError
        from artefacts.registry.error import RegistryError

        try:
            tree, verdict = registry.judged(name)
        except (PackageError, RegistryError) as error:
            return (Known(Entry(name, "rows", fault=str(error)), ExpertProfile(name)),)
        refused = verdict.status == INVALID or (verdict.status == "revoked" and not self._allow)
        fault = f"{name} is not asked: {verdict.text}" if refused else ""
        return _known_of(tree.folder, tree.manifest, tree.content, verdict.status, name, fault)

    def _of_path(self, path: Path, stack: ExitStack) -> dict[str, Known]:
        from artefacts.packing.adapter_sources import adapter_places

        if is_package(path):
            opened = stack.enter_context(opened_expert(path, allow_untrusted=self._allow))
            found_in = _known_of(opened.folder, opened.manifest, opened.content, opened.verdict.status, path)
            return {known.entry.name: known for known in found_in}
        name = path.resolve().name
        rows = path if (path / MODEL).is_file() else None
        places = adapter_places(path)
        found = {}
        for called, place in places.items():
            entry = Entry(called, "adapter", f"the folder {path}", source=place.folder, order=place.order)
            found[called] = Known(replace(entry, rows=rows is not None), ExpertProfile(called), rows)
        if rows is not None and name not in found:
            found[name] = Known(Entry(name, "rows", f"the folder {path}"), ExpertProfile(name), rows)
        if not found:
            raise ModelError(f"{path} holds neither an adapter nor a saved model; name a folder that does.")
        return found


def _known_of(
    tree: Path, manifest: Manifest, content: str, trust: str, rows: Path | str, fault: str = ""
) -> tuple[Known, ...]:
    """The experts of a package: one, or the adapters of which it holds several."""
    from artefacts.packing.adapter_sources import adapter_places

    columns = tuple(column.name for column in manifest.inputs.columns) if manifest.inputs is not None else ()
    whole = Entry(
        manifest.name, "rows", manifest.description, manifest.version, content, trust, columns=columns, fault=fault,
        base="" if manifest.base is None else manifest.base.sha256, order=manifest.constraints.load_order,
        decoding=manifest.decoding, priority=manifest.routing.priority,
    )  # fmt: skip
    profile, model = ExpertProfile.of(manifest), (tree / MODEL).is_file()
    if fault:
        return (Known(whole, profile),)
    found = [
        Known(
            replace(whole, name=name, kind="adapter", source=place.folder, rows=model and name == manifest.name),
            replace(profile, name=name), rows if model and name == manifest.name else None,
        )
        for name, place in adapter_places(tree).items()
    ]  # fmt: skip
    if model and manifest.name not in [known.entry.name for known in found]:
        found.append(Known(whole, profile, rows))
    return tuple(found)


def _is_path(word: str) -> bool:
    return is_package(Path(word)) or ("/" in word and Path(word).is_dir())


def _stamp(*paths: Path) -> Stamp:
    """Time of change and size of files; zeros for one that is not there."""
    found = []
    for path in paths:
        try:
            facts = path.stat()
        except FileNotFoundError:
            found.append((0, 0))
        else:
            found.append((facts.st_mtime_ns, facts.st_size))
    return tuple(found)
