"""Whether experts may work together, by what their manifests say."""

from __future__ import annotations

from collections.abc import Sequence

from artefacts.format.manifest import Manifest
from artefacts.format.names import Range, Version


def refusals(manifests: Sequence[Manifest]) -> list[str]:
    """Sentences about what forbids that these experts are composed; none if nothing does.

    Parameters
    ----------
    manifests
        One per expert. Each must have what it requires beside it, nothing that it is incompatible with, the same base,
        and no more experts than its ``max_chain``.
    """
    there = {manifest.name: Version.parse(manifest.version) for manifest in manifests}
    found = [sentence for manifest in manifests for sentence in _of(manifest, there)]
    bases = {m.base.sha256: m for m in manifests if m.base is not None}
    if len(bases) > 1:
        one, other = sorted(bases.values(), key=lambda manifest: manifest.name)[:2]
        found.append(f"{one.name} and {other.name} stand on different bases; only experts of one base are composed.")
    return found


def _of(manifest: Manifest, there: dict[str, Version]) -> list[str]:
    told, found = manifest.constraints, []
    for name, text in told.requires.items():
        if name not in there:
            found.append(f"{manifest.name} requires {name} {text}, which is not among them.")
        elif there[name] not in Range.parse(text):
            found.append(f"{manifest.name} requires {name} {text}, but {there[name]} is there.")
    for name, text in told.incompatible_with.items():
        if name in there and there[name] in Range.parse(text):
            found.append(f"{manifest.name} is incompatible with {name} {text}, and {there[name]} is there.")
    if len(there) > told.max_chain:
        found.append(f"{manifest.name} works among {told.max_chain} experts at most, and there are {len(there)}.")
    return found
