"""The router of this user: installed adapters, and outcomes that are kept in FAIRMOE_HOME."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from artefacts.format.files import MANIFEST
from artefacts.format.manifest import parse_manifest
from artefacts.packing.adapter_sources import adapter_sources
from artefacts.registry.store import check_tree
from foundation.home import home
from serving.router.outcomes import Outcomes
from serving.router.profile import ExpertProfile

if TYPE_CHECKING:
    from artefacts.registry.registry import Registry


def installed_profiles(registry: Registry) -> list[ExpertProfile]:
    """Profiles of all that answers prompts here: installed adapters, and those of text experts that also answer rows.

    A package of several adapters, such as a mixture of texts, has a profile of each, named as engines name it. Experts
    of rows alone have none.

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
        profile = ExpertProfile.of(manifest)
        found += [replace(profile, name=called) for called in adapter_sources(folder, manifest.name)]
    return found


def own_outcomes() -> Outcomes:
    """Outcomes that this user reported, shared by commands, engines and servers."""
    return Outcomes(home() / "router" / "outcomes.json")
