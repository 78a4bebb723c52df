"""Adapters that a user names: installed experts, ``.expert`` files, and folders."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.models.error import ModelError
from benchmarks.models.packages import INVALID, TRUSTED, is_package, untrusted
from foundation.home import home

if TYPE_CHECKING:
    from artefacts.format.manifest import Manifest
    from artefacts.packing.adapter_sources import AdapterPlace


@dataclass(frozen=True)
class GivenAdapter:
    """An adapter that was named.

    Attributes
    ----------
    name : str
    place : AdapterPlace
    manifest : Manifest or None
        Of its package; None for a folder.
    """

    name: str
    place: AdapterPlace
    manifest: Manifest | None = None


@contextmanager
def given_adapters(which: Sequence[str], *, allow_untrusted: bool = False) -> Iterator[list[GivenAdapter]]:
    """Adapters by what a user wrote; files of packages are checked first, and unpacked while the context is open.

    Parameters
    ----------
    which : sequence of str
        Names of installed experts, paths of ``.expert`` files, or folders of adapters or saved text experts.
    allow_untrusted : bool
        As for :func:`benchmarks.models.packages.load_expert`.

    Raises
    ------
    ModelError
        If one of them holds no adapter, or two have the same name.
    PackageError, RegistryError
        If a package is damaged, not installed or not trusted.
    """
    from artefacts.packing.adapter_sources import adapter_places, manifest_in

    found: dict[str, GivenAdapter] = {}
    with ExitStack() as stack:
        for word in which:
            folder = stack.enter_context(_folder(word, allow_untrusted))
            manifest = manifest_in(folder)
            places = adapter_places(folder)
            if not places:
                raise ModelError(f"{word} holds no adapter of a language model; only adapters are composed on a base.")
            for name, place in places.items():
                if name in found:
                    raise ModelError(f"Two of the experts are called {name!r}; name each once, or rename a folder.")
                found[name] = GivenAdapter(name, place, manifest)
        yield list(found.values())


@contextmanager
def _folder(word: str, allow_untrusted: bool) -> Iterator[Path]:
    from artefacts.registry.registry import Registry

    path = Path(word)
    if is_package(path):
        with _unpacked(path, allow_untrusted) as unpacked:
            yield unpacked
        return
    registry = Registry.of_user()
    if path.is_dir() and ("/" in word or word not in registry.state.installed):
        yield path
        return
    tree, verdict = registry.judged(word)
    if verdict.status == INVALID or (verdict.status == "revoked" and not allow_untrusted):
        raise untrusted(word, verdict)
    yield tree.folder


@contextmanager
def _unpacked(path: Path, allow_untrusted: bool) -> Iterator[Path]:
    from artefacts.format.archive import open_package
    from artefacts.trust.store import TrustStore

    with open_package(path) as package, tempfile.TemporaryDirectory(prefix="fairmoe-expert-") as name:
        package.check()
        verdict = TrustStore(home()).judge(package)
        if verdict.status == INVALID or (verdict.status != TRUSTED and not allow_untrusted):
            raise untrusted(path.name, verdict)
        tree = Path(name) / "tree"
        package.extract(tree)
        yield tree
