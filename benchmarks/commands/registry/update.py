"""``fairmoe update``: the newest versions that go together."""

from __future__ import annotations

from typing import Annotated

import typer

from benchmarks.commands.registry.opened import DOWNGRADE, NEW_KEY, OFFLINE, UNTRUSTED, tell, watched_registry


def update(
    names: Annotated[list[str] | None, typer.Argument(help="Installed experts; default: all.")] = None,
    allow_untrusted: UNTRUSTED = False,
    allow_downgrade: DOWNGRADE = False,
    allow_new_key: NEW_KEY = False,
    offline: OFFLINE = False,
) -> None:
    """Move installed experts to the newest versions within the ranges that you and other experts ask for.

    Examples: fairmoe update · fairmoe update german-net
    """
    from artefacts.registry.registry import Allowed

    allowed = Allowed(allow_untrusted, allow_downgrade, allow_new_key)
    with watched_registry() as registry:
        change = registry.update(names or (), allowed, offline=offline)
    tell(change, registry)
    for name in names or change.after.installed:
        asked = change.after.installed[name].asked if name in change.after.installed else ""
        if asked not in ("", "*"):
            typer.echo(f'{name} stays within {asked}, as you asked; to widen that: fairmoe install "{name}@*"')
