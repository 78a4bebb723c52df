"""``fairmoe install``: experts of others, checked and complete, or not at all."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from benchmarks.commands.registry.opened import DOWNGRADE, NEW_KEY, OFFLINE, UNTRUSTED, tell, watched_registry


def install(
    sources: Annotated[
        list[str] | None, typer.Argument(help="FILE, DIR, git+URL[@ref] or NAME[@RANGE], any number of them.")
    ] = None,
    locked: Annotated[Path | None, typer.Option(help="Install exactly what this file of 'fairmoe lock' says.")] = None,
    allow_untrusted: UNTRUSTED = False,
    allow_downgrade: DOWNGRADE = False,
    allow_new_key: NEW_KEY = False,
    offline: OFFLINE = False,
) -> None:
    """Install experts and what they require: all of them, checked and signed by somebody you trust, or none.

    Names come from your indexes (fairmoe index list). Ranges: ^1.2 · ~1.2 · >=1,<2 · 1.2.x · 1.2.0.

    Examples: fairmoe install german-net · fairmoe install "german-net@^1.2" · fairmoe install net.expert ·
    fairmoe install git+https://host/experts.git@v1 · fairmoe install --locked fairmoe.lock
    """
    from artefacts.registry.lockfile import read_lock
    from artefacts.registry.registry import Allowed

    if bool(sources) == (locked is not None):
        raise typer.BadParameter("Give what to install, or --locked FILE: one of the two.")
    allowed = Allowed(allow_untrusted, allow_downgrade, allow_new_key)
    with watched_registry() as registry:
        if locked is not None:
            change = registry.install_locked(read_lock(locked), allowed, offline=offline)
        else:
            change = registry.install(sources or (), allowed, offline=offline)
    tell(change, registry)
