"""Experts from packages: installed ones by name, and ``.expert`` files.

What checks packages is imported where one is read: a saved model that travels alone, as in MLflow, needs none of it.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.models.error import ModelError
from benchmarks.models.loading import load_model
from benchmarks.models.saved import SavedModel
from benchmarks.saving.layout import EXPERT, MODEL
from foundation.home import home

if TYPE_CHECKING:
    from artefacts.format.manifest import Manifest
    from artefacts.format.package import Package
    from artefacts.registry.error import RegistryError
    from artefacts.trust.store import Verdict

TRUSTED, INVALID = "trusted", "invalid"
PACKAGE = "package"
"""What ``SavedModel.facts`` says of the package that a model came in."""


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
    from artefacts.registry.sources import SUFFIX

    if str(which).endswith(SUFFIX) or Path(which).is_file():
        return _of_file(Path(which), base, allow_untrusted)
    return _installed(str(which), base, allow_untrusted)


def is_package(path: Path) -> bool:
    """Whether a path names a ``.expert`` file, not the folder of a saved model."""
    from artefacts.registry.sources import SUFFIX

    return path.is_file() or (path.suffix == SUFFIX and not path.is_dir())


def _of_file(path: Path, base: str | None, allow_untrusted: bool) -> SavedModel:
    with unpacked(path, allow_untrusted) as (tree, package, verdict):
        return replace(_loaded(tree, package.manifest, verdict, base), folder=path)


@contextmanager
def unpacked(path: Path, allow_untrusted: bool = False) -> Iterator[tuple[Path, Package, Verdict]]:
    """The files of a package, checked and judged, in a folder that goes when the context ends.

    Raises
    ------
    PackageError, RegistryError
        If it is damaged or not trusted.
    """
    from artefacts.format.archive import open_package
    from artefacts.trust.store import TrustStore

    with open_package(path) as package, tempfile.TemporaryDirectory(prefix="fairmoe-expert-") as name:
        package.check()
        verdict = TrustStore(home()).judge(package)
        if verdict.status == INVALID or (verdict.status != TRUSTED and not allow_untrusted):
            raise untrusted(path.name, verdict)
        tree = Path(name) / "tree"
        package.extract(tree)
        yield tree, package, verdict


def _installed(name: str, base: str | None, allow_untrusted: bool) -> SavedModel:
    """Who was trusted when it was installed stays so, unless the key or the package has been revoked since."""
    from artefacts.registry.registry import Registry

    registry = Registry.of_user()
    tree, verdict = registry.judged(name)
    if verdict.status == INVALID or (verdict.status == "revoked" and not allow_untrusted):
        raise untrusted(name, verdict)
    return _loaded(tree.folder, tree.manifest, verdict, base)


def _loaded(tree: Path, manifest: Manifest, verdict: Verdict, base: str | None) -> SavedModel:
    from artefacts.packing.kinds import check_kinds

    if not (tree / MODEL).is_file():
        raise ModelError(
            f"{manifest.name} {manifest.version} is of the kind {manifest.kind} and holds no saved model of rows, so "
            "it cannot be asked about a table. An adapter is loaded onto its base "
            f"({manifest.base.name if manifest.base else 'which it does not name'}); its files are PEFT's."
        )
    check_kinds(tree / EXPERT)
    model = load_model(tree, base=base)
    told: dict[str, Any] = {"name": manifest.name, "version": manifest.version, "trust": verdict.status}
    return replace(model, facts={**model.facts, PACKAGE: told})


def untrusted(which: str, verdict: Verdict) -> RegistryError:
    """What is raised for a package that a user's list does not vouch for."""
    from artefacts.registry.error import RegistryError

    if verdict.status == INVALID:
        return RegistryError("signature-invalid", f"{which} was not loaded: {verdict.text} Get the package again.")
    return RegistryError(
        f"untrusted-{verdict.status}",
        f"{which} was not loaded: {verdict.text} What a package computes is as trustworthy as who vouches for it; "
        "--allow-untrusted (in Python: allow_untrusted=True) loads it all the same.",
    )
