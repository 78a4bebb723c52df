"""The router of this user: installed adapters, and outcomes that are kept in FAIRMOE_HOME."""

from __future__ import annotations

from typing import TYPE_CHECKING

from artefacts.format.files import MANIFEST
from artefacts.format.manifest import parse_manifest
from artefacts.registry.store import check_tree
from foundation.home import home
from serving.router.outcomes import Outcomes
from serving.router.profile import ExpertProfile

if TYPE_CHECKING:
    from artefacts.registry.registry import Registry

KIND = "adapter"
"""Kind of packages that answer prompts; all others answer rows."""


def installed_profiles(registry: Registry) -> list[ExpertProfile]:
    """Profiles of the installed adapters, by name.

    Raises
    ------
    RegistryError
        ``installed-damaged`` if a manifest is not the one that was installed.
    """
    found = []
    for name, record in sorted(registry.state.installed.items()):
        folder = registry.folder(name)
        check_tree(folder, {MANIFEST: record.manifest}, name)
        manifest = parse_manifest((folder / MANIFEST).read_bytes())
        if manifest.kind == KIND:
            found.append(ExpertProfile.of(manifest))
    return found


def own_outcomes() -> Outcomes:
    """Outcomes that this user reported, shared by commands, engines and servers."""
    return Outcomes(home() / "router" / "outcomes.json")
