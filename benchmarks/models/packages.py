"""Experts from packages: installed ones by name, and ``.expert`` files.

What checks packages is imported where one is read: a saved model that travels alone, as in MLflow, needs none of it.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.models.error import ModelError
from benchmarks.models.loading import load_model
from benchmarks.models.saved import SavedModel
from benchmarks.saving.layout import EXPERT, MODEL
from foundation.home import home

if TYPE_CHECKING:
    from artefacts.format.manifest import Manifest
    from artefacts.registry.error import RegistryError
    from artefacts.trust.store import Verdict

TRUSTED, INVALID = "trusted", "invalid"
PACKAGE = "package"
"""What ``SavedModel.facts`` says of the package that a model came in."""


@dataclass(frozen=True)
class OpenedExpert:
    """A checked package whose files can be read.

    Attributes
    ----------
    folder : Path
        Its files.
    manifest : Manifest
    verdict : Verdict
        Who vouches for it, by the user's list.
    origin : Path
        Where it was read: the file of the package, or the folder of an installed one.
    content : str
        sha256 of the canonical manifest.
    """

    folder: Path
    manifest: Manifest
    verdict: Verdict
    origin: Path
    content: str


def load_expert(which: str | Path, *, base: str | None = None, allow_untrusted: bool = False) -> SavedModel:
    """A model from a package: every byte is hashed and signatures are judged before anything is read.

    Parameters
    ----------
    which : str or Path
        Name of an installed expert, or the path of a ``.expert`` file.
    base : str, optional
        Folder or name of the language model that its text experts stand on; default: the one that it names.
    allow_untrusted : bool
        Also a file that nobody whom you trust has signed, and an installed expert that was revoked since.

    Returns
    -------
    SavedModel
        Its ``facts`` also say ``package``: name, version and trust (``trusted``, ``unsigned``, ...).

    Raises
    ------
    PackageError, RegistryError
        If the package is damaged, not installed or not trusted, or holds what is not safe to read; with the reason.
    ModelError
        If it holds no model that fairmoe can ask.
    """
    with opened_expert(which, allow_untrusted=allow_untrusted) as found:
        return model_of(found, base)


def is_package(path: Path) -> bool:
    """Whether a path names a ``.expert`` file, not the folder of a saved model."""
    from artefacts.registry.sources import SUFFIX

    return path.is_file() or (path.suffix == SUFFIX and not path.is_dir())


@contextmanager
def opened_expert(which: str | Path, *, allow_untrusted: bool = False) -> Iterator[OpenedExpert]:
    """The files of a package, after every byte was hashed and signatures were judged; they stay until the end.

    Parameters
    ----------
    which : str or Path
        Name of an installed expert, or the path of a ``.expert`` file.
    allow_untrusted : bool
        As for :func:`load_expert`.

    Raises
    ------
    PackageError, RegistryError
        As for :func:`load_expert`.
    """
    if is_package(Path(which)):
        with _of_file(Path(which), allow_untrusted) as found:
            yield found
    else:
        yield _installed(str(which), allow_untrusted)


@contextmanager
def _of_file(path: Path, allow_untrusted: bool) -> Iterator[OpenedExpert]:
    from artefacts.format.archive import open_package
    from artefacts.trust.store import TrustStore

    with open_package(path) as package, tempfile.TemporaryDirectory(prefix="fairmoe-expert-") as name:
        package.check()
        verdict = TrustStore(home()).judge(package)
        if verdict.status == INVALID or (verdict.status != TRUSTED and not allow_untrusted):
            raise _untrusted(path.name, verdict)
        tree = Path(name) / "tree"
        package.extract(tree)
        yield OpenedExpert(tree, package.manifest, verdict, path, package.content)


def _installed(name: str, allow_untrusted: bool) -> OpenedExpert:
    """Who was trusted when it was installed stays so, unless the key or the package has been revoked since."""
    from artefacts.registry.registry import Registry

    tree, verdict = Registry.of_user().judged(name)
    if verdict.status == INVALID or (verdict.status == "revoked" and not allow_untrusted):
        raise _untrusted(name, verdict)
    return OpenedExpert(tree.folder, tree.manifest, verdict, tree.folder, tree.content)


def model_of(found: OpenedExpert, base: str | None = None) -> SavedModel:
    """The model of a checked package; ``base`` and errors as for :func:`load_expert`."""
    from artefacts.packing.kinds import check_kinds

    manifest = found.manifest
    if not (found.folder / MODEL).is_file():
        raise ModelError(
            f"{manifest.name} {manifest.version} is of the kind {manifest.kind} and holds no saved model of rows, so "
            "it cannot be asked about a table. An adapter is loaded onto its base "
            f"({manifest.base.name if manifest.base else 'which it does not name'}); its files are PEFT's."
        )
    check_kinds(found.folder / EXPERT)
    model = load_model(found.folder, base=base)
    told: dict[str, Any] = {"name": manifest.name, "version": manifest.version, "trust": found.verdict.status}
    return replace(model, facts={**model.facts, PACKAGE: told}, folder=found.origin)


def _untrusted(which: str, verdict: Verdict) -> RegistryError:
    from artefacts.registry.error import RegistryError

    if verdict.status == INVALID:
        return RegistryError("signature-invalid", f"{which} was not loaded: {verdict.text} Get the package again.")
    return RegistryError(
        f"untrusted-{verdict.status}",
        f"{which} was not loaded: {verdict.text} What a package computes is as trustworthy as who vouches for it; "
        "--allow-untrusted (in Python: allow_untrusted=True) loads it all the same.",
    )
