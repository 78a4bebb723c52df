"""Profiles of installed adapters."""

from __future__ import annotations

from pathlib import Path

import pytest

from artefacts.registry.error import RegistryError
from artefacts.registry.registry import Allowed, Registry
from serving.router import ExpertProfile, Router
from serving.router.installed import installed_profiles
from tests.artefacts.making import FILES, listing, packed

ADAPTER = "expert/weights.safetensors"


def adapter_package(path: Path) -> Path:
    """A package of kind adapter, with routing and constraints."""
    facts = listing(FILES)[ADAPTER]
    return packed(
        path, {**FILES, "expert/adapter_config.json": b"{}"},
        name="sql-expert", kind="adapter", description="Writes SQL.", capabilities=("query:sql",),
        base={"name": "nano", "sha256": "0" * 64},
        adapters=[{"type": "soft_prompt", "path": ADAPTER, "bytes": facts["bytes"], "sha256": facts["sha256"]}],
        routing={"keywords": ["users"], "exclude_keywords": ["poem"], "priority": 0.75},
        constraints={"load_order": 2, "max_chain": 3},
    )  # fmt: skip


def test_installed_adapters_answer_prompts_and_others_do_not(tmp_path: Path) -> None:
    registry = Registry.of_user()
    packages = [adapter_package(tmp_path / "a.expert"), packed(tmp_path / "b.expert")]
    registry.install([str(one) for one in packages], Allowed(untrusted=True))
    profiles = installed_profiles(registry)
    assert profiles == [
        ExpertProfile(
            "sql-expert", description="Writes SQL.", capabilities=("query:sql",), keywords=("users",),
            exclude_keywords=("poem",), priority=0.75, load_order=2, max_chain=3, kinds=("soft_prompt",),
        )
    ]  # fmt: skip
    assert Router.of(profiles).route("List users who are older than 30").experts == (("sql-expert", 1.0),)
    manifest = registry.folder("sql-expert") / "manifest.json"
    manifest.chmod(0o644)
    manifest.write_bytes(manifest.read_bytes().replace(b"users", b"poets"))
    with pytest.raises(RegistryError, match="installed-damaged"):
        installed_profiles(registry)
