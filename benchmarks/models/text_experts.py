"""Text experts by whatever people call them: the name of an installed one, a ``.expert`` file, or a folder."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.models.error import ModelError
from benchmarks.models.packages import is_package, opened_expert
from benchmarks.saving.layout import EXPERT, MODEL

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
def text_expert_folders(which: Sequence[str], *, allow_untrusted: bool = False) -> Iterator[list[Path]]:
    """Folders of experts or adapters, which stay until the end; packages are checked before they are read.

    Parameters
    ----------
    which : sequence of str
        Each the name of an installed expert, a ``.expert`` file, or the folder of an expert or of a saved model. A word
        without ``/`` that is both a name and a folder is the name.
    allow_untrusted : bool
        As for :func:`benchmarks.models.load_expert`.

    Raises
    ------
    PackageError, RegistryError
        As for :func:`benchmarks.models.load_expert`.
    """
    with _folders(which, allow_untrusted) as found:
        yield [_expert_in(folder) for folder in found]


@contextmanager
def given_adapters(which: Sequence[str], *, allow_untrusted: bool = False) -> Iterator[list[GivenAdapter]]:
    """The adapters in what was named, as :func:`text_expert_folders` takes it; several of one expert have paths.

    Raises
    ------
    ModelError
        If one of them holds no adapter, or two have the same name.
    PackageError, RegistryError
        If a package is damaged, not installed or not trusted, or a folder is not there.
    """
    from artefacts.packing.adapter_sources import adapter_places, manifest_in

    found: dict[str, GivenAdapter] = {}
    with _folders(which, allow_untrusted) as folders:
        for word, folder in zip(which, folders, strict=True):
            places = adapter_places(folder)
            manifest = manifest_in(folder)
            if not places:
                raise ModelError(f"{word} holds no adapter of a language model; only adapters are composed on a base.")
            for name, place in places.items():
                if name in found:
                    raise ModelError(f"Two of the experts are called {name!r}; name each once, or rename a folder.")
                found[name] = GivenAdapter(name, place, manifest)
        yield list(found.values())


@contextmanager
def _folders(which: Sequence[str], allow_untrusted: bool) -> Iterator[list[Path]]:
    with ExitStack() as stack:
        yield [_folder(stack, word, allow_untrusted) for word in which]


def _folder(stack: ExitStack, word: str, allow_untrusted: bool) -> Path:
    path = Path(word)
    if not is_package(path) and ("/" in word or (path.is_dir() and not _installed(word))):
        return path  # one that is not there is told by whoever reads it
    return stack.enter_context(opened_expert(word, allow_untrusted=allow_untrusted)).folder


def _installed(word: str) -> bool:
    from artefacts.registry.registry import Registry

    return word in Registry.of_user().state.installed


def _expert_in(folder: Path) -> Path:
    """A saved model keeps its expert in a folder of its own."""
    return folder / EXPERT if (folder / MODEL).is_file() else folder
