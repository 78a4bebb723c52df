"""Whether an expert is whole: its files, its weights, its base, what its package says of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from benchmarks.examining.opening import Opened
    from benchmarks.models.text_experts import GivenAdapter


@dataclass(frozen=True)
class Check:
    """One thing that must hold.

    Attributes
    ----------
    what : str
        What was found, as a sentence.
    ok : bool
    """

    what: str
    ok: bool


def check_expert(found: Opened) -> list[Check]:
    """Checks of adapters that lie on their base.

    That they were read at all says that the files are those that were written (sha256), that all weights are finite,
    and that they belong to this very base; here it is told, with what can be wrong beyond it.
    """
    return [check for adapter in found.given for check in _adapter(found, adapter)]


def _adapter(found: Opened, adapter: GivenAdapter) -> list[Check]:
    from llm_experts.adapters.store import FACTS, WEIGHTS, adapter_bytes

    folder, base = adapter.place.folder, found.on.base
    told = f"{adapter.name}: {WEIGHTS} is readable, all weights are finite ({adapter_bytes(folder):,} bytes)"
    known = (folder / FACTS).is_file()
    hashed = "and are the bytes that were written" if known else f"; no {FACTS} says which bytes were written"
    checks = [
        Check(f"{told} {hashed}".replace(" ;", ";"), True),
        Check(f"{adapter.name}: it belongs to {base.id} with the hash {base.hash[:12]}…", True),
        _changes_something(found, adapter.name),
    ]
    return checks + ([] if adapter.manifest is None else _package(adapter))


def _changes_something(found: Opened, name: str) -> Check:
    """An adapter that changes nothing was not trained."""
    import torch

    from llm_experts.runtime.compatibility import check_set

    with torch.no_grad():
        seen = check_set(found.on, [name])
    size = seen.effects[name].estimate
    if seen.problems:
        return Check(f"{name}: {' '.join(seen.problems)}", False)
    if not size > 0:
        return Check(f"{name}: it changes no logit of the base, as an adapter that was never trained", False)
    return Check(f"{name}: it changes the base's logits by {size:.2f} of their size, and no other request", True)


def _package(adapter: GivenAdapter) -> list[Check]:
    manifest = adapter.manifest
    assert manifest is not None
    measured = manifest.fairness
    scores = "no score" if measured is None else f"{len(measured.metrics)} scores of {measured.task or measured.suite}"
    base = "no base" if manifest.base is None else manifest.base.name
    return [
        Check(
            f"{adapter.name}: package {manifest.name} {manifest.version} by {manifest.author}, {manifest.licence}, for "
            f"{base}; it holds {scores}",
            True,
        )
    ]
