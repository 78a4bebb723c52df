"""Small packages, signed, in a line; and a registry that trusts their key."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from artefacts.format.archive import pack
from artefacts.registry.indexes import Source
from artefacts.registry.registry import Registry
from artefacts.trust.keys import PrivateKey, generate, load, public_text
from artefacts.trust.signature import sign
from artefacts.trust.store import TrustStore


class Maker:
    """Packages of one publisher.

    Parameters
    ----------
    folder : Path
        For the key and the packages.
    name : str
        The publisher's.
    """

    def __init__(self, folder: Path, name: str = "author") -> None:
        self.folder, self.name = folder / name, name
        self.folder.mkdir(parents=True)
        generate(self.folder / "key")
        self.key: PrivateKey = load(self.folder / "key")

    def make(
        self,
        name: str,
        version: str = "1.0.0",
        *,
        requires: Mapping[str, str] | None = None,
        incompatible: Mapping[str, str] | None = None,
        members: Sequence[Mapping[str, str]] = (),
        base: str = "",
        content: str = "",
        signed: bool = True,
        max_chain: int = 10,
    ) -> Path:
        """A package's file; ``content`` is what its model says."""
        source = self.folder / f"{name}-{version}-{content[:8]}"
        source.mkdir(exist_ok=True)
        (source / "model.json").write_text(json.dumps({"model": content or f"{name} {version}"}))
        (source / "LICENSE").write_text("Apache-2.0, the same in every package\n")
        facts: dict[str, Any] = {
            "format": "expert/1", "name": name, "version": version, "description": "An expert.", "author": self.name,
            "licence": "Apache-2.0", "kind": "linear", "files": {}, "members": list(members),
            "constraints": {
                "requires": dict(requires or {}), "incompatible_with": dict(incompatible or {}), "max_chain": max_chain,
            },
        }  # fmt: skip
        if base:
            facts["base"] = {"name": "nano", "sha256": base}
        (source / "manifest.json").write_text(json.dumps(facts))
        target = self.folder / f"{source.name}.expert"
        pack(source, target)
        if signed:
            sign(target, self.key)
        return target

    @property
    def public(self) -> str:
        """The public key."""
        return public_text(self.key)


def registry_for(root: Path, *makers: Maker, index: Path | str | None = None) -> Registry:
    """A registry that trusts publishers, with an index."""
    trust = TrustStore(root)
    for maker in makers:
        trust.add(maker.public, maker.name)
    registry = Registry(root, trust)
    if index is not None:
        registry.indexes.add(Source("main", str(index)))
    return registry


def git(folder: Path, *arguments: str) -> str:
    """Git in a folder, with an identity."""
    who = ["-c", "user.name=t", "-c", "user.email=t@localhost", "-c", "init.defaultBranch=main"]
    done = subprocess.run(["git", *who, *arguments], cwd=folder, check=True, capture_output=True, text=True)
    return done.stdout.strip()


def check_whole(registry: Registry) -> None:
    """What must hold at every instant: each installed package is there, byte for byte, with what it requires."""
    state = registry.state
    for name, record in state.installed.items():
        registry.folder(name, check=True)
        assert set(record.needs.requires) <= set(state.installed)
    assert state.reachable() == state


def check_clean(registry: Registry) -> None:
    """After a command nothing is left that nothing names."""
    check_whole(registry)
    root = registry.root
    trees = {path.name for path in (root / "packages").iterdir()} if (root / "packages").exists() else set()
    assert trees == {record.package for record in registry.state.installed.values()}
    assert not (root / "tmp").exists() or not any((root / "tmp").iterdir())
    links = [path.stat().st_nlink for path in (root / "blobs").glob("*/*")] if (root / "blobs").exists() else []
    assert all(count > 1 for count in links)
