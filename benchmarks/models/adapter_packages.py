"""Adapters that a user names: installed experts, ``.expert`` files, and folders."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.models.error import ModelError
from benchmarks.models.packages import opened_expert

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
    if path.is_dir() and ("/" in word or word not in Registry.of_user().state.installed):
        yield path
        return
    with opened_expert(word, allow_untrusted=allow_untrusted) as found:
        yield found.folder
